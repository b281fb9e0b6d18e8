"""The paper exchange: market orders fill at the first price after the decision, on the worse side of it."""

import math
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading.errors import InvalidValue, NotStored
from trading.fills import Costs, execution_price
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.portfolio import cash_flows
from trading.ports import CandleSource, Journal, Quote
from trading.stores.journal_rules import FINAL

WAITING = "waits for the next candle's open"


class PaperVenue:
    """Its only state is the journal, so that a new one goes on where a killed one stopped."""

    def __init__(
        self,
        journal: Journal,
        source: CandleSource,
        instruments: Mapping[Pair, Instrument],
        costs: Mapping[Pair, Costs],
    ) -> None:
        self._journal = journal
        self._source = source
        self._instruments = instruments
        self._costs = costs

    def instrument(self, pair: Pair) -> Instrument:
        try:
            return self._instruments[pair]
        except KeyError:
            raise NotStored(
                f"the paper venue does not trade {pair}: add it to [market] pairs and [instruments]"
            ) from None

    def place(self, intent: OrderIntent) -> Order:
        known = self._journal.order(intent.intent_id)
        if known is not None and known.status in FINAL:
            return known
        order, fill = self._outcome(intent)
        if order != known:
            self._journal.record_order(order, [fill] if fill else [])
        return order

    def settle(self, account: str) -> list[Order]:
        return [self.place(intent) for intent in self._journal.unsettled(account)]

    def _outcome(self, intent: OrderIntent) -> tuple[Order, Fill | None]:
        if intent.pair not in self._instruments:
            return _reject(intent, f"the paper venue does not trade {intent.pair}"), None
        instrument = self._instruments[intent.pair]
        if reason := order_refusal(intent, instrument):
            return _reject(intent, reason), None
        quote = self._source.quote_after(intent.pair, intent.created_at)
        if quote is None:
            return Order(intent.intent_id, OrderStatus.ACCEPTED, WAITING, intent.created_at), None
        fill = fill_at(quote, intent, instrument, self._costs[intent.pair])
        balances = self._journal.balances(intent.account)
        if reason := cost_refusal(fill, instrument) or balance_refusal(fill, balances):
            return _reject(intent, reason), None
        return Order(intent.intent_id, OrderStatus.FILLED, "", quote.time), fill


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
    return ""


def fill_at(quote: Quote, intent: OrderIntent, instrument: Instrument, costs: Costs) -> Fill:
    """Fill the whole order at the quote, made worse by spread and slippage; the same intent gives the same fill."""
    price = rounded_against(
        execution_price(quote.price, float(intent.side.sign), costs), intent.side, instrument.price_increment
    )
    return Fill(
        fill_id=f"{intent.intent_id}-fill",
        intent_id=intent.intent_id,
        account=intent.account,
        pair=intent.pair,
        side=intent.side,
        price=price,
        quantity=intent.quantity,
        fee=intent.quantity * price * instrument.taker_fee,
        fee_asset=intent.pair.quote,
        filled_at=quote.time,
    )


def rounded_against(price: float, side: Side, increment: Decimal) -> Decimal:
    """Round to the next multiple of `increment` at which the trader is not better off."""
    if not (math.isfinite(price) and price > 0):
        raise InvalidValue(f"the source quotes {price}: a price must be above zero")
    exact = Decimal(format(price, ".15g"))  # the digits that a double keeps; more would round up its noise
    return (exact / increment).to_integral_value(
        ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ) * increment


def cost_refusal(fill: Fill, instrument: Instrument) -> str:
    """Return why the value of the order is too small; empty when it is not."""
    cost, quote = fill.quantity * fill.price, fill.pair.quote
    if cost <= 0 or cost < instrument.minimum_cost:
        return f"cost {cost:f} {quote} is below the minimum of {instrument.minimum_cost:f}"
    return ""


def balance_refusal(fill: Fill, balances: Mapping[str, Decimal]) -> str:
    """Return which asset the account is short of; empty when it can pay."""
    for asset, change in cash_flows(fill).items():
        balance = balances.get(asset, Decimal(0))
        if balance + change < 0:
            return f"needs {-change:f} {asset}, the account has {balance:f}"
    return ""


def _reject(intent: OrderIntent, reason: str) -> Order:
    return Order(intent.intent_id, OrderStatus.REJECTED, reason, intent.created_at)
