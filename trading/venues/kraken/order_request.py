"""An order as Kraken's AddOrder, AmendOrder and EditOrder want it told."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Side

SHORT_ID = re.compile(r"[!-~]{1,18}")  # besides UUIDs, which are longer
RELATIVE = re.compile(r"[+\-#]?\d{1,20}(\.\d{1,20})?%?")  # +5, -2.5%, #3: from the last price
Price = Decimal | str  # a str is relative to the last price
Fields = dict[str, str]


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP_LOSS = "stop-loss"
    TAKE_PROFIT = "take-profit"
    STOP_LOSS_LIMIT = "stop-loss-limit"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"
    SETTLE_POSITION = "settle-position"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    GTD = "GTD"


@dataclass(frozen=True, slots=True)
class ConditionalClose:
    """The order that Kraken places with each fill of its parent, on the other side."""

    order_type: OrderType
    price: Price
    price2: Price | None = None  # the limit of types that have a trigger and a limit


@dataclass(frozen=True, slots=True)
class OrderRequest:
    pair: Pair
    side: Side
    quantity: Decimal  # base currency; 0 only to settle a position as a whole
    order_type: OrderType = OrderType.MARKET
    price: Price | None = None  # limit, or the trigger of types that have one
    price2: Price | None = None  # the limit of types that have a trigger and a limit
    client_order_id: str = ""
    user_reference: int | None = None
    deadline: datetime | None = None  # the engine takes it before this or never; 2 to 60 seconds ahead
    validate: bool = False  # only checked, never placed
    time_in_force: TimeInForce | None = None
    expires_at: datetime | None = None  # with GTD
    leverage: int | None = None
    reduce_only: bool = False  # of a margin position
    flags: tuple[str, ...] = ()  # post, fciq, fcib, nompp
    trigger: str | None = None  # last or index
    close: ConditionalClose | None = None

    def fields(self, pair_name: str) -> Fields:
        """InvalidValue for an order that cannot be told."""
        named = {
            "ordertype": self.order_type.value,
            "type": self.side.value,
            "volume": _quantity(self.quantity, self.order_type),
            "pair": pair_name,
            "price": _price(self.price),
            "price2": _price(self.price2),
            "cl_ord_id": self.client_order_id and checked_id(self.client_order_id),
            "userref": self.user_reference,
            "deadline": self.deadline and rfc3339(self.deadline),
            "validate": _flag(self.validate),
            "timeinforce": self.time_in_force,
            "expiretm": self.expires_at and int(self.expires_at.timestamp()),
            "leverage": self.leverage,
            "reduce_only": _flag(self.reduce_only),
            "oflags": ",".join(self.flags),
            "trigger": self.trigger,
        }
        if self.client_order_id and self.user_reference is not None:
            raise InvalidValue("an order has a client order id or a user reference at Kraken, not both")
        return present(named) | (_close(self.close) if self.close else {})


def _close(close: ConditionalClose) -> Fields:
    return present(
        {
            "close[ordertype]": close.order_type.value,
            "close[price]": _price(close.price),
            "close[price2]": _price(close.price2),
        }
    )


def present(named: Mapping[str, object]) -> Fields:
    """What was given, as text; what was not given is not sent."""
    return {name: str(value) for name, value in named.items() if value not in (None, "")}


def _flag(value: bool) -> str:
    return "true" if value else ""


def _quantity(quantity: Decimal, order_type: OrderType) -> str:
    least = 0 if order_type is OrderType.SETTLE_POSITION else None
    if not quantity.is_finite() or quantity < 0 or (quantity == 0 and least is None):
        raise InvalidValue(f"an order over {quantity} cannot be placed: the quantity must be above zero")
    return format(quantity, "f")


def _price(price: Price | None) -> str | None:
    if isinstance(price, Decimal):
        if not (price.is_finite() and price > 0):
            raise InvalidValue(f"{price} is not a price")
        return format(price, "f")
    if price is not None and not RELATIVE.fullmatch(price):
        raise InvalidValue(
            f"{price!r} is not a price relative to the last one: write it like +5%, -2.5 or #3"
        )
    return price


def amount(value: Decimal | None) -> str | None:
    """A quantity or price that replaces another."""
    return None if value is None else _price(value)


def checked_id(client_order_id: str) -> str:
    """InvalidValue for what Kraken does not take: it has to be a UUID or at most 18 plain characters."""
    if not (SHORT_ID.fullmatch(client_order_id) or is_uuid(client_order_id)):
        raise InvalidValue(
            f"{client_order_id!r} is no client order id: a UUID or at most 18 plain characters"
        )
    return client_order_id


def is_uuid(text: str) -> bool:
    try:
        return text in (str(uuid.UUID(text)), uuid.UUID(text).hex)
    except ValueError:
        return False


def rfc3339(time: datetime) -> str:
    """To the millisecond, which is as exact as Kraken takes it, never later than `time`."""
    if time.tzinfo is None:
        raise InvalidValue(f"{time} has no time zone: times are UTC")
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
