"""What a live demo says about how much there is so far, and how fast decisions followed."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestration.commands.live_demo_facts import (
    ACKNOWLEDGED,
    COMMITTED,
    CREATED,
    LiveCounts,
    closing_orders,
    latencies,
)
from streaming.messages import DECISIONS
from tests.contracts import trade
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryJournal
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair
from trading.orders import OrderKind, OrderStatus

PAIR = Pair("BTC", "USDT")
CLOSE = datetime(2024, 3, 14, 12, tzinfo=UTC)


def test_a_decision_belongs_to_its_candle_and_not_to_the_moment_of_the_market_at_which_it_was_made() -> None:
    log = MemoryEventLog()
    event = candle_closed("sandbox-1m", PAIR, CLOSE)
    log.publish(CANDLE_CLOSED, event.key, event.values)
    log.publish(DECISIONS, PAIR.key, {"decision_id": "a"})
    log.publish(DECISIONS, PAIR.key, {"decision_id": "of a candle that no stream closed"})
    decided_at = (CLOSE + timedelta(seconds=2)).isoformat()
    receipts = [
        {
            "decision_id": "a",
            "pair": str(PAIR),
            "candle_close_time": CLOSE.isoformat(),
            "decided_at": decided_at,
        },
        {
            "decision_id": "of a candle that no stream closed",
            "pair": str(PAIR),
            "candle_close_time": (CLOSE - timedelta(minutes=1)).isoformat(),
            "decided_at": decided_at,
        },
    ]
    began = datetime.now(UTC)
    runs = {(str(PAIR), CLOSE): {CREATED: began + timedelta(seconds=100)}}
    orders = {"a": {ACKNOWLEDGED: began + timedelta(seconds=200)}, "b": {}}
    [found] = latencies(log, "sandbox-1m", receipts, runs, orders)
    assert (found.pair, found.close_time) == (str(PAIR), CLOSE.isoformat())
    assert list(found.stages) == [CREATED, COMMITTED, ACKNOWLEDGED]
    assert found.seconds == pytest.approx(0, abs=60)
    assert found.stages[CREATED] == pytest.approx(100, abs=60)
    assert found.stages[ACKNOWLEDGED] == pytest.approx(200, abs=60)


def test_orders_that_close_positions_are_counted_once_by_what_they_are() -> None:
    journal = trade.opened(MemoryJournal())
    entry, stop = trade.bought(journal), trade.stop()
    journal.add_order(stop, trade.order(stop, OrderStatus.ACKNOWLEDGED, attempt=0), "protects")
    half = stop.quantity / 2
    fills = [trade.fill(stop, number, quantity=half) for number in (1, 2)]
    journal.record_order(trade.order(stop, OrderStatus.FILLED, attempt=0), fills)
    assert len(journal.fills("paper")) == 3
    closed = closing_orders(journal, journal.fills("paper"))
    assert closed == {(str(entry.pair), OrderKind.STOP): 1}


def test_progress_counts_in_words_that_fit_the_number() -> None:
    shown = str(LiveCounts(trades=15_141, candles=99, decisions=3, orders=1, fills=0))
    assert shown == "15,141 trades, 99 candles, 3 decisions, 1 order, 0 fills"
