"""The terms of a margin loan and the positions opened with it; formulas with sources: `trading.margin.arithmetic`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import InvalidValue
from trading.margin import arithmetic as margin
from trading.market import EPOCH, Pair
from trading.portfolio.exact import check_amount

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class MarginTerms:
    """The venue's charges, call level and liquidation level. Fees are shares of a position's opening value."""

    opening_fee: Decimal
    rollover_fee: Decimal  # each time `rollover_every` has passed
    rollover_every: timedelta
    call_level: Decimal  # equity / used margin
    liquidation_level: Decimal  # equity / used margin
    leverage: Decimal  # largest allowed

    def __post_init__(self) -> None:
        for name in ("opening_fee", "rollover_fee"):
            if not check_amount(name, getattr(self, name)) < 1:
                raise InvalidValue(f"{name} is {getattr(self, name)}: a share from 0 to 1 is wanted")
        if self.rollover_every <= timedelta(0):
            raise InvalidValue(f"rollover_every is {self.rollover_every}: it must be above zero")
        levels = (self.liquidation_level, self.call_level)
        if not (all(level.is_finite() for level in levels) and 0 < levels[0] <= levels[1] <= 1):
            raise InvalidValue(
                f"liquidation_level is {levels[0]}, call_level is {levels[1]}: "
                "wanted is 0 < liquidation_level <= call_level <= 1"
            )
        if not (self.leverage.is_finite() and self.leverage >= 1):
            raise InvalidValue(f"leverage is {self.leverage}: 1 or more is wanted")


@dataclass(frozen=True, slots=True)
class MarginPosition:
    """The part of one fill, opened with borrowed money, that is not closed."""

    pair: Pair
    quantity: Decimal  # base currency, signed, never zero; below zero: borrowed and sold
    entry_price: Decimal
    leverage: Decimal
    opened_at: datetime
    rolled: int  # rollovers charged so far

    @property
    def value(self) -> Decimal:
        """The amount lent, in quote, at the opening price; fees are shares of it."""
        return abs(self.quantity) * self.entry_price

    def profit(self, price: Decimal) -> Decimal:
        """Return the unrealised profit in quote, fees apart."""
        return self.quantity * (price - self.entry_price)

    def rollovers_due(self, now: datetime, terms: MarginTerms) -> int:
        """Count the rollovers due by `now`, those charged already included."""
        opened, at = ((time - EPOCH) // MICROSECOND for time in (self.opened_at, now))
        return margin.rollover_periods(opened, at, terms.rollover_every // MICROSECOND)
