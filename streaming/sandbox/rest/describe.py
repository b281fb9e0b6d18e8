"""Orders in words, as Kraken writes them: `buy 0.01000000 XBTUSDT @ limit 30000.0`."""

from dataclasses import dataclass
from decimal import Decimal

from streaming.sandbox.formatting import format_fixed, price_decimals, quantity_decimals
from streaming.sandbox.model import TRAILING, CloseOrder, ExchangeOrder, OrderType, PriceTerm, PriceUnit
from streaming.sandbox.rest.names import altname
from trading.market import Instrument

WORDS = {
    OrderType.STOP_LOSS: "stop loss",
    OrderType.STOP_LOSS_LIMIT: "stop loss",
    OrderType.TAKE_PROFIT: "take profit",
    OrderType.TAKE_PROFIT_LIMIT: "take profit",
    OrderType.TRAILING_STOP: "trailing stop",
    OrderType.TRAILING_STOP_LIMIT: "trailing stop",
}
NONE = "0"


@dataclass(frozen=True, slots=True)
class OrderDescription:
    """The two prices as Kraken calls them, and what they say together."""

    price: str
    price2: str
    order: str
    close: str


def describe(order: ExchangeOrder, instrument: Instrument) -> OrderDescription:
    request = order.request
    limit, trigger = _limit(order, instrument), _trigger(order, instrument)
    quantity = format_fixed(request.quantity, quantity_decimals(instrument))
    text = f"{request.side} {quantity} {altname(request.pair)} @ {_words(request.order_type, limit, trigger)}"
    if request.leverage > 1:
        text += f" with {leverage(request.leverage)} leverage"
    price, price2 = (trigger, limit) if trigger else (limit, "")
    return OrderDescription(price or NONE, price2 or NONE, text, _close(request.close, instrument))


def leverage(times: int) -> str:
    return f"{times}:1" if times > 1 else "none"


def _words(order_type: OrderType, limit: str, trigger: str) -> str:
    if order_type is OrderType.MARKET:
        return "market"
    if order_type is OrderType.LIMIT:
        return f"limit {limit}"
    return f"{WORDS[order_type]} {trigger}" + (f" -> limit {limit}" if limit else "")


def _limit(order: ExchangeOrder, instrument: Instrument) -> str:
    """Absolute as the exchange made it; of a trailing stop, the distance that was asked for."""
    term = order.request.limit
    if term is None:
        return ""
    trails = order.request.order_type in TRAILING
    return _term(term if trails else _absolute(order.limit_price, term), instrument)


def _trigger(order: ExchangeOrder, instrument: Instrument) -> str:
    term = order.request.trigger
    if term is None:
        return ""
    trails = order.request.order_type in TRAILING
    return _term(term if trails else _absolute(order.trigger_price, term), instrument)


def _absolute(price: Decimal | None, asked: PriceTerm) -> PriceTerm:
    return asked if price is None else PriceTerm(price)


def _close(close: CloseOrder | None, instrument: Instrument) -> str:
    if close is None:
        return ""
    limit, trigger = (_term(term, instrument) if term else "" for term in (close.limit, close.trigger))
    return f"close position @ {_words(close.order_type, limit, trigger)}"


def _term(term: PriceTerm, instrument: Instrument) -> str:
    decimals = price_decimals(instrument)
    if term.unit is PriceUnit.ABSOLUTE:
        return format_fixed(term.value, decimals)
    sign = "-" if term.value < 0 else "+"
    if term.unit is PriceUnit.PERCENT:
        return f"{sign}{format_fixed(abs(term.value), 4)}%"
    return f"{sign}{format_fixed(abs(term.value), decimals)}"
