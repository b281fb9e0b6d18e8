"""A portfolio snapshot per decision and per hour; before, one per day."""

from alembic import op

revision = "0003"
down_revision = "0002"

# The end of its day is when a snapshot without a time was last true.
SNAPSHOTS_BY_MOMENT = """
ALTER TABLE portfolio_snapshots ADD COLUMN at timestamptz;
UPDATE portfolio_snapshots
SET at = coalesce((snapshot ->> 'at')::timestamptz, (day + 1)::timestamp AT TIME ZONE 'UTC' - interval '1 microsecond');
ALTER TABLE portfolio_snapshots ALTER COLUMN at SET NOT NULL;
ALTER TABLE portfolio_snapshots DROP CONSTRAINT portfolio_snapshots_pkey;
ALTER TABLE portfolio_snapshots ADD PRIMARY KEY (account, day, at);
"""


def upgrade() -> None:
    op.execute(SNAPSHOTS_BY_MOMENT)
