"""When an open position must be closed: its stop, its target, and the stop that trails the best price."""

from collections.abc import Iterator
from decimal import Decimal

import polars as pl

from trading.portfolio import Position


def hit_protection(position: Position, candles: pl.DataFrame, trailing_after: float) -> str:
    """Why the position must be closed, empty when no level was touched since it opened.

    `candles` are closed, ascending; those that opened before the position did are left out. Once the position has
    gained `trailing_after` times what it risked (entry to stop), the stop follows the best price at the distance
    that was risked, and never goes back. A candle moves the stop for the candles after it; for itself only when
    it closes beyond, since the close comes after every high and low. When one candle touches stop and target, the
    worse one is believed.
    """
    sign = 1 if position.quantity > 0 else -1
    first, target = _signed(position.stop_loss, sign), _signed(position.take_profit, sign)
    best, stop = sign * position.entry_price, first
    for worst, top, close in _prices(position, candles, sign):
        if stop is not None and worst <= stop:
            return _touched("stop-loss" if stop == first else "trailing stop", stop, worst)
        if target is not None and top >= target:
            return _touched("take-profit", target, top)
        best = max(best, top)
        stop = _trailed(sign * position.entry_price, first, best, trailing_after)
        if stop is not None and close <= stop:
            return _touched("trailing stop", stop, close)
    return ""


def _trailed(entry: Decimal, first: Decimal | None, best: Decimal, trailing_after: float) -> Decimal | None:
    """The stop once `best` was reached. All prices are signed: higher is better."""
    if first is None:
        return None
    risked = entry - first
    gained = best - entry
    return (
        max(first, best - risked)
        if risked > 0 and gained >= Decimal(repr(trailing_after)) * risked
        else first
    )


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


def _touched(level: str, price: Decimal, by: Decimal) -> str:
    return f"{level} {abs(price):f} was touched (at {abs(by):f})"
