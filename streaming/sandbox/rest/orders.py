"""Parameters of order requests as typed orders (docs.kraken.com: Add Order, Amend Order, Edit Order).

What the sandbox cannot do (iceberg orders, scheduled starts, quantities in quote currency) is refused: an order must
not do something else than what was asked for.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from streaming.sandbox.limits import is_client_order_id
from streaming.sandbox.model import (
    LIMITED,
    TAKE_PROFIT,
    TRAILING,
    TRIGGERED,
    UNTRIGGERED,
    Amendment,
    CloseOrder,
    NewOrder,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
    SelfTrade,
    TimeInForce,
)
from streaming.sandbox.rest.names import Names
from streaming.sandbox.rest.parameters import Parameters, invalid, parse_amount, parse_epoch_time
from trading.orders import Side

TWO_PRICES = LIMITED & TRIGGERED
FLAGS = frozenset({"post", "fcib", "fciq", "nompp"})  # of oflags; Kraken ignores nompp
NOT_HERE = "viqc"  # the volume in quote currency
IMPOSSIBLE = ("displayvol", "display_qty")
USER_REFERENCE = 2**31 - 1
MAX_LEVERAGE = 100  # what a number may be; what a pair allows is for the exchange to say

_PRICE = re.compile(r"([+#-]?)(\d[\d.]*)(%?)", re.ASCII)
_LEVERAGE = re.compile(r"(\d{1,3})(:1)?", re.ASCII)

Prices = tuple[PriceTerm | None, PriceTerm | None]


def new_order(given: Parameters, names: Names, now: datetime) -> NewOrder:
    """Build the order that is asked for. `now`: server time, for expiry times such as +30."""
    _refuse_impossible(given)
    side = given.choice("type", Side)
    order_type = given.choice("ordertype", OrderType)
    flags = order_flags(given)
    expires_at = _expiry(given, now)
    limit, trigger = _prices(given, order_type, side, "price", "price2")
    client_order_id, user_reference = client_id(given), _user_reference(given)
    if client_order_id and user_reference:
        raise invalid("cl_ord_id")  # docs: mutually exclusive with userref
    return NewOrder(
        pair=names.pair(given.required("pair")),
        side=side,
        order_type=order_type,
        quantity=_positive(given, "volume"),
        limit=limit,
        trigger=trigger,
        time_in_force=_time_in_force(given, expires_at),
        expires_at=expires_at,
        post_only="post" in flags,
        reduce_only=given.flag("reduce_only"),
        leverage=_leverage(given),
        client_order_id=client_order_id,
        user_reference=user_reference,
        close=_close(given, side),
        fee_in_base="fcib" in flags,
        self_trade=given.choice("stptype", SelfTrade, SelfTrade.CANCEL_NEWEST),
    )


def amendment(given: Parameters, side: Side) -> Amendment:
    """Build what AmendOrder asks for; `side` is the order's, for prices such as #5."""
    _refuse_impossible(given)
    limit, trigger = given.text("limit_price"), given.text("trigger_price")
    return Amendment(
        order_id=given.text("txid"),
        client_order_id=client_id(given),
        quantity=_positive(given, "order_qty") if "order_qty" in given else None,
        limit=price_term(limit, "limit_price", _toward_fill(side, -1)) if limit else None,
        trigger=price_term(trigger, "trigger_price", side.sign) if trigger else None,
        post_only=given.flag("post_only") if "post_only" in given else None,
    )


def edit(given: Parameters, order_type: OrderType, side: Side) -> Amendment:
    """Build what EditOrder asks for; its price and price2 mean what they mean when such an order is added."""
    _refuse_impossible(given)
    first = given.text("price")
    second = given.text("price2")
    limit_text, trigger_text = (
        (first, "") if order_type in UNTRIGGERED else (second if order_type in TWO_PRICES else "", first)
    )
    return Amendment(
        order_id=given.required("txid"),
        quantity=_positive(given, "volume") if "volume" in given else None,
        limit=_limit_term(limit_text, order_type, side) if limit_text else None,
        trigger=_trigger_term(trigger_text, "price", order_type, side) if trigger_text else None,
        post_only="post" in order_flags(given) if "oflags" in given else None,
    )


def check_fee_flag(given: Parameters, order: NewOrder) -> None:
    """Refuse the fee flag that the order does not have: of all flags an edit changes only `post` (docs, Edit Order)."""
    if ("fciq" if order.fee_in_base else "fcib") in order_flags(given):
        raise invalid("oflags")


def client_id(given: Parameters) -> str:
    """Parse the client order id; empty when not given."""
    value = given.text("cl_ord_id")
    if value and not is_client_order_id(value):
        raise invalid("cl_ord_id")
    return value


