"""Of a backlog people are told which candles were passed over: where they are many, and nobody has asked for them."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sensors.backlog import MIN_PASSED_OVER, passed_over, tell_of
from tests.doubles.event_log import MemoryEventLog
from trading.bus_messages import ALERTS
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.market import Pair, Timeframe, Universe
from trading.ports import Event

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
UNIVERSE = Universe((BTC, XRP), "USDT", Timeframe.M1, "kraken 1m")
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


def close(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def closed(pair: Pair, minutes: Iterable[int], dataset: str = UNIVERSE.dataset) -> list[Event]:
    bus = MemoryEventLog()
    for minute in minutes:
        event = candle_closed(dataset, pair, close(minute))
        bus.publish(CANDLE_CLOSED, event.key, event.values)
    return bus.read(CANDLE_CLOSED, 0)


def test_all_but_the_newest_candle_of_a_backlog_are_passed_over() -> None:
    found = passed_over(closed(BTC, range(MIN_PASSED_OVER + 1)), {}, UNIVERSE)
    assert found == {BTC: [close(each).isoformat() for each in range(MIN_PASSED_OVER)]}


def test_a_few_candles_are_no_backlog() -> None:
    assert passed_over(closed(BTC, range(MIN_PASSED_OVER)), {}, UNIVERSE) == {}


def test_candles_that_were_asked_for_already_and_those_of_other_markets_are_none_of_it() -> None:
    many = range(3 * MIN_PASSED_OVER)
    seen = {BTC.key: close(2 * MIN_PASSED_OVER).isoformat()}
    assert passed_over(closed(BTC, many), seen, UNIVERSE) == {}
    assert passed_over(closed(BTC, many, "kraken 5m"), {}, UNIVERSE) == {}
    assert passed_over(closed(Pair("ETH", "USDT"), many), {}, UNIVERSE) == {}


def test_a_candle_that_was_announced_twice_counts_once() -> None:
    assert passed_over(closed(BTC, [0, 1] * MIN_PASSED_OVER), {}, UNIVERSE) == {}


def test_the_same_candles_are_the_same_alert() -> None:
    bus = MemoryEventLog()
    passed = passed_over(closed(XRP, range(60)), {}, UNIVERSE)
    for _ in range(2):
        tell_of(bus, passed)
    first, second = (json.loads(json.dumps(dict(each.payload))) for each in bus.read(ALERTS, 0))
    assert first["about"] == second["about"]
    assert first["pair"] == "XRP/USDT"
    assert (
        "59 candles were passed over, those that closed from 06 May 12:00 to 06 May 12:58 UTC"
        in first["text"]
    )
