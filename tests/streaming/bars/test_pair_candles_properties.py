from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.events import Trade
from tests.streaming.bars.market import (
    GRACE,
    MICROSECOND,
    MIDNIGHT,
    MINUTE,
    Recording,
    expected,
    history,
    trade,
)  # fmt: skip
from trading.market import Timeframe

PAUSES = (0.0, 0.000001, 0.4, 7, 25, 59.999999, 61, 400, 4000)  # seconds between trades
JUMP = timedelta(seconds=90)


@st.composite
def markets(draw: st.DrawFn) -> list[Trade]:
    """Trades around the midnight of a month, several in one microsecond, some ids never given."""
    at = MIDNIGHT - timedelta(seconds=draw(st.integers(0, 9000)))
    number, trades = draw(st.integers(1, 10**9)), []
    for _ in range(draw(st.integers(1, 40))):
        at += timedelta(seconds=draw(st.sampled_from(PAUSES)))
        number += draw(st.sampled_from((1, 1, 1, 1, 3)))
        price = draw(st.integers(99_900, 100_100)) / 10
        trades.append(trade(number, at, price, draw(st.integers(1, 10**9)) / 10**8))
    return trades


@dataclass
class World:
    """The venue with its clock, and a stream that listens to it, or not."""

    trades: Sequence[Trade]
    draw: st.DataObject
    recording: Recording = field(default_factory=Recording)
    now: datetime = MIDNIGHT
    listening: bool = True

    def call(self, name: str, *arguments: object) -> None:
        self.recording.take(getattr(self.recording.candles, name)(*arguments, self.now))

    def maybe(self, *chances: int) -> bool:
        return self.draw.draw(st.sampled_from(chances)) == 1

    def repair(self, whole: bool) -> None:
        """Hand in the history of one gap, or a part of it, as it is by now."""
        gaps = [gap for gap in self.recording.candles.gaps if gap.since <= self.now]
        if not gaps:
            return
        gap = gaps[0] if whole else self.draw.draw(st.sampled_from(gaps))
        until = min(gap.until or self.now, self.now)
        since = gap.since
        if not whole and until > since:
            length = (until - since) // MICROSECOND
            first, last = sorted(self.draw.draw(st.tuples(*[st.integers(0, length)] * 2)))
            since, until = since + first * MICROSECOND, gap.since + last * MICROSECOND
        found = history([each for each in self.trades if each.at <= self.now], since, until)
        self.call("backfill", replace(gap, since=since), found, until)

    def between(self) -> None:
        """What may happen between two trades."""
        if self.maybe(0, 0, 0, 1):
            self.recording.restart()
            self.listening = False
        if self.maybe(0, 0, 1):
            self.repair(whole=self.maybe(0, 1))
        if self.listening and self.maybe(0, 0, 0, 1):
            self.call("interrupt", self.now, "no frame")
            self.listening = False
        elif not self.listening and self.maybe(0, 1):
            self.call("restore", self.now)
            self.listening = True

    def finish(self) -> None:
        """Everything comes in the end: the channel, a while in which nothing trades, and the history of every gap."""
        self.now += 3 * MINUTE
        self.call("restore", self.now)
        for _ in range(200):
            if not self.recording.candles.gaps:
                break
            self.repair(whole=True)
        self.call("advance", self.now)

    def check(self) -> None:
        proven = self.recording.candles.proven_until
        assert proven is not None
        assert self.recording.candles.gaps == []
        since = Timeframe.D1.floor(self.began)
        assert self.recording.final() == expected(self.trades, since, max(proven, self.now - GRACE))
        ids = [each.trade_id for each in self.recording.trades]
        assert sorted(ids) == [each.trade_id for each in self.trades if each.at >= since]

    began: datetime = MIDNIGHT


def start(trades: Sequence[Trade], data: st.DataObject) -> World:
    world = World(trades, data)
    world.now = world.began = trades[0].at - timedelta(seconds=data.draw(st.sampled_from((0, 3, 70))))
    return world


@settings(max_examples=40, deadline=None)
@given(markets(), st.data())
def test_whatever_is_declared_lost_no_candle_is_ever_published_wrong(
    trades: list[Trade], data: st.DataObject
) -> None:
    """Interruptions, restarts at any step, ids that never existed, history in parts: no revision is ever needed."""
    world = start(trades, data)
    world.call("restore", world.now)
    for each in trades:
        at = each.at
        if data.draw(st.booleans()):  # the clock moves on before the trade comes
            world.now = max(world.now, world.now + (at - world.now) / 2)
            world.call("advance", world.now)
        world.between()
        world.now = max(world.now, at)
        if world.listening:
            world.call("add", [each])
    world.finish()
    world.check()
    assert world.recording.restated == 0
    assert all(len(each) == 1 for each in world.recording.revisions.values())


@settings(max_examples=40, deadline=None)
@given(markets(), st.data())
def test_any_order_doubling_loss_restart_and_clock_ends_in_the_candles_of_the_complete_trades(
    trades: list[Trade], data: st.DataObject
) -> None:
    """Nobody says what was lost; messages overtake each other; the clock jumps by 90 seconds in both directions."""
    world = start(trades, data)
    world.call("restore", world.now)
    waiting: list[Trade] = []
    for each in trades:
        world.now = max(world.now, each.at)
        waiting.append(each)
        clock = world.now + data.draw(st.sampled_from((0, 0, 1, -1))) * JUMP
        if data.draw(st.booleans()):
            world.recording.take(world.recording.candles.advance(clock, world.now - JUMP))
        if data.draw(st.sampled_from((0, 0, 1))):
            continue  # later, or never
        message = data.draw(st.permutations(waiting))
        waiting = data.draw(st.lists(st.sampled_from(message), max_size=2)) if message else []
        if data.draw(st.sampled_from((0, 0, 0, 1))):
            message = message[1:]  # lost without a word
        if world.listening and message:
            world.call("add", message)
        world.between()
    world.call("add", trades[-1:])  # only a later trade tells that one before it was lost
    world.finish()
    world.call("advance", world.now + 2 * JUMP)
    final, proven = world.recording.final(), world.recording.candles.proven_until
    assert proven is not None
    assert world.recording.candles.gaps == []
    wanted = expected(trades, Timeframe.D1.floor(world.began), proven)
    assert final == wanted
    ids = [each.trade_id for each in world.recording.trades]
    assert sorted(ids) == [each.trade_id for each in trades if each.at >= Timeframe.D1.floor(world.began)]
