"""What a live demo has recorded so far, read from PostgreSQL: counts for its progress, latencies for its end."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streaming.messages import DECISIONS, OHLCV_RAW, TRADES
from trading.candle_events import CANDLE_CLOSED, candle_key
from trading.market import Pair
from trading.ports import Event, EventLog
from trading.stores.postgres.connection import Database

COUNTS = """
SELECT (SELECT count(*) FROM bus_event WHERE topic = %(trades)s) AS trades,
    (SELECT count(*) FROM bus_event WHERE topic = %(candles)s) AS candles,
    (SELECT count(*) FROM trade_decisions) AS decisions,
    (SELECT count(*) FROM order_intents WHERE asked) AS orders,
    (SELECT count(*) FROM fills) AS fills
"""
LAG = """
SELECT coalesce(sum((
    SELECT count(*) FROM bus_event WHERE topic = bus_groups.topic AND "offset" > bus_groups."offset"
)), 0) AS lag, count(*) AS followed FROM bus_groups
"""


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """How many of each there are so far."""

    trades: int
    candles: int  # of all timeframes, restated ones again
    decisions: int
    orders: int
    fills: int

    def __str__(self) -> str:
        return (
            f"{self.trades:,} trades, {self.candles:,} candles, {self.decisions} decisions, {self.orders} orders, "
            f"{self.fills} fills"
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """How long it took from the moment at which a closed candle was stored to the commit of its decision."""

    pair: str
    close_time: str
    seconds: float


class LiveDatabase:
    """The counts of one database."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def counts(self) -> LiveCounts:
        [row] = self._database.execute(COUNTS, {"trades": TRADES, "candles": OHLCV_RAW})
        return LiveCounts(**row)

    def unread(self) -> int | None:
        """Return the records that some consumer group has not done yet; None while nobody consumes."""
        [row] = self._database.execute(LAG, {})
        return int(row["lag"]) if row["followed"] else None


def latencies(log: EventLog, dataset: str, receipts: Iterable[Mapping[str, Any]]) -> list[Latency]:
    """Return the latency of each decision on a candle that the stream closed, in the order of their commits."""
    candles = {
        receipt["decision_id"]: (receipt["pair"], datetime.fromisoformat(receipt["candle_close_time"]))
        for receipt in receipts
    }
    closed: dict[tuple[str, datetime], datetime] = {}
    for event in _events(log, CANDLE_CLOSED):
        pair = Pair.parse(event.payload["pair"])
        if event.key == candle_key(dataset, pair):
            close = datetime.fromisoformat(event.payload["close_time"])
            closed.setdefault((str(pair), close), event.at)
    found = []
    for event in _events(log, DECISIONS):
        candle = candles.get(event.payload["decision_id"])
        if candle and (at := closed.get(candle)):
            pair_name, close = candle
            found.append(Latency(pair_name, close.isoformat(), (event.at - at).total_seconds()))
    return found


def _events(log: EventLog, topic: str) -> Iterator[Event]:
    after = 0
    while page := log.read(topic, after, 1000):
        yield from page
        after = page[-1].offset
