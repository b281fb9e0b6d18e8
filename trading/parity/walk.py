"""A day through the back-test kernel: from what is done after each candle to trades and their value."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from trading.backtest import AccountRules, Backtest, Plan, run
from trading.backtest.records import Reason
from trading.parity.day import PairDay, computed
from trading.portfolio.exact import exactly

PROTECTIVE = frozenset({Reason.STOP, Reason.TAKE_PROFIT, Reason.TRAILING})
_MIN_TARGET = (
    0.01  # of an order whose quantity is given: the kernel needs some exposure, the quantity is scaled
)


@dataclass(frozen=True, slots=True)
class Row:
    """What is done after one candle, as `Plan` has it: `target` while flat (NaN: nothing), `leaves` while held.

    The distances are shares of the entry. `quantity` is what was ordered, in base currency; None: the target's size.
    """

    target: float = math.nan
    stop: float = math.nan
    take_profit: float = math.nan
    leaves: int = 0
    quantity: Decimal | None = None

    @property
    def enters(self) -> bool:
        return not math.isnan(self.target) and self.target != 0


NOTHING = Row()


@dataclass(frozen=True, slots=True)
class Leg:
    """One order that was filled as a whole, inside one candle."""

    candle: int
    quantity: Decimal  # signed, base currency
    price: Decimal
    fee: Decimal  # quote, and what borrowing cost


@dataclass(frozen=True, slots=True)
class Trade:
    """A position from flat to flat; `entered` None: held as the day began, `left` None: held as it ended."""

    entered: Leg | None
    left: Leg | None = None
    reason: Reason = Reason.END

    @property
    def candle(self) -> int:
        """Return the candle that it was entered in; 0 where it was held already."""
        return self.entered.candle if self.entered else 0

    @property
    def is_protective(self) -> bool:
        return self.left is not None and self.reason in PROTECTIVE

    @property
    def legs(self) -> tuple[Leg, ...]:
        return tuple(leg for leg in (self.entered, self.left) if leg)


def value(day: PairDay, trades: Iterable[Trade]) -> Decimal:
    """Return what the trades have brought by the end of the day, with what is still held, in the account's quote."""
    legs = [leg for trade in trades for leg in trade.legs]
    with exactly():
        return sum((day.value(leg.quantity, leg.price, leg.fee) for leg in legs), Decimal(0))


def walk(day: PairDay, rows: Sequence[Row], rules: AccountRules) -> tuple[Trade, ...]:
    """Run the rows through the kernel, from what was held as the day began."""
    columns = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("target", "stop", "take_profit", "leaves")
    }
    plan = Plan(
        target=columns["target"].astype(np.float64),
        stop=columns["stop"].astype(np.float64),
        take_profit=columns["take_profit"].astype(np.float64),
        trailing=columns["stop"].astype(np.float64),
        leaves=columns["leaves"].astype(np.int64),
    )
    return tuple(_trades(run(day.bars, plan, rules, day.equity, opening=day.opening), rows, day))


def unrestricted(rules: AccountRules) -> AccountRules:
    """Return the rules without those that refuse: what was ordered has passed the account's own."""
    return replace(
        rules,
        drawdown_pause=math.inf,
        daily_loss=math.inf,
        losing_streak=0,
        shorts=True,
        margin=None,
        leverage=1.0,
    )


def order_target(sign: int, exposure: float) -> float:
    """Return a target whose order the kernel fills, whatever the exposure: its quantity is given."""
    size = abs(exposure)
    return sign * (size if _MIN_TARGET < size <= 1 else _MIN_TARGET)


def _trades(result: Backtest, rows: Sequence[Row], day: PairDay) -> Iterator[Trade]:
    """Yield the trades with the quantities that the rows ask for; the kernel's prices do not depend on them."""
    costs = iter(result.trade_records["margin_cost"].tolist())
    held = None if day.position is None else day.position.quantity
    trade = Trade(None) if held is not None else None
    for fill in result.fill_records:
        quantity, candle = computed(fill["quantity"]), int(fill["candle"])
        if trade is None:
            held = _scaled(quantity, rows[candle - 1].quantity)
            trade = Trade(Leg(candle, held, computed(fill["price"]), _fee(fill, held)))
        else:
            assert held is not None
            fee = _fee(fill, held)
            with exactly():
                left = Leg(candle, -held, computed(fill["price"]), fee + computed(next(costs)))
            yield replace(trade, left=left, reason=Reason(int(fill["reason"])))
            trade = held = None
    if trade is not None:
        lent = computed(next(costs))
        with exactly():
            yield replace(
                trade, entered=trade.entered and replace(trade.entered, fee=trade.entered.fee + lent)
            )


def _scaled(quantity: Decimal, ordered: Decimal | None) -> Decimal:
    return quantity if ordered is None else ordered.copy_sign(quantity)


def _fee(fill: np.void, quantity: Decimal) -> Decimal:
    """Return the fill's fee for another quantity: fees grow with it."""
    return computed(float(fill["fee"]) * float(abs(quantity)) / abs(float(fill["quantity"])))
