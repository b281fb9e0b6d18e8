"""Halts of trading: the pause after a drawdown, the end of a lost day, the cool-down after losses, and their rules.

A halt is a fact with a beginning and an end. The journal stores it, so that it outlives the process that found it;
the rules refuse an entry after a loss beyond its limit even before the halt was written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import takewhile

from trading.market import EPOCH, Pair, midnight
from trading.portfolio.exact import exactly
from trading.portfolio.trades import ClosedTrade
from trading.risk.cool_down import cool_down_end
from trading.risk.exact import ZERO, quotient
from trading.risk.limits import Limits
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer, Halt, HaltKind

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EquityLevels:
    """The equity of an account now, at its peak and at the day's opening, in one asset."""

    equity: Decimal
    peak: Decimal  # highest equity since the account opened or was resumed
    day_opening: Decimal


def due_halts(
    levels: EquityLevels,
    trades: Sequence[ClosedTrade],
    existing: Sequence[Halt],
    limits: Limits,
    now: datetime,
    candle: timedelta,
    rejects: int = 0,
) -> list[Halt]:
    """Return the halts that begin now, given those that began before: at most one of each kind.

    Decisions are made at the close of every `candle`, counted from the epoch. `trades` are the account's, oldest
    first; `existing` holds past halts too: a streak of losses that has led to a cool-down is not counted again.
    `rejects` orders in a row were rejected by the venue.
    """
    candidates = (
        _drawdown_halt(levels, limits, now),
        _daily_loss_halt(levels, limits, now),
        _losing_streak_halt(trades, existing, limits, now, candle=candle),
        _rejects_halt(rejects, limits, now),
    )
    active_kinds = {halt.kind for halt in active_halts(existing, now)}
    return [halt for halt in candidates if halt is not None and halt.kind not in active_kinds]


def active_halts(halts: Iterable[Halt], at: datetime) -> tuple[Halt, ...]:
    """Return those that stop entries at that time."""
    return tuple(halt for halt in halts if halt.active(at))


def _drawdown_halt(levels: EquityLevels, limits: Limits, now: datetime) -> Halt | None:
    reason = _describe_loss(levels.equity, levels.peak, limits.drawdown)
    return Halt(HaltKind.DRAWDOWN, now, None, f"{reason} the equity peak") if reason else None


def _daily_loss_halt(levels: EquityLevels, limits: Limits, now: datetime) -> Halt | None:
    reason = _describe_loss(levels.equity, levels.day_opening, limits.daily_loss)
    if not reason:
        return None
    until = midnight(now.astimezone(UTC).date() + timedelta(days=1))
    return Halt(HaltKind.DAILY_LOSS, now, until, f"{reason} the day's opening equity")


def _rejects_halt(rejects: int, limits: Limits, now: datetime) -> Halt | None:
    if rejects < limits.failures_in_a_row:
        return None
    words = f"the venue rejected {rejects} orders in a row (limit {limits.failures_in_a_row})"
    return Halt(HaltKind.FAILURES, now, None, words)


def _describe_loss(equity: Decimal, before: Decimal, limit: float) -> str:
    """Describe the loss; empty while it is less than the limit."""
    with exactly():
        lost, allowed = before - equity, Decimal(repr(limit)) * before
    if lost <= 0 or lost < allowed:
        return ""
    share = float(lost / before) if before > 0 else 1.0
    return f"equity {equity:.8g} is {share:.2%} (limit {limit:.2%}) below {before:.8g},"


def _losing_streak_halt(
    trades: Sequence[ClosedTrade],
    existing: Sequence[Halt],
    limits: Limits,
    now: datetime,
    candle: timedelta,
) -> Halt | None:
    """Return the cool-down; it begins when the last of the losses was closed, whenever that is noticed."""
    counted = max((halt.since for halt in existing if halt.kind is HaltKind.LOSING_STREAK), default=None)
    trips = [
        trip for trip in _round_trips(trades) if trip[0] <= now and (counted is None or trip[0] > counted)
    ]
    losses = list(takewhile(lambda trip: trip[1] < 0, reversed(trips)))
    if len(losses) < limits.losing_streak:
        return None
    since = losses[0][0]
    until = _cool_down_end(since, limits, candle)
    reason = f"{len(losses)} losses in a row (limit {limits.losing_streak})"
    return Halt(HaltKind.LOSING_STREAK, since, until, reason) if now < until else None


