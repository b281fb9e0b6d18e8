"""What the guard needs: since when a stop has its level, and word of every change of an account."""

from alembic import op

revision = "0007"
down_revision = "0006"

POSITIONS = "ALTER TABLE positions ADD COLUMN stop_since timestamptz; -- where ticks moved the stop"
# One notification per transaction and account, however many rows change: PostgreSQL leaves out what is the same.
CHANGES = """
CREATE FUNCTION notify_account_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('account_change', coalesce(NEW.account, OLD.account));
    RETURN NULL;
END $$;
CREATE TRIGGER notify_account_change AFTER INSERT OR UPDATE OR DELETE ON positions
    FOR EACH ROW EXECUTE FUNCTION notify_account_change();
CREATE TRIGGER notify_account_change AFTER INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION notify_account_change();
CREATE TRIGGER notify_account_change AFTER INSERT OR UPDATE ON halts
    FOR EACH ROW EXECUTE FUNCTION notify_account_change();
CREATE TRIGGER notify_account_change AFTER INSERT ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION notify_account_change();
CREATE TRIGGER notify_account_change AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION notify_account_change();
"""


def upgrade() -> None:
    for statements in (POSITIONS, CHANGES):
        op.execute(statements)
