"""The sensor on an ephemeral instance: real evaluations, the cursor as Dagster keeps it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg

from ml.decision.decision_id import decision_id
from sensors.decisions import decision_sensor
from streaming.bus import CANDLE_CLOSED, candle_closed
from tests.memory_bus import MemoryBus
from trading.account import Account
from trading.market import Pair, Timeframe, Universe

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
UNIVERSE = Universe((BTC, XRP), "USDT", Timeframe.H1, "binance")
ACCOUNT = Account("paper-binance-1h", "USDT", Decimal(2100), {}, "BTC")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def close(bus: MemoryBus, pair: Pair, at: datetime, dataset: str = UNIVERSE.dataset) -> None:
    record = candle_closed(dataset, pair, at)
    bus.publish(CANDLE_CLOSED, record.key, record.values)


def evaluate(bus: MemoryBus, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(cursor=cursor)
    result: Any = decision_sensor(context, bus=bus, universe=UNIVERSE, account=ACCOUNT)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_closed_candle_asks_for_one_run_keyed_by_the_decision_id() -> None:
    bus = MemoryBus()
    close(bus, BTC, NOON)
    [request] = evaluate(bus).run_requests or []
    assert request.partition_key == "BTC-USDT"
    assert request.run_key == decision_id(ACCOUNT.name, BTC, NOON)


def test_of_several_closed_candles_of_a_pair_only_the_newest_is_decided_on() -> None:
    bus = MemoryBus()
    for hour in range(3):
        close(bus, BTC, NOON + timedelta(hours=hour))
    close(bus, XRP, NOON)
    keys = {request.run_key for request in evaluate(bus).run_requests or []}
    assert keys == {
        decision_id(ACCOUNT.name, BTC, NOON + timedelta(hours=2)),
        decision_id(ACCOUNT.name, XRP, NOON),
    }


def test_the_cursor_moves_past_what_was_seen_and_nothing_is_asked_twice() -> None:
    bus = MemoryBus()
    close(bus, BTC, NOON)
    first = evaluate(bus)
    second = evaluate(bus, first.cursor)
    assert not second.run_requests
    assert second.skip_reason is not None
    assert second.cursor == first.cursor


def test_candles_of_another_dataset_and_of_pairs_that_are_not_traded_are_passed_over() -> None:
    bus = MemoryBus()
    close(bus, BTC, NOON, dataset="simulated-1h")
    close(bus, Pair("ETH", "USDT"), NOON)
    result = evaluate(bus)
    assert not result.run_requests
    assert result.cursor != "0"
