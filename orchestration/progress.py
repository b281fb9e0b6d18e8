"""A Dagster logger that prints the messages of assets at a terminal, and what a run waits for."""

import logging

import dagster as dg

from orchestration.run_recovery import describe_holders


class _Messages(logging.Filter):
    """Passes what asset code logs itself; Dagster's own events carry `dagster_event` in their metadata.

    Of those a run that waits for a pool passes. The command itself reports a failure, once.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", {})
        if meta.get("dagster_event") is not None:
            return blocking_pool(record) is not None
        text = str(meta.get("orig_message") or record.getMessage())
        return record.levelno >= logging.INFO and not text.startswith("[pipes]")


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if pool := blocking_pool(record):
            return f"    {waiting_line(pool)}"
        meta = getattr(record, "dagster_meta", {})
        text = meta.get("orig_message") or record.getMessage()
        return f"    {text}"


def blocking_pool(record: logging.LogRecord) -> str | None:
    """Return the pool that the run waits for, when the record says that it waits."""
    event = getattr(record, "dagster_meta", {}).get("dagster_event")
    if event is None or not event.is_engine_event:
        return None
    pool = event.engine_event_data.metadata.get("pool")
    return str(pool.value) if pool else None


def waiting_line(pool: str) -> str:
    """Say which run holds the pool, and how the wait ends."""
    with dg.DagsterInstance.get() as instance:
        holders = describe_holders(instance, pool) or "a run that is just ending"
    return f"waits for pool {pool}: {holders} holds it; the wait ends with that run"


def _progress(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("marketloom.progress")
    logger.setLevel(logging.DEBUG)  # that a run waits is an event of this level
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(_Messages())
        handler.setFormatter(_Line())
        logger.addHandler(handler)
    return logger


progress = dg.LoggerDefinition(_progress, description="Plain lines for `marketloom demo`.")
