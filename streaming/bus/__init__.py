"""The bus: an append-only log that sensors and sinks follow. One back end per file; here the records' shapes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trading.market import Pair

CANDLE_CLOSED = "candle_closed"


@dataclass(frozen=True, slots=True)
class Record:
    key: str
    values: dict[str, Any]


def candle_closed(dataset: str, pair: Pair, close_time: datetime) -> Record:
    """Return the record of a complete and stored candle; `close_time` is written so that text order is time order."""
    values = {"dataset": dataset, "pair": str(pair), "close_time": close_time.isoformat()}
    return Record(candle_key(dataset, pair), values)


def candle_key(dataset: str, pair: Pair) -> str:
    """Return the key of a pair's records."""
    return f"{dataset}:{pair.key}"
