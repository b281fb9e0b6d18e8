"""The prices that protect a position: the rules for its stop and target, and when an open one has hit them."""

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from trading.portfolio import Position
from trading.risk.exact import ZERO, quotient
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


def hit_protection(position: Position, candles: pl.DataFrame, trailing_after: float) -> str:
    """Return why the position must be closed; empty when no level was touched since it opened.

    `candles` are closed, ascending; those that opened before the position did are left out. Once the position has
    gained `trailing_after` times what it risked (entry to stop), the stop follows the best price at the distance
    that was risked, and never goes back. A candle moves the stop for the candles after it; for itself only when
    it closes beyond, since the close comes after every high and low. When one candle touches stop and target, the
    stop counts.
    """
    sign = 1 if position.quantity > 0 else -1
    first, target = _signed(position.stop_loss, sign), _signed(position.take_profit, sign)
    best, stop = sign * position.entry_price, first
    for worst, top, close in _prices(position, candles, sign):
        if stop is not None and worst <= stop:
            return _describe_touch("stop-loss" if stop == first else "trailing stop", stop, worst)
        if target is not None and top >= target:
            return _describe_touch("take-profit", target, top)
        best = max(best, top)
        stop = _trailing_level(sign * position.entry_price, first, best, trailing_after)
        if stop is not None and close <= stop:
            return _describe_touch("trailing stop", stop, close)
    return ""


def _trailing_level(
    entry: Decimal, first: Decimal | None, best: Decimal, trailing_after: float
) -> Decimal | None:
    """Return the stop once `best` was reached. All prices are signed: higher is better."""
    if first is None:
        return None
    risked = entry - first
    gained = best - entry
    trails = risked > 0 and gained >= Decimal(repr(trailing_after)) * risked
    return max(first, best - risked) if trails else first


def _prices(
    position: Position, candles: pl.DataFrame, sign: int
) -> Iterator[tuple[Decimal, Decimal, Decimal]]:
    """Worst, best and last price of each candle since the opening, signed."""
    since = candles.filter(pl.col("open_time") >= position.opened_at)
    for low, high, close in since.select("low", "high", "close").iter_rows():
        worst, top = (low, high) if sign > 0 else (high, low)
        yield sign * Decimal(str(worst)), sign * Decimal(str(top)), sign * Decimal(str(close))


def _signed(level: Decimal | None, sign: int) -> Decimal | None:
    return None if level is None else sign * level


def _describe_touch(level: str, price: Decimal, by: Decimal) -> str:
    return f"{level} {abs(price):f} was touched (at {abs(by):f})"
