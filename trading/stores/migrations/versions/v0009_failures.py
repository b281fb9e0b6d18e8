"""What failed in a row, and the halt that follows from it."""

from alembic import op

revision = "0009"
down_revision = "0008"

FAILURES = """
CREATE TABLE failures_in_a_row (
    account text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('error', 'answer')), -- decisions that failed, or made without an agent's answer
    number integer NOT NULL CHECK (number > 0),
    newest text NOT NULL,
    at timestamptz NOT NULL, -- of the newest, by the account's clock
    PRIMARY KEY (account, kind)
);
ALTER TABLE halts DROP CONSTRAINT halts_kind_check;
ALTER TABLE halts ADD CONSTRAINT halts_kind_check CHECK (kind IN
    ('drawdown', 'daily loss', 'losing streak', 'kill switch', 'reconciliation', 'protection', 'failures'));
"""


def upgrade() -> None:
    op.execute(FAILURES)
