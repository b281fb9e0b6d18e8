"""The schema of a database: creates it or brings it to the newest version."""

from pathlib import Path

from trading.errors import InvalidSettings
from trading.stores.postgres.connection import Database, translate_errors
from trading.stores.postgres.timescale import use_where_present

MIGRATIONS = Path(__file__).parents[1] / "migrations"
OLDEST_PGVECTOR = (0, 8)
MIGRATION_LOCK = 7_201_001  # any number that nothing else in the database locks


def migrate(dsn: str, revision: str = "head") -> None:
    """Create or upgrade all tables, in one transaction; processes that call it at once wait for each other.

    `revision` stops at an older schema. Where the server has TimescaleDB, hypertables are made, too. Raises
    StoreUnreachable, or InvalidSettings when the server has no pgvector, or an old one.
    """
    from alembic import command  # takes 0.3 s together with SQLAlchemy
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.pool import NullPool

    database = Database(dsn)
    _require_pgvector(database)
    engine = create_engine("postgresql+psycopg://", creator=database.connect_unshared, poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with translate_errors(database.address):
        try:
            with engine.begin() as connection:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
        except DBAPIError as error:
            raise error.orig or error from None
        finally:
            engine.dispose()
    if revision == "head":
        use_where_present(database)


def _require_pgvector(database: Database) -> None:
    """Refuse a server whose index gives up as soon as a filter has left nothing: iterative scans came with 0.8."""
    with translate_errors(database.address), database.connect_unshared() as connection:
        found = connection.execute(
            "SELECT coalesce(installed_version, default_version), installed_version IS NOT NULL "
            "FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
    if problem := pgvector_problem(found):
        raise InvalidSettings(
            f"PostgreSQL at {database.address} {problem}, "
            "or leave MARKETLOOM_POSTGRES empty for the embedded server"
        )


def pgvector_problem(found: tuple[str, bool] | None) -> str:
    """Say what is wrong with the version that serves, and whether it is installed in the database; empty if nothing."""
    if found is None:
        return (
            "has no pgvector: install its package there (https://github.com/pgvector/pgvector#installation)"
        )
    version, installed = found
    if tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_PGVECTOR:
        return ""
    newest = "then run ALTER EXTENSION vector UPDATE in the database" if installed else "then start again"
    return f"has pgvector {version}, and 0.8 or newer is needed: install a newer package there, {newest}"
