"""One pair's day: its candles, the account's rules, and what was held when it began."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np

from trading.backtest import AccountRules, Bars, OpenPosition
from trading.fills import execution_price
from trading.market import EPOCH, Pair
from trading.portfolio import Position

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class PairDay:
    """Candle 0 is the one whose close begins the day: it decides, and nothing trades in it."""

    pair: Pair
    bars: Bars
    rules: AccountRules
    equity: float  # of the account as the day begins, in the pair's quote
    position: Position | None  # held as the day begins, its levels as far as candles have moved them
    # What one unit is worth as the day ends, in the account's quote: of both assets, and of those fees were paid in.
    base_rate: Decimal
    quote_rate: Decimal
    fee_rates: Mapping[str, Decimal]

    def value(self, quantity: Decimal, price: Decimal, fee: Decimal) -> Decimal:
        """Return what buying `quantity` (below zero: selling) at `price` has brought by the end of the day.

        `fee` is in the pair's quote, the value in the account's. To be called inside `exactly`.
        """
        return quantity * self.base_rate - (quantity * price + fee) * self.quote_rate

    @property
    def opening(self) -> OpenPosition | None:
        """Return the position as the kernel takes it."""
        held = self.position
        if held is None:
            return None
        return OpenPosition(
            quantity=float(held.quantity),
            entry_price=float(held.entry_price),
            stop=_or_nan(held.stop_loss),
            take_profit=_or_nan(held.take_profit),
            trailing_after=_or_nan(held.trailing_after),
            trailing_distance=_or_nan(held.trailing_distance),
            best_price=_or_nan(held.best_price),
        )

    def close_time(self, candle: int) -> datetime:
        return EPOCH + (int(self.bars.open_time[candle]) + self.bars.length) * MICROSECOND

    def candle_at(self, time: datetime) -> int:
        """Return the candle in which something happened; where none covers that time, the next one, or the last."""
        at = (time - EPOCH) // MICROSECOND
        found = int(np.searchsorted(self.bars.open_time, at, side="right")) - 1
        if found < 0 or at >= self.bars.open_time[found] + self.bars.length:
            found += 1
        return min(max(found, 1), len(self.bars) - 1)

    def price(self, candle: int, sign: int) -> Decimal:
        """Return what a back-test pays (sign 1) or receives (-1) at the candle's open."""
        return computed(execution_price(float(self.bars.open[candle]), float(sign), self.rules.costs))

    def fee(self, candle: int, quantity: Decimal, price: Decimal) -> Decimal:
        """Return what a back-test pays for such a fill, in quote."""
        return computed(abs(float(quantity)) * float(price) * self._fee_share(candle))

    def _fee_share(self, candle: int) -> float:
        day = self.close_time(candle).date() if candle == 0 else self._open_time(candle).date()
        fees = self.rules.taker_fees
        begun = [fee for since, fee in fees if since <= day]
        if begun:
            return begun[-1]
        return fees[0][1] if fees else self.rules.costs.taker_fee

    def _open_time(self, candle: int) -> datetime:
        return EPOCH + int(self.bars.open_time[candle]) * MICROSECOND


def computed(number: float) -> Decimal:
    """Return what a product of floats stands for: beyond 12 digits it is their rounding."""
    return Decimal(f"{float(number):.12g}")


def _or_nan(price: Decimal | None) -> float:
    return math.nan if price is None else float(price)
