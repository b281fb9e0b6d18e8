"""Which deployments a person has confirmed for real money, and what was found of each account last."""

from alembic import op

revision = "0011"
down_revision = "0010"

LIVE = """
CREATE TABLE live_confirmations (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL,
    deployment jsonb NOT NULL,
    confirmed_by text NOT NULL,
    confirmed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_by text,
    ended_at timestamptz,
    closed_by_hand boolean NOT NULL DEFAULT false, -- at the venue: nothing of it is looked after any more
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);
CREATE INDEX live_confirmations_by_account ON live_confirmations (account, number);
CREATE TABLE live_checks (
    account text PRIMARY KEY,
    problems jsonb NOT NULL, -- what blocks, a list of sentences; empty: nothing
    checked_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(LIVE)
