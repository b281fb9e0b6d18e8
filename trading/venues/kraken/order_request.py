"""An order as the fields of Kraken's AddOrder, AmendOrder and EditOrder."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Purpose, Side

SHORT_ID = re.compile(r"[!-~]{1,18}")  # besides UUIDs, which are longer
RELATIVE_PRICE = re.compile(r"[+\-#]?\d{1,20}(\.\d{1,20})?%?")  # +5, -2.5%, #3: from the last price
Price = Decimal | str  # a str is relative to the last price
Fields = dict[str, str]
QUOTE_FEE = "fciq"  # the fee in quote currency, also for sales, where Kraken's default is the base currency
BASE_FEE = "fcib"


class KrakenOrderType(StrEnum):
    """Kraken's `ordertype`."""

    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    TAKE_PROFIT = "take-profit"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"
    SETTLE_POSITION = "settle-position"


class KrakenTimeInForce(StrEnum):
    """Kraken's `timeinforce`."""

    GTC = "GTC"
    IOC = "IOC"
    GTD = "GTD"
    FOK = "FOK"


@dataclass(frozen=True, slots=True)
class ConditionalClose:
    """The order that Kraken places with each fill of its parent, on the other side."""

    order_type: KrakenOrderType
    price: Price
    price2: Price | None = None  # the limit of types that have a trigger and a limit


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """The arguments of AddOrder."""

    pair: Pair
    side: Side
    quantity: Decimal  # base currency; 0 only to settle a position as a whole
    order_type: KrakenOrderType = KrakenOrderType.MARKET
    price: Price | None = None  # limit, or the trigger of types that have one
    price2: Price | None = None  # the limit of types that have a trigger and a limit
    client_order_id: str = ""
    user_reference: int | None = None
    deadline: datetime | None = None  # the engine takes it before this or never; 2 to 60 seconds ahead
    validate: bool = False  # only checked, never placed
    time_in_force: KrakenTimeInForce | None = None
    expires_at: datetime | None = None  # with GTD
    leverage: int | None = None
    reduce_only: bool = False  # of a margin position
    flags: tuple[str, ...] = ()  # post, fciq, fcib, nompp
    trigger: str | None = None  # last or index
    close: ConditionalClose | None = None
    purpose: Purpose = Purpose.ENTRY  # not sent: whose share of the rate budget it spends

    def fields(self, pair_name: str) -> Fields:
        """Return the request's fields. InvalidValue for an order that Kraken cannot take."""
        named = {
            "ordertype": self.order_type.value,
            "type": self.side.value,
            "volume": _quantity_text(self.quantity, self.order_type),
            "pair": pair_name,
            "price": _price_text(self.price),
            "price2": _price_text(self.price2),
            "cl_ord_id": self.client_order_id and check_client_order_id(self.client_order_id),
            "userref": self.user_reference,
            "deadline": self.deadline,
            "validate": self.validate,
            "timeinforce": self.time_in_force,
            "expiretm": self.expires_at and int(self.expires_at.timestamp()),
            "leverage": self.leverage,
            "reduce_only": self.reduce_only,
            "oflags": ",".join(self.flags),
            "trigger": self.trigger,
        }
        if self.client_order_id and self.user_reference is not None:
            raise InvalidValue("an order has a client order id or a user reference at Kraken, not both")
        return given_fields(named) | (_close_fields(self.close) if self.close else {})


def _close_fields(close: ConditionalClose) -> Fields:
    return given_fields(
        {
            "close[ordertype]": close.order_type.value,
            "close[price]": _price_text(close.price),
            "close[price2]": _price_text(close.price2),
        }
    )


def given_fields(fields: Mapping[str, object]) -> Fields:
    """Return what was given, as text: what is None, empty or False is not sent.

    InvalidValue for a decimal that is no price or quantity.
    """
    texts = {name: _text(value) for name, value in fields.items() if value is not None and value is not False}
    return {name: text for name, text in texts.items() if text}


def _text(value: object) -> str:
    match value:
        case True:
            return "true"
        case Decimal():
            return _positive(value)
        case datetime():
            return rfc3339(value)
        case _:
            return str(value)


def _quantity_text(quantity: Decimal, order_type: KrakenOrderType) -> str:
    settles = order_type is KrakenOrderType.SETTLE_POSITION
    if not quantity.is_finite() or quantity < 0 or (quantity == 0 and not settles):
        raise InvalidValue(f"an order over {quantity} cannot be placed: the quantity must be above zero")
    return format(quantity, "f")


def _price_text(price: Price | None) -> str | None:
    if isinstance(price, Decimal):
        return _positive(price)
    if price is not None and not RELATIVE_PRICE.fullmatch(price):
        raise InvalidValue(
            f"{price!r} is not a price relative to the last one: write it like +5%, -2.5 or #3"
        )
    return price


def _positive(value: Decimal) -> str:
    if not (value.is_finite() and value > 0):
        raise InvalidValue(f"{value} is not a price")
    return format(value, "f")


def check_client_order_id(client_order_id: str) -> str:
    """Return the id. InvalidValue unless it is a UUID or at most 18 plain characters, as Kraken takes them."""
    if not (SHORT_ID.fullmatch(client_order_id) or _is_uuid(client_order_id)):
        raise InvalidValue(
            f"{client_order_id!r} is no client order id: a UUID or at most 18 plain characters"
        )
    return client_order_id


def _is_uuid(text: str) -> bool:
    try:
        return text in (str(uuid.UUID(text)), uuid.UUID(text).hex)
    except ValueError:
        return False


def rfc3339(time: datetime) -> str:
    """Format a time to the millisecond, which is as exact as Kraken takes it, never later than `time`."""
    if time.tzinfo is None:
        raise InvalidValue(f"{time} has no time zone: times are UTC")
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def order_reference(order_id: str, client_order_id: str) -> Fields:
    """Return the field that names an order. InvalidValue unless exactly one of the ids is given."""
    if bool(order_id) == bool(client_order_id):
        raise InvalidValue("name the order by its id or by its client order id, one of them")
    return {"txid": order_id} if order_id else {"cl_ord_id": check_client_order_id(client_order_id)}
