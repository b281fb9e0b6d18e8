"""Positions as their orders made them, each order whole and at the back-test's price; from there to the real fills."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading.orders import Fill
from trading.parity.day import PairDay
from trading.parity.live_orders import LiveOrder, Origin, Round
from trading.parity.report import Cause, Kind
from trading.parity.walk import Leg, Trade
from trading.portfolio.exact import divide, exactly

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A round of orders, and the trade that it would have been at the back-test's prices."""

    round: Round
    trade: Trade


def as_ordered(day: PairDay, done: Round, planned: Trade | None) -> Ordered:
    """Price the round as a back-test does; `planned` is the back-test's trade that was entered in the same candle.

    What both closed in one candle has the back-test's price, which is a stop's or a target's level. A protective exit
    in another candle than the back-test's has its own: all of that difference is a matter of when it closed.
    """
    entered = None
    if done.entry is not None:
        like = planned.entered if planned else None
        entered = _leg(day, done.entry, done.entry.intent.side.sign * done.entry.filled, like)
    held = entered.quantity if entered else day.position.quantity if day.position else ZERO
    if not done.exits:
        return Ordered(done, Trade(entered))
    first, sold = done.exits[0], _filled(done.exits)
    quantity = -held if sold <= abs(held) else sold.copy_sign(-held)
    like = (
        planned.left if planned and planned.left and planned.left.candle == first.first_candle(day) else None
    )
    return Ordered(done, Trade(entered, _leg(day, first, quantity, like)))


def _leg(day: PairDay, order: LiveOrder, quantity: Decimal, like: Leg | None) -> Leg:
    candle = order.first_candle(day)
    if like is not None:
        fee = like.fee if like.quantity == quantity else day.fee(candle, quantity, like.price)
        return Leg(candle, quantity, like.price, fee)
    is_protective = order.origin is Origin.PROTECTION
    price = order.fills[0].price if is_protective else day.price(candle, order.intent.side.sign)
    return Leg(candle, quantity, price, day.fee(candle, quantity, price))


def _filled(orders: Sequence[LiveOrder]) -> Decimal:
    with exactly():
        return sum((each.filled for each in orders), ZERO)


def fill_causes(day: PairDay, ordered: Ordered) -> Iterator[Cause]:
    """Yield what the real fills change: not filled, filled in a later candle, at another price, for another fee.

    The amounts add up exactly to the real fills' value less that of the whole orders.
    """
    done, trade = ordered.round, ordered.trade
    if trade.entered and done.entry:
        yield from _leg_causes(day, trade.entered, [done.entry])
    if trade.left:
        yield from _leg_causes(day, trade.left, done.exits)


def _leg_causes(day: PairDay, leg: Leg, orders: Sequence[LiveOrder]) -> Iterator[Cause]:
    order, fills = orders[0], [fill for each in orders for fill in each.fills]
    at, sign = fills[0].filled_at, Decimal(1).copy_sign(leg.quantity)
    with exactly():
        missing = abs(leg.quantity) - _filled(orders)
    unpaid = divide(leg.fee * missing, abs(leg.quantity)) if missing else ZERO
    with exactly():
        if missing:
            lost = -day.value(sign * missing, leg.price, unpaid)
            yield Cause(Kind.MISSED, at, f"{missing:f} of {order} was not filled: {order.words}", lost)
        expected = (
            leg.fee - unpaid - sum((day.fee(leg.candle, each.quantity, leg.price) for each in fills), ZERO)
        )
        for fill in fills:
            expected += day.fee(day.candle_at(fill.filled_at), fill.quantity, fill.price)
            yield from _price_causes(day, leg, fill, sign)
        paid = sum((fee_value(day, fill) for fill in fills), ZERO)
        words = f"{order}: a back-test pays {float(expected):.8g} {day.pair.quote}"
        yield Cause(Kind.FEE, at, words, expected * day.quote_rate - paid)


def _price_causes(day: PairDay, leg: Leg, fill: Fill, sign: Decimal) -> Iterator[Cause]:
    """Yield what a later candle and another price change, with the fee that a back-test pays for each."""
    candle, quantity = day.candle_at(fill.filled_at), fill.quantity
    price = leg.price if candle == leg.candle else day.price(candle, fill.side.sign)
    steps = [(leg.candle, leg.price), (candle, price), (candle, fill.price)]
    values = [day.value(sign * quantity, each, day.fee(where, quantity, each)) for where, each in steps]
    what = f"{fill.side} {quantity:f} {day.pair.base}"
    if candle != leg.candle:
        words = f"{what} was filled {candle - leg.candle} candles after the order's first part"
        yield Cause(Kind.LATE, fill.filled_at, words, values[1] - values[0])
    words = f"{what} at {fill.price:f}, {price:f} in the back-test"
    yield Cause(Kind.FILL_PRICE, fill.filled_at, words, values[2] - values[1])


def fee_value(day: PairDay, fill: Fill) -> Decimal:
    """Return the fee in the account's quote, at the prices with which the day ends."""
    return fill.fee * day.fee_rates.get(fill.fee_asset, ZERO)


def fills_value(day: PairDay, order: LiveOrder) -> Decimal:
    """Return what the order's fills have brought by the end of the day."""
    with exactly():
        values = (
            day.value(fill.side.sign * fill.quantity, fill.price, ZERO) - fee_value(day, fill)
            for fill in order.fills
        )
        return sum(values, ZERO)
