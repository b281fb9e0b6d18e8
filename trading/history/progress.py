"""The progress of a long download: one line a page, on the logger that Dagster captures."""

import logging
from datetime import datetime

from trading.market import month_of, month_start, next_month

LOG = logging.getLogger("marketloom.history")


def log_progress(what: str, reached: datetime, start: datetime, end: datetime, done: float) -> None:
    """Log `kraken BTC/USDT trades: 2023-11-03 14:00, 37 % of 2023-11`, say; `done` is a share of [start, end)."""
    LOG.info(
        "%s: %s, %d %% of %s", what, f"{reached:%Y-%m-%d %H:%M}", int(100 * done), _range_name(start, end)
    )


def _range_name(start: datetime, end: datetime) -> str:
    month = month_of(start)
    if (start, end) == (month_start(month), month_start(next_month(month))):
        return f"{month:%Y-%m}"
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
