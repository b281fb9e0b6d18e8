"""Trades of one pair to closed candles of several timeframes: pure, so that every order of events can be tested.

A candle is published when it is proven: no trade of it can be missing. What cannot be proven yet is a gap that waits
for the venue's history. Times are UTC, of the venue's clock; `known_at` is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from streaming.bars.bar import ORDER, Bar, exact
from streaming.bars.bar_table import DAY, MINUTE, BarTable
from streaming.bars.checkpoint import Recent, Settled, candles_of, decode_checkpoint, encode, revisions
from streaming.bars.coverage import MICROSECOND, Changes, Coverage
from streaming.bars.pending import PendingCandles
from streaming.bars.published import CandleKey, Published
from streaming.events import Trade
from trading.closed_candles import Basis, ClosedCandle, Restatement
from trading.errors import InvalidValue
from trading.feed_gaps import FeedGap, MissingKind
from trading.market import Pair, Timeframe
from trading.stream_checkpoint import Checkpoint

WINDOW = timedelta(hours=1)  # in which closed candles are compared with what was published of them
GIVEN_UP = "its candles are not waited for any more; a later repair asks for its days as a whole"
REOPENED = "a trade came for a time whose candles were settled: it is asked for as a whole"


@dataclass(frozen=True, slots=True)
class Built:
    """What one input led to, each list in order."""

    trades: list[Trade] = field(default_factory=list)  # those not seen before: to publish
    candles: list[ClosedCandle] = field(default_factory=list)  # closed, proven; several timeframes
    restatements: list[Restatement] = field(default_factory=list)
    gaps: list[FeedGap] = field(default_factory=list)  # opened, or with other bounds than before
    repaired: list[FeedGap] = field(default_factory=list)


class PairCandles:
    """The candles of one pair. Each method is one input; the same inputs give the same outputs.

    1-minute candles are always built, longer ones composed of them; all of `timeframes` are published.
    """

    def __init__(
        self,
        origin: str,
        pair: Pair,
        timeframes: Sequence[Timeframe],
        grace: timedelta,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        """`grace` is how long after a candle's end, by the venue's clock, its last trade may still come.

        InvalidValue for a checkpoint of another pair or origin, or one that cannot be read.
        """
        if not timeframes:
            raise InvalidValue("[stream] timeframes is empty: name at least one, for example 1m")
        self._origin, self._pair = origin, pair
        self._timeframes = sorted(set(timeframes), key=lambda each: each.duration)
        self._coverage = Coverage(origin, pair, grace, self._timeframes[-1])
        self._table, self._published, self._pending = BarTable(), Published(), PendingCandles()
        self._considered: datetime | None = None  # candles that close until then were looked at
        self._dropped_until: datetime | None = None  # earlier days are forgotten, but those in `kept`
        self._kept: set[datetime] = set()
        self._arrivals = 0
        self._stored: tuple[bytes, tuple[object, ...]] | None = (
            None  # the settled part, and what it was made of
        )
        if checkpoint is not None:
            self._restore_state(*decode_checkpoint(checkpoint, origin, pair))

    @property
    def gaps(self) -> list[FeedGap]:
        """The open gaps, oldest first."""
        return list(self._coverage.gaps)

    @property
    def proven_until(self) -> datetime | None:
        """Everything before is known, but what the open gaps lack; None before the first trade."""
        return self._coverage.frontier

    def add(self, trades: Sequence[Trade], known_at: datetime) -> Built:
        """Take trades as they came, in any order. AnotherMarket where their ids show it."""
        built, changes = Built(), Changes(known_at)
        self._coverage.settle_restart(changes)
        for trade in trades if len(trades) == 1 else sorted(trades, key=_arrival):
            if self._coverage.accept(trade, changes):
                built.trades.append(trade)
                self._place(trade, changes)
        return self._settle(built, changes)

    def interrupt(
        self, since: datetime, reason: str, known_at: datetime, kind: MissingKind = MissingKind.FEED_GAP
    ) -> Built:
        """Note that trades may be missing from `since` on, until `restore` or the next trade."""
        changes = Changes(known_at)
        self._coverage.interrupt(since, reason, kind, changes)
        return self._settle(Built(), changes)

    def restore(self, at: datetime, known_at: datetime) -> Built:
        """Note that the trade channel is live since `at`, for the first time or again."""
        changes = Changes(known_at)
        self._coverage.restore(at, changes)
        return self._settle(Built(), changes)

    def backfill(
        self, gap: FeedGap, trades: Sequence[Trade], until: datetime | None, known_at: datetime
    ) -> Built:
        """Take the venue's history of a gap: every trade with gap.since <= at <= until (None: gap.until).

        A part of a gap may be proven by itself: give the gap with other bounds. What is left stays open.
        """
        ends = [each for each in (gap.until, until) if each is not None]
        if not ends:
            raise InvalidValue(
                f"the gap of {gap.pair} since {gap.since} has no end: say until when it is proven"
            )
        end = min(ends)
        built, changes = Built(), Changes(known_at)
        self._coverage.settle_restart(changes)
        if self._coverage.began is None or self._coverage.frontier is None:
            return built  # nothing is followed yet: the gap is asked for again
        if not self._coverage.touches(gap.since, end + MICROSECOND):
            self._take_over(gap, changes)
        inside = sorted((each for each in trades if gap.since <= each.at <= end), key=_order)
        for trade in self._coverage.prove(gap.since, end, inside, changes):
            built.trades.append(trade)
            self._place(trade, changes)
        return self._settle(built, changes)

    def advance(self, venue_now: datetime, known_at: datetime) -> Built:
        """Let the venue's clock close what is quiet. Only what the venue sent says what its clock is."""
        self._coverage.advance(venue_now)
        return self._settle(Built(), Changes(known_at))

    def restate(self, candle: ClosedCandle, known_at: datetime) -> Built:
        """Let the venue's own numbers stand for a published 1-minute candle, and in all that contain it.

        Nothing happens to one that is not published, or closed longer than WINDOW ago.
        """
        if candle.timeframe is not Timeframe.M1:
            raise InvalidValue(
                f"a {candle.timeframe.value} candle cannot be restated: restate its minutes, it follows"
            )
        changes = Changes(known_at)
        if self._published.get(Timeframe.M1, candle.open_time) is not None and self._table.is_minute(
            candle.open_time
        ):
            self._table.confirm(_confirmed_bar(candle))
            changes.minutes[candle.open_time] = True
        return self._settle(Built(), changes)

    def checkpoint(self) -> Checkpoint:
        """Return the state; a PairCandles made from it goes on where this one is."""
        versions = self._table.version, self._published.version, self._pending.version, self._dropped_until
        sources = *versions, self._kept, self._coverage.gaps
        if self._stored is None or self._stored[1] != sources:
            copies = *versions, set(self._kept), list(self._coverage.gaps)
            self._stored = encode(self._settled_state()), copies
        return Checkpoint(self._stored[0], encode(self._recent_state()))

    def _place(self, trade: Trade, changes: Changes) -> None:
        began = self._coverage.began
        if began is not None and trade.at < began:
            return
        order = trade.at, self._arrivals if trade.trade_id is None else trade.trade_id
        self._arrivals += trade.trade_id is None
        if self._considered is not None and trade.at >= self._considered:
            self._table.place(trade, order)
            return
        if self._is_forgotten(trade.at):
            self._reopen(trade.at, changes)
        if self._comes_again(trade, changes):
            return
        closes = self._table.place(trade, order)
        if self._considered is not None:
            minute = Timeframe.M1.floor(trade.at)
            changes.minutes[minute] = closes or changes.minutes.get(minute, False)

    def _comes_again(self, trade: Trade, changes: Changes) -> bool:
        """Return whether the history of a gap will bring the trade: its day was reopened."""
        if trade.trade_id is None:
            return Timeframe.D1.floor(trade.at) in changes.reopened
        return self._coverage.lacks(trade)

    def _take_over(self, gap: FeedGap, changes: Changes) -> None:
        """Close a gap of the ledger that is none here: it is proven, or the whole of its time is asked for."""
        began = self._coverage.began
        first = Timeframe.D1.floor(gap.since)
        last = first if gap.until is None else gap.until
        if days := [day for day in _grid(Timeframe.D1, first, last + DAY) if self._is_forgotten(day)]:
            for day in days:
                self._reopen(day, changes)
            changes.reopened.clear()  # what follows is the days' history
        elif began is not None and gap.since < began:
            since = self._timeframes[-1].floor(gap.since)
            self._ask_for(since, began, changes)
        changes.close(gap)

    def _is_forgotten(self, time: datetime) -> bool:
        if self._dropped_until is None or time >= self._dropped_until:
            return False
        return not self._kept or Timeframe.D1.floor(time) not in self._kept

    def _reopen(self, time: datetime, changes: Changes) -> None:
        """Ask for the whole day of a time whose minutes are not kept any more."""
        day = Timeframe.D1.floor(time)
        self._kept.add(day)
        changes.reopened.add(day)
        self._table.forget(day, day + DAY)
        self._ask_for(day, day + DAY, changes)

    def _ask_for(self, start: datetime, end: datetime, changes: Changes) -> None:
        self._coverage.reopen(start, end - MICROSECOND, REOPENED, changes)
        for timeframe in self._timeframes:
            self._pending.add(timeframe, timeframe.floor(start), timeframe.ceil(end))

    def _settle(self, built: Built, changes: Changes) -> Built:
        """Publish what is proven now: what the frontier passed, and what changed before it."""
        before, frontier = self._considered, self._coverage.frontier
        if (
            not changes.anything
            and before is not None
            and frontier is not None
            and frontier < before + MINUTE
        ):
            return built
        changed, waited = self._changed(changes), self._touched_by_gaps(changes)
        passed = self._passed()
        for key in sorted(changed | waited | passed, key=_closing_order):
            candle = self._candle(*key, changes.known_at)
            if candle is None:
                if key in passed or key in changed:
                    self._pending.add(key[0], key[1], key[1] + key[0].duration)
            elif key in passed or key in changed or key in self._pending or key in self._published:
                self._publish(candle, built)
        if self._considered is not None and (before is None or _block(before) != _block(self._considered)):
            self._forget(changes)
        built.gaps.extend(changes.opened.values())
        built.repaired.extend(changes.closed.values())
        return built

    def _publish(self, candle: ClosedCandle, built: Built) -> None:
        self._pending.discard(candle.timeframe, candle.open_time)
        published = self._published.publish(candle)
        if isinstance(published, Restatement):
            built.restatements.append(published)
        elif published is not None:
            built.candles.append(published)

    def _passed(self) -> set[CandleKey]:
        """Return the candles that the frontier has passed since the last time, and move on."""
        frontier = self._coverage.frontier
        if frontier is None:
            return set()
        if self._considered is None:
            assert self._coverage.began is not None
            self._considered = self._coverage.began
        considered, passed = self._considered, Timeframe.M1.floor(frontier)
        if passed <= considered:
            return set()
        self._considered = passed
        return {
            (timeframe, open_time)
            for timeframe in self._timeframes
            for open_time in _grid(timeframe, timeframe.floor(considered), passed)
        }

    def _changed(self, changes: Changes) -> set[CandleKey]:
        """Return the considered candles that hold a changed minute, and quiet ones after it where its close changed."""
        found: set[CandleKey] = set()
        for minute, closes in changes.minutes.items():
            found |= self._between(minute, minute, quiet=closes)
        return found

    def _touched_by_gaps(self, changes: Changes) -> set[CandleKey]:
        """Return the considered candles that changed gaps kept from being published, quiet ones after them included."""
        found: set[CandleKey] = set()
        for since, until in changes.spans:
            found |= self._between(since, until, quiet=True)
        return found

    def _between(self, since: datetime, until: datetime | None, quiet: bool) -> set[CandleKey]:
        """Return the considered candles that hold a moment from `since` to `until`, and those until the next trade."""
        considered = self._considered
        if considered is None:
            return set()
        end = considered - MICROSECOND if until is None else min(until, considered - MICROSECOND)
        quiet_until = (self._table.opens_after(end) or considered) if quiet else end
        found: set[CandleKey] = set()
        for timeframe in self._timeframes:
            last = max(timeframe.floor(end) + timeframe.duration, timeframe.floor(quiet_until))
            opens = _grid(timeframe, timeframe.floor(since), min(last, considered))
            found.update((timeframe, open_time) for open_time in opens)
        return found

    def _candle(self, timeframe: Timeframe, open_time: datetime, known_at: datetime) -> ClosedCandle | None:
        """Build a candle; None while it is not proven, or its price is not."""
        end = open_time + timeframe.duration
        coverage = self._coverage
        if coverage.began is None or open_time < coverage.began or self._is_forgotten(open_time):
            return None
        if coverage.touches(open_time, end):
            return None
        try:
            bar = self._table.composed(open_time, timeframe.duration)
        except LookupError:
            return None
        if bar is not None:
            return self._closed(timeframe, bar, known_at)
        before = self._table.before(open_time)
        if before is None or coverage.touches(before.last_at + MICROSECOND, end):
            return None
        return self._quiet(timeframe, open_time, before.close, known_at)

    def _closed(self, timeframe: Timeframe, bar: Bar, known_at: datetime) -> ClosedCandle:
        return ClosedCandle(
            origin=self._origin,
            pair=self._pair,
            timeframe=timeframe,
            open_time=bar.open_time,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=float(bar.volume),
            trades=bar.trades,
            first_trade_id=bar.first[1] if bar.numbered else None,
            last_trade_id=bar.last[1] if bar.numbered else None,
            basis=Basis.VENUE if bar.confirmed else Basis.TRADES,
            known_at=known_at,
        )

    def _quiet(
        self, timeframe: Timeframe, open_time: datetime, price: float, known_at: datetime
    ) -> ClosedCandle:
        return ClosedCandle(
            origin=self._origin,
            pair=self._pair,
            timeframe=timeframe,
            open_time=open_time,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=0.0,
            trades=0,
            first_trade_id=None,
            last_trade_id=None,
            basis=Basis.TRADES,
            known_at=known_at,
        )

    def _forget(self, changes: Changes) -> None:
        """Keep only what may still change: minutes of the newest time and around open gaps."""
        assert self._considered is not None
        recent = self._considered - WINDOW
        last = (
            self._coverage.last
        )  # a trade that is missing may lie right after the last one, however long ago
        horizon = recent if last is None else min(recent, Timeframe.M1.floor(last.at) - WINDOW)
        self._give_up(Timeframe.D1.floor(horizon) - DAY, changes)
        waiting = [(gap.since, self._waits_until(gap)) for gap in self._coverage.gaps]

        def is_settled(start: datetime, end: datetime, horizon: datetime = horizon) -> bool:
            return end <= horizon and not any(
                since < end and (until is None or until >= start) for since, until in waiting
            )

        self._published.forget(lambda start, end: is_settled(start, end, recent))
        self._table.fold(is_settled)
        today = Timeframe.D1.floor(horizon)
        if self._dropped_until is None or self._dropped_until < today or self._kept:
            first = self._dropped_until or Timeframe.D1.floor(self._coverage.began or today)
            days = self._kept | set(_grid(Timeframe.D1, first, today))
            self._kept = {day for day in days if not is_settled(day, day + DAY)}
            self._dropped_until = max(today, first)
            self._table.drop(self._is_forgotten)
            self._pending.forget(self._is_forgotten)

    def _give_up(self, day: datetime, changes: Changes) -> None:
        """Leave the gaps whose candles all lie before `day` to the ledger, where nobody has repaired them in a day.

        A venue without a history would fill the memory with them. A gap after which nothing traded stays.
        """
        old, first_day = [], day
        for gap in self.gaps:
            following = self._waits_until(gap)
            if following is not None and following < day and gap.found_at < day:
                old.append((gap, following))
            else:
                first_day = min(first_day, Timeframe.D1.floor(gap.since))
        for gap, following in old:
            if following < first_day:  # a day is kept as a whole, with all its gaps, or not at all
                self._coverage.gaps.remove(gap)
                changes.open(replace(gap, reason=f"{gap.reason}; {GIVEN_UP}"), known=True)

    def _waits_until(self, gap: FeedGap) -> datetime | None:
        """Return the next trade after the gap: until then the price is not known."""
        return None if gap.until is None else self._table.next_trade(gap.until)

    def _recent_state(self) -> Recent:
        coverage = self._coverage
        return Recent(
            began=coverage.began,
            frontier=coverage.frontier,
            last=coverage.last,
            live=coverage.live or coverage.down,
            considered=self._considered,
            arrivals=self._arrivals,
            growing=self._table.growing,
        )

    def _settled_state(self) -> Settled:
        growing = self._table.growing
        return Settled(
            origin=self._origin,
            pair=str(self._pair),
            gaps=self._coverage.gaps,
            dropped_until=self._dropped_until,
            kept=sorted(self._kept),
            pending=self._pending.spans(),
            bars=[bar for bar in self._table.bars.values() if bar is not growing],
            confirmed=list(self._table.confirmed.values()),
            published=revisions([*self._published.candles.values()]),
        )

    def _restore_state(self, settled: Settled, recent: Recent) -> None:
        coverage, last = self._coverage, recent.last
        coverage.began, coverage.frontier, coverage.last = recent.began, recent.frontier, last
        coverage.gaps, coverage.down = settled.gaps, recent.live
        if last is not None and last.trade_id is None:
            coverage.replayed_until = last.at
        self._considered, self._dropped_until = recent.considered, settled.dropped_until
        self._kept, self._arrivals = set(settled.kept), recent.arrivals
        self._pending = PendingCandles(settled.pending)
        self._table = BarTable(settled.bars, settled.confirmed, recent.growing)
        self._published = Published(candles_of(settled))


def _order(trade: Trade) -> ORDER:
    return trade.at, trade.trade_id or 0


def _closing_order(key: CandleKey) -> tuple[datetime, timedelta]:
    return key[1] + key[0].duration, key[0].duration


def _block(time: datetime) -> datetime:
    return Timeframe.M15.floor(time)


def _arrival(trade: Trade) -> tuple[int, datetime]:
    return trade.trade_id or 0, trade.at


def _grid(timeframe: Timeframe, start: datetime, end: datetime) -> list[datetime]:
    """Return the open times from `start`, which is one, of the candles that close until `end`."""
    count = max((end - start) // timeframe.duration, 0)
    return [start + index * timeframe.duration for index in range(count)]


def _confirmed_bar(candle: ClosedCandle) -> Bar:
    first, last = candle.first_trade_id, candle.last_trade_id
    return Bar(
        open_time=candle.open_time,
        length=MINUTE,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=exact(candle.volume),
        trades=candle.trades,
        first=(candle.open_time, first or 0),
        last=(candle.close_time - MICROSECOND, last or 0),
        numbered=first is not None and last is not None,
        confirmed=True,
    )
