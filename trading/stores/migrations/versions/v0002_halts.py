"""When trading stopped by itself, who resumed it, and the equity peak that a drawdown is counted from."""

from alembic import op

revision = "0002"
down_revision = "0001"

HALTS = """
CREATE TABLE equity_peaks (
    account text PRIMARY KEY,
    equity numeric NOT NULL -- highest since the account opened or was resumed
);
CREATE TABLE halts (
    account text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('drawdown', 'daily loss', 'losing streak')),
    since timestamptz NOT NULL,
    until timestamptz, -- null: until a person resumes
    reason text NOT NULL,
    resumed_at timestamptz,
    resumed_by text,
    resume_reason text,
    PRIMARY KEY (account, kind, since),
    CHECK (num_nulls(resumed_at, resumed_by, resume_reason) IN (0, 3))
);
CREATE UNIQUE INDEX one_pause ON halts (account) WHERE until IS NULL AND resumed_at IS NULL;
"""

# An account that was there before has been watched through its daily snapshots.
PEAKS_SO_FAR = """
INSERT INTO equity_peaks (account, equity)
SELECT account, max(coalesce((snapshot ->> 'peak_equity')::numeric, equity))
FROM portfolio_snapshots GROUP BY account
"""


def upgrade() -> None:
    op.execute(HALTS)
    op.execute(PEAKS_SO_FAR)
