"""What is proven: up to when, by which ids, and which gaps are open. Times are the venue's, in UTC."""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from streaming.bars.restart import check_same_market
from streaming.events import Trade
from trading.feed_gaps import FeedGap, MissingKind
from trading.market import Pair, Timeframe

MICROSECOND = timedelta(microseconds=1)
START_REASON = "the stream began here"
DOWN_REASON = "the stream was not running"


@dataclass(slots=True)
class Changes:
    """What one input did to the gaps: opened or given other bounds, closed, and the time to look at again."""

    known_at: datetime
    opened: dict[tuple[datetime, int | None], FeedGap] = field(default_factory=dict)
    closed: dict[tuple[datetime, int | None], FeedGap] = field(default_factory=dict)
    spans: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    new: set[tuple[datetime, int | None]] = field(default_factory=set)
    reopened: set[datetime] = field(default_factory=set)  # days that are asked for as a whole
    minutes: dict[datetime, bool] = field(
        default_factory=dict
    )  # that got trades, and whether their close changed

    @property
    def anything(self) -> bool:
        """Whether there is something to look at again, or to note in the ledger."""
        return bool(self.opened or self.closed or self.spans or self.minutes or self.reopened)

    def open(self, gap: FeedGap, known: bool = False) -> None:
        key = gap_key(gap)
        if not known and key not in self.closed:
            self.new.add(key)
        self.closed.pop(key, None)
        self.opened[key] = gap

    def close(self, gap: FeedGap, proven: bool = True) -> None:
        """Close a gap. One that this same input opened was never a gap to anybody else."""
        key = gap_key(gap)
        self.opened.pop(key, None)
        if key in self.new:
            self.new.discard(key)
        else:
            self.closed[key] = gap
        if proven:
            self.spans.append((gap.since, gap.until))


def gap_key(gap: FeedGap) -> tuple[datetime, int | None]:
    return gap.since, gap.after_id


