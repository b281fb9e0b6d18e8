"""Playing a market: by the clock, by hand, and what happens at the end."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from streaming.sandbox.market import player as player_module
from streaming.sandbox.market.clock import MarketClock
from streaming.sandbox.market.player import TickPlayer
from streaming.sandbox.market.source import Tick
from tests.streaming.sandbox.market_cases import BTC, START, tick
from trading.errors import InvalidValue, UnreadableFile
from trading.market import Pair

pytestmark = pytest.mark.anyio


class Ticks:
    """A TickSource of a list."""

    def __init__(self, ticks: list[Tick]) -> None:
        self._ticks = ticks

    def ticks(self, after: datetime) -> Iterator[Tick]:
        return (each for each in self._ticks if each.at > after)

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        return [each for each in self._ticks if each.pair == pair and each.at <= until][-count:]

    def first(self) -> datetime:
        return self._ticks[0].at


class Market:
    """What was applied, and the market time then; stops the playing after a count."""

    def __init__(self, speed: float, stop_after: int = 0) -> None:
        self.server = 0.0
        self.clock = MarketClock(START, speed, lambda: self.server)
        self.applied: list[tuple[Tick, datetime]] = []
        self.elapsed: list[datetime] = []
        self.stop_after = stop_after
        self.stop = asyncio.Event()
        self.waits = 0  # for listeners, by a market that goes as fast as it can

    def apply(self, each: Tick) -> None:
        self.applied.append((each, self.clock.now()))
        if len(self.applied) == self.stop_after:
            self.stop.set()

    def elapse(self) -> None:
        self.elapsed.append(self.clock.now())
        self.server += 0.5  # each turn takes half a second of server time

    def player(self, ticks: list[Tick]) -> TickPlayer:
        return TickPlayer(Ticks(ticks), self.clock, self.apply, self.elapse, self.drain)

    async def drain(self) -> None:
        self.waits += 1


async def test_ticks_are_applied_in_order_when_they_are_due_and_none_before() -> None:
    market = Market(1000, stop_after=4)
    ticks = [tick(second, "100.0") for second in (1, 2, 900, 1600)]
    await market.player(ticks).play(market.stop)
    assert [each for each, _ in market.applied] == ticks
    assert all(each.at == now for each, now in market.applied)
    assert market.elapsed[0] == START  # nothing was due in the first turn
    assert market.waits == 0


async def test_the_clock_never_passes_a_tick_that_is_not_applied() -> None:
    market = Market(1_000_000, stop_after=50)
    await market.player([tick(number, "100.0") for number in range(1, 51)]).play(market.stop)
    assert [now for _, now in market.applied] == [each.at for each, _ in market.applied]


async def test_a_fast_replay_lets_others_have_their_turn() -> None:
    def slow(each: Tick) -> None:
        end = time.perf_counter() + 0.002
        while time.perf_counter() < end:
            pass
        market.apply(each)

    market = Market(1_000_000, stop_after=100)
    ticks = [tick(number / 10, "100.0") for number in range(1, 101)]
    player = TickPlayer(Ticks(ticks), market.clock, slow, market.elapse, market.drain)
    assert await turns_of_others(player.play(market.stop)) >= 20
    assert market.waits >= 20


async def test_a_replay_that_is_behind_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(stop: asyncio.Event, seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr(player_module, "TURN", 0.0)  # every tick takes a whole turn
    monkeypatch.setattr(player_module, "_pause", note)
    market = Market(1_000_000, stop_after=20)
    player = market.player([tick(number / 10, "100.0") for number in range(1, 21)])
    market.server += 1.0
    await player.play(market.stop)
    assert waits[:-1] == [0.0] * 19


async def test_the_exchange_goes_on_after_the_last_tick(caplog: pytest.LogCaptureFixture) -> None:
    market = Market(1000)
    with caplog.at_level(logging.INFO, player_module.__name__):
        playing = asyncio.create_task(market.player([tick(1, "100.0")]).play(market.stop))
        while len(market.elapsed) < 5:
            await asyncio.sleep(0.01)
        market.stop.set()
        await playing
    assert len(market.applied) == 1
    assert market.elapsed[-1] > START + timedelta(seconds=1000)
    assert [
        record for record in caplog.messages if "the replay ended at 2024-01-04" in record
    ] == caplog.messages


async def test_at_speed_0_nothing_moves_but_by_hand() -> None:
    market = Market(0)
    player = market.player([tick(second, "100.0") for second in (1, 2, 3, 50)])
    playing = asyncio.create_task(player.play(market.stop))
    await asyncio.sleep(0.01)
    assert market.applied == []
    assert market.elapsed
    assert await player.advance(START + timedelta(seconds=10)) == 3
    assert [now for _, now in market.applied] == [each.at for each, _ in market.applied]
    assert market.clock.now() == market.elapsed[-1] == START + timedelta(seconds=10)
    assert await player.advance(START) == 0
    assert await player.advance(START + timedelta(hours=1)) == 1
    assert market.clock.now() == START + timedelta(hours=1)
    market.stop.set()
    await playing


async def test_advances_asked_for_at_once_apply_every_tick_once() -> None:
    market = Market(0)
    player = market.player([tick(second / 100, "100.0") for second in range(1, 2001)])
    advances = [player.advance(START + timedelta(seconds=second)) for second in (20, 5, 10)]
    assert sum(await asyncio.gather(*advances)) == 2000 == len(market.applied)


async def test_a_long_way_by_hand_lets_others_have_their_turn() -> None:
    player = Market(0).player([tick(number / 100, "100.0") for number in range(1, 20_001)])
    turns = await turns_of_others(player.advance(START + timedelta(hours=1)))
    assert turns > 2  # more than it takes to begin and to end


async def test_playing_begins_after_the_time_of_the_clock() -> None:
    market = Market(0)
    market.clock.advance_to(START + timedelta(seconds=2))
    player = market.player([tick(second, "100.0") for second in (1, 2, 3)])
    assert await player.advance(START + timedelta(seconds=9)) == 1


async def test_a_running_market_is_not_advanced_by_hand() -> None:
    with pytest.raises(InvalidValue, match="only a clock of speed 0"):
        await Market(1).player([]).advance(START)


async def test_a_file_that_turns_out_to_be_wrong_ends_the_playing() -> None:
    class Broken(Ticks):
        def ticks(self, after: datetime) -> Iterator[Tick]:
            yield tick(1, "100.0", pair=BTC)
            raise UnreadableFile("trades.csv is not sorted")

    market = Market(1000)
    player = TickPlayer(Broken([]), market.clock, market.apply, market.elapse, market.drain)
    with pytest.raises(UnreadableFile, match=r"trades\.csv"):
        await player.play(market.stop)


async def turns_of_others(playing: Coroutine[Any, Any, object]) -> int:
    """Return how often others had their turn until it ended."""
    task, turns = asyncio.create_task(playing), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    await task
    return turns
