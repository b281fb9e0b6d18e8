"""When ledger and venue were last known to agree by the server's clock: an account's own may stand, or run faster."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE accounts ADD COLUMN compared_on timestamptz NOT NULL DEFAULT clock_timestamp()")