@dataclass(slots=True)
class Coverage:
    """Every trade before `frontier` is known, but those of the open gaps. One pair; gaps in order of `since`."""

    origin: str
    pair: Pair
    grace: timedelta
    begin: Timeframe  # with the candle of this length the first gap begins
    began: datetime | None = None
    frontier: datetime | None = None
    last: Trade | None = None  # of the highest id, or the newest where trades have none
    live: bool = False
    down: bool = False  # restored from a checkpoint, and nobody has said since when nobody listened
    replayed_until: datetime | None = None  # trades without an id until then were counted before the restart
    gaps: list[FeedGap] = field(default_factory=list)
    may_have_tails: bool = True  # False: no gap lies after the last trade

    def touches(self, start: datetime, end: datetime) -> bool:
        """Return whether trades of [start, end) may be missing."""
        return any(gap.since < end and (gap.until is None or gap.until >= start) for gap in self.gaps)

    def lacks(self, trade: Trade) -> bool:
        """Return whether an open gap may hold the trade."""
        return any(_may_hold(gap, trade) for gap in self.gaps)

    def advance(self, venue_now: datetime) -> None:
        """Let the venue's clock prove that everything before it came, while the channel is live."""
        if self.live:
            self._reach(venue_now - self.grace)

    def interrupt(self, since: datetime, reason: str, kind: MissingKind, changes: Changes) -> None:
        """Open a gap that lasts, unless one does already."""
        self.down = False
        since = self._certain(since)
        tail = self._tail()
        if tail is None:
            self._open(self._gap(since, None, self._last_id(), None, kind, reason, changes), changes)
        elif tail.kind is kind:
            self._change(tail, replace(tail, until=None), changes)
        elif since <= tail.since:
            self._change(tail, replace(tail, until=None, kind=kind, reason=reason), changes)
        else:
            self._change(tail, replace(tail, until=since), changes)
            self._open(self._gap(since, None, tail.after_id, None, kind, reason, changes), changes)
        self.live = False

    def restore(self, at: datetime, changes: Changes) -> None:
        """End the lasting gap; it stays open until it is proven what was in it."""
        self.settle_restart(changes)
        if self.live:
            return
        tail = self._tail()
        if tail is None:
            self._begin(at, changes)
        elif tail.until is None:
            self._change(tail, replace(tail, until=max(at, tail.since)), changes)
        self.live = True

    def settle_restart(self, changes: Changes) -> None:
        """Open the gap since the checkpoint, where nobody has said anything better."""
        if self.down and self.frontier is not None:
            self.interrupt(self.frontier, DOWN_REASON, MissingKind.FEED_GAP, changes)
        self.down = False

    def reopen(self, since: datetime, until: datetime, reason: str, changes: Changes) -> None:
        """Open a gap for a time that was settled or not followed: which ids it has is not known."""
        self.began = since if self.began is None else min(since, self.began)
        self._open(self._gap(since, until, None, None, MissingKind.FEED_GAP, reason, changes), changes)

    def accept(self, trade: Trade, changes: Changes) -> bool:
        """Take a trade of the stream into account; False for one that is known."""
        number = trade.trade_id
        if number is None:
            return self._accept_unnumbered(trade, changes)
        last = self._last_id()
        if last is not None and number <= last:
            return self._accept_late(trade, number, changes)
        if last is not None and number == last + 1:
            if self.may_have_tails:
                for gap in self._tails():
                    self.gaps.remove(gap)
                    changes.close(replace(gap, until=gap.until or trade.at, before_id=number))
        else:
            self._open_before(trade, number, changes)
        self.last, self.live, self.may_have_tails = trade, True, False
        self._reach(trade.at)
        return True

    def prove(
        self, since: datetime, until: datetime, trades: Sequence[Trade], changes: Changes
    ) -> list[Trade]:
        """Subtract [since, until], of which `trades` are all, from the gaps; returns those that were missing."""
        new = [trade for trade in trades if self._is_missing(trade)]
        newer = sorted(filter(self._is_newer, trades), key=_number)
        tails = self._tails()
        lasting = bool(tails) and tails[-1].until is None and tails[-1].since <= until
        for gap in [each for each in self.gaps if each.since <= until and _reaches(each, since)]:
            self._subtract(gap, since, until, trades, changes)
        if numbered := sorted((each for each in trades if each.trade_id is not None), key=_number):
            self._narrow(numbered[0], numbered[-1], changes)
        if newer:
            self._doubt_before(newer[0], since, tails, changes)
            tails = self._tails()
            self.last, self.may_have_tails = newer[-1], True
            for gap in tails:  # what they lack came before these, or follows them
                if gap.since <= newer[0].at:
                    self._change(gap, replace(gap, before_id=_number(newer[0])), changes)
                else:
                    self._split(gap, None, replace(gap, after_id=self._last_id(), gap_id=0), changes)
        if lasting or self.frontier is None or since <= self.frontier:
            self._reach(until)
        return new

    def _doubt_before(
        self, trade: Trade, since: datetime, tails: Sequence[FeedGap], changes: Changes
    ) -> None:
        """Open a gap where the ids of the history show that trades were lost while the channel seemed to be live."""
        last, number = self.last, _number(trade)
        if last is None and self.began is not None and self.began < since:
            # Nothing says which id comes before the first one, so that all before this history is in doubt.
            kind, until = MissingKind.FEED_GAP, since - MICROSECOND
            self._open(self._gap(self.began, until, None, number, kind, START_REASON, changes), changes)
        if last is None or last.trade_id is None or number == last.trade_id + 1 or not tails:
            return
        until = min(gap.since for gap in tails) - MICROSECOND
        if until >= last.at:
            reason = f"trades {last.trade_id + 1} to {number - 1} are missing"
            kind = MissingKind.FEED_GAP
            self._open(self._gap(last.at, until, last.trade_id, number, kind, reason, changes), changes)

    def _is_newer(self, trade: Trade) -> bool:
        """Return whether the trade follows the last one of the stream."""
        if trade.trade_id is None:
            return False
        last = self._last_id()
        return self.last is None or (last is not None and trade.trade_id > last and trade.at >= self.last.at)

    def _is_missing(self, trade: Trade) -> bool:
        return self._is_newer(trade) or self.lacks(trade)

    def _subtract(
        self, gap: FeedGap, since: datetime, until: datetime, trades: Iterable[Trade], changes: Changes
    ) -> None:
        ids = [_number(trade) for trade in trades if trade.trade_id is not None and _may_hold(gap, trade)]
        first, last = (min(ids), max(ids)) if ids else (gap.before_id, gap.after_id)
        left = right = None
        if since > gap.since:
            left = replace(gap, until=since - MICROSECOND, before_id=first)
        if gap.until is None or gap.until > until:
            right = replace(gap, since=until + MICROSECOND, after_id=last, gap_id=0)
        changes.spans.append((max(gap.since, since), until if gap.until is None else min(gap.until, until)))
        self._split(gap, left, right, changes)

    def _split(self, gap: FeedGap, left: FeedGap | None, right: FeedGap | None, changes: Changes) -> None:
        """Leave these parts of a gap open. Without a left one the gap itself is closed, as far as `right`."""
        if left is not None:
            self._change(gap, left, changes)
        else:
            self.gaps.remove(gap)
            end = gap.until if right is None else max(right.since - MICROSECOND, gap.since)
            changes.close(replace(gap, until=end), proven=False)
        if right is not None:
            self._open(replace(right, found_at=changes.known_at), changes)

    def _accept_unnumbered(self, trade: Trade, changes: Changes) -> bool:
        if self.replayed_until is not None and trade.at <= self.replayed_until:
            return False
        if not self.live:
            self.restore(trade.at, changes)
        if self.last is None or trade.at >= self.last.at:
            self.last = trade
        self._reach(trade.at - self.grace)
        return True

    def _accept_late(self, trade: Trade, number: int, changes: Changes) -> bool:
        """Take a trade out of the gap that it was missing in."""
        lacking = [each for each in self.gaps if _may_hold(each, trade)]
        if not lacking:
            assert self.last is not None
            check_same_market(self.origin, trade, self.last)
            return False
        gap = next((each for each in lacking if _lasts_at(each, trade.at)), lacking[0])
        before, after = gap.after_id, gap.before_id
        at = max(trade.at, gap.since) if gap.until is None else min(max(trade.at, gap.since), gap.until)
        left = right = None
        if before is None or before + 1 < number:
            left = replace(gap, until=at, before_id=number)
        if after is None or number + 1 < after:
            right = replace(gap, since=at, after_id=number, gap_id=0)
        changes.spans.append((gap.since, gap.until))
        self._split(gap, left, right, changes)
        self._narrow(trade, trade, changes)
        return True

    def _narrow(self, first: Trade, last: Trade, changes: Changes) -> None:
        """Take what came between these two out of the ids of gaps that ended before or began after: ids follow time."""
        for gap in [each for each in self.gaps if each.after_id is not None and each.before_id is not None]:
            if gap.until is not None and gap.until < first.at and _may_hold(gap, first):
                left, right = replace(gap, before_id=_number(first)), None
            elif gap.since > last.at and _may_hold(gap, last):
                left, right = None, replace(gap, after_id=_number(last), gap_id=0)
            else:
                continue
            [rest] = [each for each in (left, right) if each]
            if _number_after(rest.after_id) == rest.before_id:
                self.gaps.remove(gap)
                changes.close(gap)
            else:
                self._split(gap, left, right, changes)

    def _open_before(self, trade: Trade, number: int, changes: Changes) -> None:
        """Open a gap before a trade that does not follow the last one; it takes in what lasted until now."""
        tails = self._tails()
        if self.last is None:
            if self.began is None:
                self._begin(trade.at, changes)
                tails = self._tails()
            since = self.began or trade.at  # without an earlier id only the history proves that none was lost
        else:
            since = self.last.at
        for gap in tails:
            self.gaps.remove(gap)
            changes.close(replace(gap, until=gap.until or max(trade.at, gap.since)), proven=False)
        last = self._last_id()
        kinds = {gap.kind for gap in tails}
        kind = MissingKind.MAINTENANCE if kinds == {MissingKind.MAINTENANCE} else MissingKind.FEED_GAP
        missing = "" if last is None else f"trades {last + 1} to {number - 1} are missing"
        reason = "; ".join([*dict.fromkeys(gap.reason for gap in tails), *filter(None, [missing])])
        until = max(trade.at, since)
        self._open(self._gap(since, until, last, number, kind, reason, changes), changes)

    def _begin(self, at: datetime, changes: Changes) -> None:
        since = self.begin.floor(at)
        self.began = since
        self._reach(since)
        self._open(self._gap(since, at, None, None, MissingKind.FEED_GAP, START_REASON, changes), changes)

    def _certain(self, since: datetime) -> datetime:
        """Return from when on trades may be missing: what is proven is not taken back, and ids follow the last."""
        if self.frontier is None:
            self.began = self.begin.floor(since)
            self._reach(self.began)
            return self.began
        since = min(since, self.frontier)
        if self.last is not None and self.last.trade_id is not None:
            since = max(since, self.last.at)
        return since

    def _tails(self) -> list[FeedGap]:
        """Return the gaps after the last trade: which ids they lack only the next trade tells."""
        last = self._last_id()
        if last is None and self.last is not None:
            return [gap for gap in self.gaps if gap.until is None or gap.until > self.last.at]
        return [gap for gap in self.gaps if gap.before_id is None and gap.after_id == last]

    def _tail(self) -> FeedGap | None:
        tails = self._tails()
        return tails[-1] if tails else None

    def _last_id(self) -> int | None:
        return None if self.last is None else self.last.trade_id

    def _reach(self, time: datetime) -> None:
        if self.frontier is None or time > self.frontier:
            self.frontier = time

    def _gap(
        self,
        since: datetime,
        until: datetime | None,
        after_id: int | None,
        before_id: int | None,
        kind: MissingKind,
        reason: str,
        changes: Changes,
    ) -> FeedGap:
        return FeedGap(
            origin=self.origin,
            pair=self.pair,
            since=since,
            until=until,
            after_id=after_id,
            before_id=before_id,
            kind=kind,
            reason=reason,
            found_at=changes.known_at,
        )

    def _open(self, gap: FeedGap, changes: Changes) -> None:
        """Add a gap; where one since the same time and trade is open, that one becomes both."""
        same = next((each for each in self.gaps if gap_key(each) == gap_key(gap)), None)
        if same is not None:
            self._change(same, _joined(same, gap), changes)
            return
        self.may_have_tails = True
        insort(self.gaps, gap, key=lambda each: (each.since, each.after_id or 0))
        changes.open(gap)

    def _change(self, gap: FeedGap, changed: FeedGap, changes: Changes) -> None:
        self.may_have_tails = True
        self.gaps[self.gaps.index(gap)] = changed
        changes.open(changed, known=gap_key(gap) not in changes.new)


