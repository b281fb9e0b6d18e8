"""A Dagster logger that prints the messages of assets at a terminal, without Dagster's own events."""

import logging

import dagster as dg


class _AssetMessages(logging.Filter):
    """Passes what asset code logs itself; Dagster's own events carry `dagster_event` in their metadata.

    The command itself reports a failure, once.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        meta = getattr(record, "dagster_meta", {})
        text = str(meta.get("orig_message") or record.getMessage())
        return meta.get("dagster_event") is None and not text.startswith("[pipes]")


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        text = meta.get("orig_message") or record.getMessage()
        return f"    {text}"


def _progress(_: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.getLogger("marketloom.progress")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.addFilter(_AssetMessages())
        handler.setFormatter(_Line())
        logger.addHandler(handler)
    return logger


progress = dg.LoggerDefinition(_progress, description="Plain lines for `marketloom demo`.")
