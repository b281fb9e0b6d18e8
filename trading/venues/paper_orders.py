"""What the paper venue makes of one order: whether it is taken, and its fills. Pure but for the market it reads."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading.errors import InvalidValue
from trading.fills import Costs, execution_price
from trading.market import Instrument, PairStatus
from trading.orders import Fill, OrderIntent, Side, WorkingOrder
from trading.portfolio import cash_flows
from trading.venues.paper_market import PaperMarket, PricePoint

PREFIX = "paper-"


def venue_order_id(intent_id: str) -> str:
    """Return the paper venue's id of the intent's order."""
    return f"{PREFIX}{intent_id}"


def fill_id(intent_id: str, number: int) -> str:
    """Return the id of the order's fill with that number, counted from 1."""
    return f"{intent_id}-{number}"


def next_fills(
    working: WorkingOrder,
    booked: Sequence[Fill],
    until: datetime,
    *,
    sent_at: datetime,
    market: PaperMarket,
    instrument: Instrument,
    costs: Costs,
) -> Iterator[Fill]:
    """Yield what the order is filled with until then after what is booked, oldest first, whatever the account can pay.

    `sent_at` is by the account's clock.
    """
    intent, number = working.intent, len(booked) + 1
    remaining = intent.quantity - sum((fill.quantity for fill in booked), Decimal(0))
    if booked:  # a stop that was filled once is a market order
        points = market.openings(intent.pair, market.next_open(booked[-1].filled_at), until)
    else:
        points = _price_points(working, sent_at, until, market)
    for point in points:
        quantity = min(remaining, market.capacity(intent.pair, point.opened, instrument))
        if quantity > 0:
            yield fill_at(point, intent, number, quantity, instrument, costs)
            number, remaining = number + 1, remaining - quantity
        if remaining <= 0:
            return


def _price_points(
    working: WorkingOrder, sent_at: datetime, until: datetime, market: PaperMarket
) -> Iterator[PricePoint]:
    """Yield the prices that the order could be filled at: a stop is a market order once it is touched."""
    intent, order = working.intent, working.order
    if intent.trigger is None:  # the decision counted with no price of an earlier candle
        start = max(intent.created_at, market.candle_open(sent_at))
        yield from market.openings(intent.pair, start, until)
        return
    trigger, since = order.trigger or intent.trigger, order.working_since or sent_at
    touch = market.first_touch(intent.pair, intent.side, trigger, since, until)
    if touch is not None:
        yield touch
        yield from market.openings(intent.pair, market.next_open(touch.opened), until)


def fill_at(
    point: PricePoint,
    intent: OrderIntent,
    number: int,
    quantity: Decimal,
    instrument: Instrument,
    costs: Costs,
) -> Fill:
    """Fill at the price, made worse by spread and slippage; the same intent gives the same fill."""
    worse = execution_price(point.price, float(intent.side.sign), costs)
    price = rounded_against(worse, intent.side, instrument.price_increment)
    return Fill(
        fill_id=fill_id(intent.intent_id, number),
        intent_id=intent.intent_id,
        account=intent.account,
        pair=intent.pair,
        side=intent.side,
        price=price,
        quantity=quantity,
        fee=quantity * price * instrument.taker_fee,
        fee_asset=intent.pair.quote,
        filled_at=point.time,
    )


def rounded_against(price: float, side: Side, increment: Decimal) -> Decimal:
    """Round to the next multiple of `increment` at which the trader is not better off."""
    if not (math.isfinite(price) and price > 0):
        raise InvalidValue(f"the source quotes {price}: a price must be above zero")
    exact = Decimal(format(price, ".15g"))  # the digits that a double keeps; more would round up its noise
    return (exact / increment).to_integral_value(
        ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ) * increment


def order_refusal(intent: OrderIntent, instrument: Instrument) -> str:
    """Return why the venue would not take the order at any price; empty when it would."""
    status, quantity = instrument.status, intent.quantity
    closes = intent.reduces and status is PairStatus.REDUCE_ONLY
    if status is not PairStatus.ONLINE and not closes:
        return f"{intent.pair} is {status.value}: market orders are not taken"
    if quantity <= 0 or quantity < instrument.minimum_quantity:
        return f"quantity {quantity:f} {intent.pair.base} is below the minimum of {instrument.minimum_quantity:f}"
    if quantity % instrument.quantity_increment:
        return (
            f"quantity {quantity:f} is not a multiple of {instrument.quantity_increment:f} {intent.pair.base}"
        )
    if intent.trigger is not None and intent.trigger % instrument.price_increment:
        return f"trigger {intent.trigger:f} is not a multiple of {instrument.price_increment:f} {intent.pair.quote}"
    return ""


def trigger_refusal(side: Side, trigger: Decimal, price: float) -> str:
    """Return why a stop cannot rest: the market has passed its trigger; empty when it can, or no price is known."""
    level = float(trigger)
    passed = price <= level if side is Side.SELL else price >= level
    return f"the market has passed the trigger {trigger:f}: it is at {price:.10g}" if passed else ""


def cost_refusal(fill: Fill, intent: OrderIntent, minimum: Decimal) -> str:
    """Return why the value of the whole order is too small at its first price; empty when it is not."""
    cost, quote = intent.quantity * fill.price, fill.pair.quote
    if cost <= 0 or cost < minimum:
        return f"cost {cost:f} {quote} is below the minimum of {minimum:f}"
    return ""


def balance_refusal(fill: Fill, balances: Mapping[str, Decimal]) -> str:
    """Return which asset the account is short of; empty when it can pay."""
    for asset, change in cash_flows(fill).items():
        balance = balances.get(asset, Decimal(0))
        if change < 0 and balance + change < 0:
            return f"needs {-change:f} {asset}, the account has {balance:f}"
    return ""
