"""Accounts: balances, what open orders reserve of them, and borrowed positions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExchangeOrder
from trading.errors import NotStored
from trading.margin.account import MarginAccount
from trading.market import Instrument, Pair
from trading.orders import Side
from trading.portfolio import rate
from trading.portfolio.valuation import equity, priced

ZERO = Decimal(0)
Reservation = tuple[str, Decimal]


@dataclass(frozen=True, slots=True)
class MarginSummary:
    """An account's margin at today's prices, in the asset that was asked for."""

    equivalent: Decimal  # all balances
    trade: Decimal  # balances that count as collateral: all of them
    margin: Decimal  # tied up by open positions
    unrealised: Decimal  # profit of open positions
    cost: Decimal  # what open positions were opened for
    valuation: Decimal  # what they are worth
    equity: Decimal  # trade balance and unrealised profit
    free: Decimal  # equity that is not tied up
    level: Decimal | None  # equity in percent of the margin (100: all of it), None without a position


@dataclass(slots=True)
class ExchangeAccount:
    """The state is replaced as a whole; reservations follow the orders in force."""

    name: str
    state: MarginAccount
    orders: dict[str, WorkingOrder] = field(default_factory=dict)  # in force, in the order of acceptance
    client_ids: dict[str, str] = field(
        default_factory=dict
    )  # of orders in force: client order id to order id
    reserved: dict[str, Decimal] = field(default_factory=dict)
    _reservations: dict[str, Reservation] = field(default_factory=dict)

    def copy(self) -> "ExchangeAccount":
        """Return a copy for trials: what it owns and reserves may change without the account's."""
        return replace(self, reserved=dict(self.reserved), _reservations=dict(self._reservations))

    def balance(self, asset: str) -> Decimal:
        return self.state.balances.get(asset, ZERO)

    def available(self, asset: str) -> Decimal:
        """Return what a new order may use."""
        return self.balance(asset) - self.reserved.get(asset, ZERO)

    def reserved_by(self, order_id: str, asset: str) -> Decimal:
        held_asset, amount = self._reservations.get(order_id, ("", ZERO))
        return amount if held_asset == asset else ZERO

    def reserve(self, order_id: str, reservation: Reservation | None) -> None:
        """Reserve this in place of what the order reserved before; None releases it."""
        if order_id in self._reservations:
            asset, amount = self._reservations.pop(order_id)
            self.reserved[asset] -= amount
        if reservation is not None:
            asset, amount = reservation
            self._reservations[order_id] = reservation
            self.reserved[asset] = self.reserved.get(asset, ZERO) + amount

    @property
    def borrows(self) -> bool:
        return bool(self.state.positions)

    def open_quantity(self, pair: Pair, side: Side) -> Decimal:
        """Return base currency that an order on `side` would close before it opened anything."""
        return sum(
            (
                abs(each.quantity)
                for each in self.state.positions
                if each.pair == pair and each.quantity * side.sign < 0
            ),
            ZERO,
        )


def reservation_of(order: ExchangeOrder, instrument: Instrument) -> Reservation | None:
    """Return the most that the rest of a spot order can cost, fee included; None for orders on margin.

    A stop that will buy at the market reserves the price of its trigger: should the market then ask for more,
    what is free has to cover it.
    """
    request = order.request
    if request.leverage > 1:
        return None
    with_fee = 1 + highest_fee(instrument)
    if request.side is Side.SELL:
        return request.pair.base, order.remaining * (with_fee if request.fee_in_base else 1)
    price = order.limit_price or order.trigger_price or ZERO
    return request.pair.quote, order.remaining * price * (1 if request.fee_in_base else with_fee)


def highest_fee(instrument: Instrument) -> Decimal:
    return max(instrument.taker_fee, instrument.maker_fee)


def trade_balance(state: MarginAccount, asset: str, prices: Mapping[Pair, Decimal]) -> MarginSummary:
    """Compute a margin summary; call it where sums are exact. NotStored when a price is missing."""
    valued, _ = priced(state.balances, asset, prices)
    counted = replace(state, quote=asset, balances=valued)
    total, whole = equity(valued, asset, prices), counted.equity(prices)
    level = counted.margin_level(prices)
    cost = valuation = ZERO
    for each in state.positions:
        worth = rate(each.pair.quote, asset, prices)
        cost += each.value * worth
        valuation += abs(each.quantity) * rate(each.pair.base, each.pair.quote, prices) * worth
    return MarginSummary(
        equivalent=total,
        trade=total,
        margin=counted.used_margin(prices),
        unrealised=whole - total,
        cost=cost,
        valuation=valuation,
        equity=whole,
        free=counted.free_margin(prices),
        level=None if level is None else level * 100,
    )


def is_liquidated(state: MarginAccount, prices: Mapping[Pair, Decimal]) -> bool:
    """Return False while a price is missing: nobody is closed out on a guess."""
    try:
        return state.is_liquidated(prices)
    except NotStored:
        return False


def next_rollover(state: MarginAccount) -> datetime | None:
    """Return when the next rollover fee is due, None without a position."""
    every = state.terms.rollover_every
    return min((each.opened_at + every * (each.rolled + 1) for each in state.positions), default=None)
