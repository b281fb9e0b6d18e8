"""What a live demo has recorded so far: counts for its progress, latencies for its end."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orchestration.commands.demo_words import count
from sensors.decision_runs import JOB, candle_tag
from streaming.messages import DECISIONS, OHLCV_RAW, TRADES
from trading.candle_events import CANDLE_CLOSED, candle_key
from trading.market import Pair
from trading.orders import Fill, OrderKind, OrderStatus
from trading.ports import Event, EventLog, Journal
from trading.stores.postgres.connection import Database

CREATED, STARTED, COMMITTED = "run created", "run started", "decision committed"
ACKNOWLEDGED = "order at the exchange"
STAGES = (CREATED, STARTED, COMMITTED, ACKNOWLEDGED)
Candle = tuple[str, datetime]  # the pair, and its close
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
        counts = (
            (self.trades, "trade"),
            (self.candles, "candle"),
            (self.decisions, "decision"),
            (self.orders, "order"),
            (self.fills, "fill"),
        )
        return ", ".join(count(number, noun) for number, noun in counts)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long it took from the moment at which a closed candle was stored to each stage of its decision."""

    pair: str
    close_time: str
    stages: Mapping[str, float]  # seconds, by the names in STAGES; without an order the last one is missing

    @property
    def seconds(self) -> float:
        """Return the seconds to the commit of the decision."""
        return self.stages[COMMITTED]


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


def latencies(
    log: EventLog,
    dataset: str,
    receipts: Iterable[Mapping[str, Any]],
    runs: Mapping[Candle, Mapping[str, datetime]],
    orders: Mapping[str, Mapping[str, datetime]],
) -> list[Latency]:
    """Return the latency of each decision on a candle that the stream closed, in the order of their commits.

    `runs`: when the run for a candle reached its stages; `orders`: when the order of a decision did, by decision id.
    """
    candles = {
        receipt["decision_id"]: (receipt["pair"], datetime.fromisoformat(receipt["candle_close_time"]))
        for receipt in receipts
    }
    closed: dict[Candle, datetime] = {}
    for event in _events(log, CANDLE_CLOSED):
        pair = Pair.parse(event.payload["pair"])
        if event.key == candle_key(dataset, pair):
            close = datetime.fromisoformat(event.payload["close_time"])
            closed.setdefault((str(pair), close), event.at)
    found = []
    for event in _events(log, DECISIONS):
        identity = event.payload["decision_id"]
        candle = candles.get(identity)
        if candle and (at := closed.get(candle)):
            times = {**runs.get(candle, {}), COMMITTED: event.at, **orders.get(identity, {})}
            stages = {name: (times[name] - at).total_seconds() for name in STAGES if name in times}
            found.append(Latency(candle[0], candle[1].isoformat(), stages))
    return found


def run_stages(instance: dg.DagsterInstance, pairs: Iterable[Pair]) -> dict[Candle, dict[str, datetime]]:
    """Return when the last run for each candle was created and started."""
    tags = {candle_tag(pair.key): str(pair) for pair in pairs}
    found: dict[Candle, dict[str, datetime]] = {}
    for record in instance.get_run_records(dg.RunsFilter(job_name=JOB), ascending=True):
        for tag, close in record.dagster_run.tags.items():
            if tag in tags:
                stages = {CREATED: record.create_timestamp.astimezone(UTC)}
                if record.start_time:
                    stages[STARTED] = datetime.fromtimestamp(record.start_time, UTC)
                found[tags[tag], datetime.fromisoformat(close)] = stages
    return found


def order_stages(journal: Journal, receipts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, datetime]]:
    """Return when the venue acknowledged the order of each decision, by decision id."""
    return {
        receipt["decision_id"]: {ACKNOWLEDGED: change.at}
        for receipt in receipts
        if receipt["intent"]
        for change in reversed(journal.order_changes(receipt["intent"]["intent_id"]))
        if change.status is OrderStatus.ACKNOWLEDGED
    }


def closing_orders(journal: Journal, fills: Iterable[Fill]) -> Counter[tuple[str, OrderKind]]:
    """Count the orders that have closed positions, or parts of them, by pair and kind."""
    found = {fill.intent_id: journal.working_order(fill.intent_id) for fill in fills}
    intents = (each.intent for each in found.values() if each is not None)
    return Counter((str(intent.pair), intent.kind) for intent in intents if intent.reduces)


def _events(log: EventLog, topic: str) -> Iterator[Event]:
    after = 0
    while page := log.read(topic, after, 1000):
        yield from page
        after = page[-1].offset
