"""The connections of an instance to its database: kept, and tried before use after a pause."""

import time
from collections.abc import Callable
from typing import Any

from dagster._core.instance import DagsterInstance
from sqlalchemy import Engine, event, exc

STATEMENT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW = 60_000, 3_600, 30
IDLE_SECONDS = (
    1.0  # within a run statements follow each other: no server is restarted between two of them unnoticed
)

# Dagster asks PostgreSQL's catalogue these several times in a run; a column that is there stays.
COLUMNS = ("has_run_stats_index_cols", "has_asset_key_col")


def keep_connections(instance: DagsterInstance, idle_seconds: float = IDLE_SECONDS) -> None:
    """Let the instance keep its connections to the database: else each statement of a storage opens its own.

    A connection that was not used for `idle_seconds` is tried first and replaced where the server was restarted
    meanwhile. Which columns there are is asked once.
    """
    instance.optimize_for_webserver(STATEMENT_MILLISECONDS, RECYCLE_SECONDS, OVERFLOW)
    for storage in (instance.run_storage, instance.event_log_storage, instance.schedule_storage):
        if isinstance(engine := getattr(storage, "_engine", None), Engine):
            _try_before_use(engine, idle_seconds)
        for question in COLUMNS:
            if ask := getattr(storage, question, None):
                setattr(storage, question, _remember_yes(ask))


def _try_before_use(engine: Engine, idle_seconds: float) -> None:
    """Do what SQLAlchemy's `pool_pre_ping` does, which Dagster does not let through, and only after a pause."""

    def note_use(_: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def try_connection(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < idle_seconds:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.DisconnectionError from error  # the pool opens another one

    event.listen(engine, "checkin", note_use)
    event.listen(engine, "checkout", try_connection)


def _remember_yes(ask: Callable[..., bool]) -> Callable[..., bool]:
    known: set[tuple[str, ...]] = set()

    def answer(*columns: str) -> bool:
        if columns in known:
            return True
        if found := ask(*columns):
            known.add(columns)
        return found

    return answer
