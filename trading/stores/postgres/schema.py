"""The schema of a database: creates it or brings it to the newest version."""

from pathlib import Path

from trading.errors import InvalidSettings
from trading.stores.postgres.connection import Database, translate_errors
from trading.stores.postgres.timescale import use_where_present

MIGRATIONS = Path(__file__).parents[1] / "migrations"
MIGRATION_LOCK = 7_201_001  # any number that nothing else in the database locks


def migrate(dsn: str, revision: str = "head") -> None:
    """Create or upgrade all tables, in one transaction; processes that call it at once wait for each other.

    `revision` stops at an older schema. Where the server has TimescaleDB, hypertables are made, too. Raises
    StoreUnreachable, or InvalidSettings when the server has no pgvector.
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
    with translate_errors(database.address), database.connect_unshared() as connection:
        if (
            connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'").fetchone()
            is None
        ):
            raise InvalidSettings(
                f"PostgreSQL at {database.address} has no pgvector: install its package there, "
                "or leave MARKETLOOM_POSTGRES empty for the embedded server"
            )
