"""The balance history: each account at the end of every minute in which a stream watched it."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Values are null where a price that they need was not known.
MINUTES = """
CREATE TABLE account_minutes (
    account text NOT NULL REFERENCES accounts,
    minute timestamptz NOT NULL, -- its beginning; the row is of its end
    at timestamptz NOT NULL, -- when prices and balances were read, by the account's clock
    known_at timestamptz NOT NULL CHECK (known_at >= at), -- when the row was made, by the same clock
    newest_entry bigint NOT NULL, -- of ledger_entries, then
    quote text NOT NULL,
    equity numeric,
    cash numeric NOT NULL, -- amount of the quote asset
    realised_pnl numeric,
    unrealised_pnl numeric,
    fees numeric,
    gross_exposure numeric,
    net_exposure numeric,
    peak_equity numeric,
    drawdown numeric,
    balances json NOT NULL,
    left_out json NOT NULL,
    positions json NOT NULL,
    prices json NOT NULL,
    unseen json NOT NULL,
    PRIMARY KEY (account, minute),
    CHECK (at >= minute + interval '1 minute')
);
"""


def upgrade() -> None:
    op.execute(MINUTES)