def _reaches(gap: FeedGap, since: datetime) -> bool:
    return gap.until is None or gap.until >= since


def _may_hold(gap: FeedGap, trade: Trade) -> bool:
    """Return whether the trade is one that the gap lacks: by its id where both ends are known, else by both."""
    number = trade.trade_id
    if number is not None:
        if gap.after_id is not None and number <= gap.after_id:
            return False
        if gap.before_id is not None and number >= gap.before_id:
            return False
        if gap.after_id is not None and gap.before_id is not None:
            return True
    return _lasts_at(gap, trade.at)


def _lasts_at(gap: FeedGap, at: datetime) -> bool:
    return gap.since <= at and (gap.until is None or at <= gap.until)


def _joined(one: FeedGap, other: FeedGap) -> FeedGap:
    """Return one gap for two that begin alike: it lasts as long, and lacks as many trades, as both."""
    ends = [each.until for each in (one, other) if each.until is not None]
    ids = [each.before_id for each in (one, other) if each.before_id is not None]
    return replace(
        one,
        until=max(ends) if len(ends) == 2 else None,
        before_id=max(ids) if len(ids) == 2 else None,
        kind=one.kind if one.kind is other.kind else MissingKind.FEED_GAP,
        reason="; ".join(dict.fromkeys((one.reason, other.reason))),
    )


def _number_after(number: int | None) -> int | None:
    return None if number is None else number + 1


def _number(trade: Trade) -> int:
    assert trade.trade_id is not None
    return trade.trade_id