def order_flags(given: Parameters) -> frozenset[str]:
    flags = frozenset(given.id_list("oflags", 10))
    if NOT_HERE in flags:
        raise Refused(f"EAPI:Feature disabled:{NOT_HERE}")
    if not flags <= FLAGS or {"fcib", "fciq"} <= flags:
        raise invalid("oflags")
    return flags


def price_term(text: str, name: str, automatic: int) -> PriceTerm:
    """Parse a price: +5, -5 and 5% count from the last price; `#` takes the sign `automatic`; others are absolute."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise invalid(name)
    sign, digits, percent = match.groups()
    value = parse_amount(digits, name)
    if not value > 0 or (percent and not sign):
        raise invalid(name)
    unit = PriceUnit.PERCENT if percent else PriceUnit.DISTANCE if sign else PriceUnit.ABSOLUTE
    downwards = sign == "-" or (sign == "#" and automatic < 0)
    return PriceTerm(-value if downwards else value, unit)


def _prices(given: Parameters, order_type: OrderType, side: Side, first: str, second: str) -> Prices:
    """Limit and trigger. Kraken's `price` is the limit of a limit order and the trigger of all that have one."""
    if order_type is OrderType.MARKET:
        return None, None
    if order_type is OrderType.LIMIT:
        return price_term(given.required(first), first, -side.sign), None
    trigger = _trigger_term(given.required(first), first, order_type, side)
    if order_type not in TWO_PRICES:
        return None, trigger
    return _limit_term(given.required(second), order_type, side, second), trigger


def _trigger_term(text: str, name: str, order_type: OrderType, side: Side) -> PriceTerm:
    if order_type in TRAILING:
        return _distance(text, name)
    towards = -side.sign if order_type in TAKE_PROFIT else side.sign
    return price_term(text, name, towards)


def _distance(text: str, name: str) -> PriceTerm:
    """Parse the distance by which a stop trails: it has no sign, the direction is the order's."""
    term = price_term(text, name, 1)
    if term.unit is PriceUnit.ABSOLUTE:
        raise invalid(name)  # a distance has a sign
    return PriceTerm(abs(term.value), term.unit)


def _limit_term(text: str, order_type: OrderType, side: Side, name: str = "price2") -> PriceTerm:
    if order_type is OrderType.LIMIT:
        return price_term(text, "price", -side.sign)
    term = price_term(text, name, _toward_fill(side, 1))
    if order_type in TRAILING and term.unit is PriceUnit.ABSOLUTE:
        raise invalid(name)  # a distance has a sign
    return term


def _toward_fill(side: Side, direction: int) -> int:
    """Return the sign of `#` in a limit: +1 makes the order fill at once, -1 makes it wait for a better price."""
    return direction * side.sign


def _close(given: Parameters, side: Side) -> CloseOrder | None:
    if "close[ordertype]" not in given:
        return None
    order_type = given.choice("close[ordertype]", OrderType)
    if order_type is OrderType.MARKET:
        raise invalid("close[ordertype]")
    other = Side.SELL if side is Side.BUY else Side.BUY
    limit, trigger = _prices(given, order_type, other, "close[price]", "close[price2]")
    return CloseOrder(order_type, limit, trigger)


def _expiry(given: Parameters, now: datetime) -> datetime | None:
    text = given.text("expiretm", "0")
    seconds = parse_amount(text, "expiretm")
    if seconds < 0:
        raise invalid("expiretm")
    if text.startswith("+"):
        if seconds > Decimal(10) ** 9:
            raise invalid("expiretm")
        return now + timedelta(seconds=float(seconds))
    return parse_epoch_time(seconds, "expiretm").astimezone(UTC) if seconds else None


def _time_in_force(given: Parameters, expires_at: datetime | None) -> TimeInForce:
    default = TimeInForce.GTD if expires_at else TimeInForce.GTC
    force = given.choice("timeinforce", TimeInForce, default)
    if (force is TimeInForce.GTD) != (expires_at is not None):
        raise invalid("expiretm")
    return force


def _leverage(given: Parameters) -> int:
    text = given.text("leverage", "none")
    if text.lower() == "none":
        return 1
    match = _LEVERAGE.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= MAX_LEVERAGE:
        raise invalid("leverage")
    return int(match[1])


def _user_reference(given: Parameters) -> int:
    return given.integer("userref", -USER_REFERENCE - 1, USER_REFERENCE, 0)


def _positive(given: Parameters, name: str) -> Decimal:
    amount = given.amount(name)
    if amount is None or not amount > 0:
        raise invalid(name)
    return amount


def _refuse_impossible(given: Parameters) -> None:
    for name in IMPOSSIBLE:
        if name in given:
            raise invalid(name)
    if given.text("starttm", "0") not in ("0", "+0"):
        raise invalid("starttm")
    given.one_of("trigger", ("last",), "last")
