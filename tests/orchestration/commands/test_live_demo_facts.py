"""What a live demo says about how fast decisions followed."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestration.commands.live_demo_facts import latencies
from streaming.messages import DECISIONS
from tests.doubles.event_log import MemoryEventLog
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair

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
    [found] = latencies(log, "sandbox-1m", receipts)
    assert (found.pair, found.close_time) == (str(PAIR), CLOSE.isoformat())
    assert found.seconds == pytest.approx(0, abs=60)
