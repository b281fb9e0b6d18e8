"""When trading stops by itself: the pause after a drawdown, the latch of a lost day, the cool-down after losses.

A halt is a fact with a beginning and an end. The journal keeps it, so that it outlives the process that found it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import takewhile

from trading.market import Pair
from trading.portfolio.exact import exactly
from trading.portfolio.trades import ClosedTrade
from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ZERO, quotient
from trading.risk.limits import Limits


class HaltKind(StrEnum):
    """Named as the risk rules that they close."""

    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily loss"
    LOSING_STREAK = "losing streak"


@dataclass(frozen=True, slots=True)
class Resume:
    """Who ended a pause, and why. `at` is the person's clock, which on history is not the account's."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """No new position from `since` on. Closing goes on."""

    kind: HaltKind
    since: datetime
    until: datetime | None  # None: until a person resumes
    reason: str  # what was measured against which limit
    resume: Resume | None = None

    @property
    def waits(self) -> bool:
        """Nothing but a person ends it."""
        return self.until is None and self.resume is None

    def active(self, at: datetime) -> bool:
        """A pause that a person ended is over at every time."""
        return self.resume is None and self.since <= at and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an account is worth, in one asset, against what it was worth."""

    equity: Decimal
    peak: Decimal  # highest equity since the account opened or was resumed
    day_opening: Decimal


def due_halts(
    standing: Standing,
    trades: Sequence[ClosedTrade],
    existing: Sequence[Halt],
    limits: Limits,
    now: datetime,
) -> list[Halt]:
    """The halts that begin now, given those that began before: at most one of each kind.

    `trades` are the account's, oldest first; `existing` holds past halts too: a streak of losses that has led to
    a cool-down is not counted again.
    """
    candidates = (
        _drawdown(standing, limits, now),
        _daily_loss(standing, limits, now),
        _losing_streak(trades, existing, limits, now),
    )
    active = {halt.kind for halt in existing if halt.active(now)}
    return [halt for halt in candidates if halt is not None and halt.kind not in active]


def active(halts: Iterable[Halt], at: datetime) -> tuple[Halt, ...]:
    return tuple(halt for halt in halts if halt.active(at))


def _drawdown(standing: Standing, limits: Limits, now: datetime) -> Halt | None:
    reason = _fallen(standing.equity, standing.peak, limits.drawdown)
    return Halt(HaltKind.DRAWDOWN, now, None, f"{reason} the equity peak") if reason else None


def _daily_loss(standing: Standing, limits: Limits, now: datetime) -> Halt | None:
    reason = _fallen(standing.equity, standing.day_opening, limits.daily_loss)
    if not reason:
        return None
    return Halt(HaltKind.DAILY_LOSS, now, _next_day(now), f"{reason} the day's opening equity")


def _fallen(equity: Decimal, before: Decimal, limit: float) -> str:
    """What was lost, in words; empty while it is less than the limit."""
    with exactly():
        lost, allowed = before - equity, Decimal(repr(limit)) * before
    if lost <= 0 or lost < allowed:
        return ""
    share = float(lost / before) if before > 0 else 1.0
    return f"equity {equity:.8g} is {share:.2%} (limit {limit:.2%}) below {before:.8g},"


def _next_day(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)


def _losing_streak(
    trades: Sequence[ClosedTrade], existing: Sequence[Halt], limits: Limits, now: datetime
) -> Halt | None:
    """Begins when the last of the losses was closed, whenever it is noticed."""
    counted = max((halt.since for halt in existing if halt.kind is HaltKind.LOSING_STREAK), default=None)
    trips = [
        trip for trip in _round_trips(trades) if trip[0] <= now and (counted is None or trip[0] > counted)
    ]
    losses = list(takewhile(lambda trip: trip[1] < 0, reversed(trips)))
    if len(losses) < limits.losing_streak:
        return None
    since = losses[0][0]
    until = since + timedelta(minutes=limits.cool_down_minutes)
    reason = f"{len(losses)} losses in a row (limit {limits.losing_streak})"
    return Halt(HaltKind.LOSING_STREAK, since, until, reason) if now < until else None


def _round_trips(trades: Sequence[ClosedTrade]) -> list[tuple[datetime, Decimal]]:
    """When each closed and what it gained, oldest first: a position that is closed in parts is one loss, not many."""
    trips: dict[tuple[Pair, datetime], tuple[datetime, Decimal]] = {}
    for trade in trades:
        key = (trade.pair, trade.opened_at)
        gained = trips[key][1] if key in trips else Decimal(0)
        trips[key] = (trade.closed_at, gained + trade.pnl)
    return sorted(trips.values(), key=lambda trip: trip[0])


def drawdown(case: Case) -> Answer:
    """Paused from a drawdown until a person resumes, however the equity recovers."""
    words = "equity {:.2%} below its peak; from {:.2%} on trading is paused until a person resumes"
    return _loss(case, HaltKind.DRAWDOWN, case.account.equity_peak, case.exact.drawdown, words)


def daily_loss(case: Case) -> Answer:
    """Closed from a lost day until the next UTC day, however the equity recovers."""
    words = "equity {:.2%} below the day's opening; from {:.2%} on no new position until the next UTC day"
    return _loss(case, HaltKind.DAILY_LOSS, case.account.day_opening_equity, case.exact.daily_loss, words)


def losing_streak(case: Case) -> Answer:
    """Closed for a while after losses in a row."""
    limit = case.limits.losing_streak
    if halted := _halted(case, HaltKind.LOSING_STREAK):
        return limit, limit, False, "{}", (halted,)
    return 0, limit, True, "no cool-down", ()


def _loss(case: Case, kind: HaltKind, before: Decimal, limit: Decimal, words: str) -> Answer:
    lost = before - case.account.equity
    measured = quotient(lost, before)
    if halted := _halted(case, kind):
        return measured, limit, False, "{}", (halted,)
    return measured, limit, before > ZERO and lost < limit * before, words, (measured, limit)


def _halted(case: Case, kind: HaltKind) -> str:
    """Why this halt holds; empty when it does not."""
    for halt in case.state.halts or ():
        if halt.kind is kind:
            end = f"until {halt.until:%Y-%m-%d %H:%M} UTC" if halt.until else "until a person resumes"
            return f"halted since {halt.since:%Y-%m-%d %H:%M} UTC {end}: {halt.reason}"
    return ""