def _cool_down_end(since: datetime, limits: Limits, candle: timedelta) -> datetime:
    closed_at, length = (since - EPOCH) // MICROSECOND, candle // MICROSECOND
    end = cool_down_end(
        closed_at,
        candle_open=closed_at // length * length,
        minimum=timedelta(minutes=limits.cool_down_minutes) // MICROSECOND,
        candles=limits.cool_down_candles,
        length=length,
    )
    return EPOCH + end * MICROSECOND


def _round_trips(trades: Sequence[ClosedTrade]) -> list[tuple[datetime, Decimal]]:
    """Return closing time and gain of each, oldest first: a position that is closed in parts is one loss, not many."""
    trips: dict[tuple[Pair, datetime], tuple[datetime, Decimal]] = {}
    for trade in trades:
        key = (trade.pair, trade.opened_at)
        gained = trips[key][1] if key in trips else Decimal(0)
        trips[key] = (trade.closed_at, gained + trade.pnl)
    return sorted(trips.values(), key=lambda trip: trip[0])


def drawdown(inputs: RuleInputs) -> Answer:
    """Refuse entries from a drawdown until a person resumes, even if the equity recovers."""
    return _loss(
        inputs,
        HaltKind.DRAWDOWN,
        before=inputs.account.equity_peak,
        limit=inputs.exact.drawdown,
        words="equity {:.2%} below its peak; from {:.2%} on trading is paused until a person resumes",
    )


def daily_loss(inputs: RuleInputs) -> Answer:
    """Refuse entries from a lost day until the next UTC day, even if the equity recovers."""
    return _loss(
        inputs,
        HaltKind.DAILY_LOSS,
        before=inputs.account.day_opening_equity,
        limit=inputs.exact.daily_loss,
        words="equity {:.2%} below the day's opening; from {:.2%} on no new position until the next UTC day",
    )


def losing_streak(inputs: RuleInputs) -> Answer:
    """Refuse entries for a while after losses in a row."""
    limit = inputs.limits.losing_streak
    if reason := _active_halt(inputs, HaltKind.LOSING_STREAK):
        return Answer(limit, limit, False, ("{}", reason))
    return Answer(0, limit, True, ("no cool-down",))


def kill_switch(inputs: RuleInputs) -> Answer:
    """Refuse entries since a person pulled the kill switch."""
    return _not_halted(inputs, HaltKind.KILL_SWITCH)


def reconciliation(inputs: RuleInputs) -> Answer:
    """Refuse entries while the venue's books differ from the ledger and nobody knows why."""
    return _not_halted(inputs, HaltKind.RECONCILIATION)


def unprotected(inputs: RuleInputs) -> Answer:
    """Refuse entries since a position could not be protected in time."""
    return _not_halted(inputs, HaltKind.PROTECTION)


def failures(inputs: RuleInputs) -> Answer:
    """Refuse entries since too much failed in a row."""
    return _not_halted(inputs, HaltKind.FAILURES)


def _not_halted(inputs: RuleInputs, kind: HaltKind) -> Answer:
    reason = _active_halt(inputs, kind)
    return Answer(int(bool(reason)), 0, not reason, ("{}", reason or "no such halt"))


def _loss(inputs: RuleInputs, kind: HaltKind, before: Decimal, limit: Decimal, words: str) -> Answer:
    lost = before - inputs.account.equity
    measured = quotient(lost, before)
    if reason := _active_halt(inputs, kind):
        return Answer(measured, limit, False, ("{}", reason))
    passes = before > ZERO and lost < limit * before
    return Answer(measured, limit, passes, (words, measured, limit))


def _active_halt(inputs: RuleInputs, kind: HaltKind) -> str:
    """Since when, until when and why; empty while no halt of this kind is active."""
    for halt in inputs.state.halts or ():
        if halt.kind is kind:
            end = f"until {halt.until:%Y-%m-%d %H:%M} UTC" if halt.until else "until a person resumes"
            return f"halted since {halt.since:%Y-%m-%d %H:%M} UTC {end}: {halt.reason}"
    return ""
