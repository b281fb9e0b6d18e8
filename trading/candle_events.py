"""`candle_closed` on the outbox: a candle is stored, and may be decided on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading.market import Pair

CANDLE_CLOSED = "candle_closed"  # the topic


@dataclass(frozen=True, slots=True)
class CandleClosed:
    """What is published: its key, and the values as they become JSON."""

    key: str
    values: dict[str, Any]


def candle_closed(dataset: str, pair: Pair, close_time: datetime) -> CandleClosed:
    """Return the event of a complete and stored candle; `close_time` is written so that text order is time order."""
    values = {"dataset": dataset, "pair": str(pair), "close_time": close_time.isoformat()}
    return CandleClosed(candle_key(dataset, pair), values)


def candle_key(dataset: str, pair: Pair) -> str:
    """Return the key of a pair's events."""
    return f"{dataset}:{pair.key}"
