"""The prices that protect a position: the rules for its stop and target, and when an open one has hit them."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import polars as pl

from trading.invalidation import broken_by_candle
from trading.portfolio import Position
from trading.risk.exact import ZERO, number, quotient
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer


def stop_loss(inputs: RuleInputs) -> Answer:
    """Pass when there is a stop, on the losing side of the entry and near enough."""
    risked, limit = inputs.risked, inputs.exact.stop_distance
    measured = quotient(risked, inputs.entry)
    if inputs.proposal.stop is None:
        return Answer(measured, limit, False, ("missing: no entry without a stop",))
    side = "below" if inputs.sign > 0 else "above"
    passes = ZERO < risked <= limit * inputs.entry and inputs.stop > ZERO
    note = "{:.2%} {} the entry, more than 0 and at most {:.2%}", measured, side, limit
    return Answer(measured, limit, passes, note)


def trailing_stop(inputs: RuleInputs) -> Answer:
    """Pass when the gain after which the stop follows the best price can be reached."""
    after = inputs.entry + inputs.sign * inputs.exact.trailing_after * inputs.risked
    passes = inputs.risked > ZERO and after > ZERO
    note = "from {:.8g} on, {:.8g} behind the best price", after, inputs.risked
    return Answer(after, ZERO, passes, note)


def take_profit(inputs: RuleInputs) -> Answer:
    """Pass when there is a target, and it is worth the risk."""
    limit, reward = inputs.exact.reward_risk, inputs.sign * (inputs.take_profit - inputs.entry)
    measured = quotient(reward, inputs.risked)
    if inputs.proposal.take_profit is None:
        return Answer(measured, limit, False, ("missing: no entry without a take profit",))
    passes = inputs.risked > ZERO and reward >= limit * inputs.risked and inputs.take_profit > ZERO
    return Answer(measured, limit, passes, ("reward {:.2f} x the risk, at least {:g}", measured, limit))


def advance(position: Position, candles: pl.DataFrame, *, resting: bool = True) -> Position:
    """Return the position after these closed candles: its stop trailed, `exit_reason` set once a level was touched.

    Walks only candles that it has not seen (`checked_until`; the first is the one that the position was opened in),
    so that a step costs the same after a minute and after a year. `resting`: its stop is at the venue, which fills it;
    without one a touched stop is a reason to close.
    """
    if position.exit_reason:
        return position
    return last(walk(position, candles, resting=resting), position)


def walk(position: Position, candles: pl.DataFrame, *, resting: bool = True) -> Iterator[Position]:
    """Yield the position after each new candle, up to the one that gives it a reason to close."""
    since = position.checked_until or position.opened_at
    times = candles["close_time"].to_list()
    new = candles[bisect_right(times, since) :]
    columns = (new[name].to_list() for name in ("open_time", "low", "high", "close", "close_time"))
    for open_time, low, high, close, close_time in zip(*columns, strict=True):
        if position.stop_since is not None and open_time < position.stop_since:
            # The worst price may be older than the stop, which ticks have moved since the candle opened.
            low, high = (close, high) if position.quantity > 0 else (low, close)
        position = after_candle(position, low, high, close=close, close_time=close_time, resting=resting)
        position = _after_close(position, close, close_time)
        yield position
        if position.exit_reason:
            return


def _after_close(position: Position, close: float, close_time: datetime) -> Position:
    """Return the position with a reason to close where its invalidations give one; a touched level comes first."""
    if position.exit_reason or not position.invalidations:
        return position
    sign = 1 if position.quantity > 0 else -1
    return replace(position, exit_reason=broken_by_candle(position.invalidations, sign, close, close_time))


def last(positions: Iterable[Position], first: Position) -> Position:
    """Return the last of them, `first` when there is none."""
    return deque([first, *positions], maxlen=1).pop()


def after_candle(
    position: Position, low: float, high: float, *, close: float, close_time: datetime, resting: bool
) -> Position:
    """Return the position after one closed candle.

    Once the price has reached `trailing_after`, the stop follows the best price at `trailing_distance` and never goes
    back. A candle moves the stop for the candles after it; for itself only when it closes beyond, since the close
    comes after every high and low. When one candle touches stop and target, the stop counts.
    """
    sign = 1 if position.quantity > 0 else -1
    worst, top = (low, number(high)) if sign > 0 else (high, number(low))
    stop, target = position.stop_loss, position.take_profit
    reason = "" if resting else _touch(position, stop, worst, sign=sign)
    if not reason and target is not None and (top >= target if sign > 0 else top <= target):
        reason = _describe_touch("take-profit", target, top)
    if reason:
        return replace(position, checked_until=close_time, exit_reason=reason)
    best = _better(position.best_price or position.entry_price, top, sign)
    level = _trailing_level(position, best, sign)
    if stop is not None and level is not None:
        stop = _better(stop, level, sign)
    moved = replace(position, best_price=best, stop_loss=stop, checked_until=close_time)
    if not resting and (reason := _touch(moved, stop, close, sign=sign)):
        return replace(moved, exit_reason=reason)
    return moved


def after_ticks(
    position: Position, low: float, high: float, *, last: float, at: datetime, resting: bool
) -> Position:
    """Return the position after the prices of a moment, which count as one short candle that closes at `last`.

    `checked_until` stays: the closed candle that holds them is walked as well, for it has what no tick showed.
    `stop_since` says that the stop's level is younger than that candle's start.
    """
    moved = after_candle(position, low, high, close=last, close_time=at, resting=resting)
    since = at if moved.stop_loss != position.stop_loss else position.stop_since
    return replace(moved, checked_until=position.checked_until, stop_since=since)


def _touch(position: Position, stop: Decimal | None, price: float, *, sign: int) -> str:
    """Return which stop the price has touched; empty when none."""
    if stop is None or sign * number(price) > sign * stop:
        return ""
    best = position.best_price
    trails = best is not None and stop == _trailing_level(position, best, sign)
    return _describe_touch("trailing stop" if trails else "stop-loss", stop, number(price))


def _trailing_level(position: Position, best: Decimal, sign: int) -> Decimal | None:
    """Return where the trailing stop is once the price was at `best`; None before it starts."""
    after, distance = position.trailing_after, position.trailing_distance
    if after is None or distance is None or (best < after if sign > 0 else best > after):
        return None
    return best - sign * distance


def _better(first: Decimal, second: Decimal, sign: int) -> Decimal:
    return max(first, second) if sign > 0 else min(first, second)


def _describe_touch(level: str, price: Decimal, by: Decimal) -> str:
    return f"{level} {price:f} was touched (at {by:f})"
