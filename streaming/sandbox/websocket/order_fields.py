"""Parameters of the order methods as clients send them (docs.kraken.com, websocket-v2)."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from streaming.sandbox.limits import CLIENT_ORDER_ID, MAX_TIMEOUT
from streaming.sandbox.model import OrderType
from streaming.sandbox.references import TXID, Reference, ReferenceKind
from streaming.sandbox.websocket.decoding import (
    Amount,
    NotEditable,
    PositiveAmount,
    Timestamp,
    Unsupported,
    invalid,
)
from trading.orders import Side

MIN_BATCH, MAX_BATCH = 2, 15
MAX_CANCELLED = 50  # of one request
UnitName = Literal["static", "quote", "pct"]
ClientOrderId = Annotated[str, Meta(pattern=f"^(?:{CLIENT_ORDER_ID})\\Z")]
UserReference = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Names = Annotated[list[str], Meta(max_length=MAX_CANCELLED)]


class PriceFields(Struct):
    price: Amount | UnsetType = UNSET
    price_type: UnitName = "static"


class TriggerFields(PriceFields):
    reference: Literal["last", "index"] = "last"  # the docs: without an external index the last price is it


class CloseFields(Struct):
    """`conditional`: the order that is placed with every fill."""

    order_type: OrderType
    limit_price: Amount | UnsetType = UNSET
    limit_price_type: UnitName | UnsetType = UNSET
    trigger_price: Amount | UnsetType = UNSET
    trigger_price_type: UnitName = "static"


class OrderFields(Struct, kw_only=True):
    """The terms of one order; a batch has them once per order."""

    order_type: OrderType
    side: Side
    order_qty: PositiveAmount
    limit_price: Amount | UnsetType = UNSET
    limit_price_type: UnitName | UnsetType = UNSET
    triggers: dict[str, Any] = {}
    time_in_force: Literal["gtc", "ioc", "fok", "gtd"] = "gtc"
    expire_time: Timestamp | UnsetType = UNSET
    margin: bool = False
    leverage: Annotated[int, Meta(ge=1, le=10)] = 1
    post_only: bool = False
    reduce_only: bool = False
    cl_ord_id: ClientOrderId | UnsetType = UNSET
    order_userref: UserReference | UnsetType = UNSET
    conditional: dict[str, Any] = {}
    fee_preference: Literal["base", "quote"] = "quote"
    stp_type: Literal["cancel_newest", "cancel_oldest", "cancel_both"] = "cancel_newest"
    display_qty: Unsupported | UnsetType = UNSET
    effective_time: Unsupported | UnsetType = UNSET
    cash_order_qty: Unsupported | UnsetType = UNSET
    stop_price: Unsupported | UnsetType = UNSET
    trigger: Unsupported | UnsetType = UNSET
    no_mpp: Any = None  # the docs say that it is ignored
    sender_sub_id: Any = None  # nobody here has sub-accounts


class AddOrderFields(OrderFields, kw_only=True):
    symbol: str = ""
    token: str = ""
    deadline: Timestamp | UnsetType = UNSET
    validate: bool = False


class BatchAddFields(Struct):
    orders: Annotated[list[dict[str, Any]], Meta(min_length=MIN_BATCH, max_length=MAX_BATCH)]
    symbol: str = ""
    token: str = ""
    deadline: Timestamp | UnsetType = UNSET
    validate: bool = False


class ChangeFields(Struct, kw_only=True):
    """What amend_order and edit_order have in common."""

    order_id: str = ""
    order_qty: PositiveAmount | UnsetType = UNSET
    limit_price: Amount | UnsetType = UNSET
    limit_price_type: UnitName = "static"
    trigger_price: Amount | UnsetType = UNSET
    trigger_price_type: UnitName = "static"
    post_only: bool | UnsetType = UNSET
    deadline: Timestamp | UnsetType = UNSET
    token: str = ""


class AmendOrderFields(ChangeFields, kw_only=True):
    cl_ord_id: ClientOrderId | UnsetType = UNSET
    symbol: Any = None  # of no use here


class EditOrderFields(ChangeFields, kw_only=True):
    symbol: str = ""
    triggers: dict[str, Any] = {}
    reduce_only: NotEditable | UnsetType = UNSET
    order_userref: NotEditable | UnsetType = UNSET
    validate: NotEditable | UnsetType = UNSET
    fee_preference: NotEditable | UnsetType = UNSET
    no_mpp: Any = None
    sender_sub_id: Any = None


class CancelOrder(Struct, frozen=True):
    """Every reference gets its own answer."""

    order_id: Names = []
    cl_ord_id: Names = []
    order_userref: Annotated[list[UserReference], Meta(max_length=MAX_CANCELLED)] = []
    token: str = ""

    @property
    def references(self) -> tuple[Reference, ...]:
        return (
            *_references(self.order_id, ReferenceKind.ORDER_ID),
            *_references(self.cl_ord_id, ReferenceKind.CLIENT_ORDER_ID),
            *(Reference(str(each), (ReferenceKind.USER_REFERENCE,)) for each in self.order_userref),
        )

    def __post_init__(self) -> None:
        if not self.references or not all(each.name for each in self.references):
            raise invalid("order_id")


class BatchCancel(Struct, frozen=True):
    orders: Names = []
    cl_ord_id: Names = []
    token: str = ""

    @property
    def references(self) -> tuple[Reference, ...]:
        return (*_references(self.orders, *TXID), *_references(self.cl_ord_id, ReferenceKind.CLIENT_ORDER_ID))

    def __post_init__(self) -> None:
        named = all(each.name for each in self.references)
        if not MIN_BATCH <= len(self.references) <= MAX_CANCELLED or not named:
            raise invalid("orders")


class CancelAll(Struct, frozen=True):
    token: str = ""


class CancelAllAfter(Struct, frozen=True):
    timeout: Annotated[int, Meta(ge=0, le=MAX_TIMEOUT)]  # seconds
    token: str = ""


def _references(names: Iterable[str], *kinds: ReferenceKind) -> tuple[Reference, ...]:
    return tuple(Reference(each, kinds) for each in dict.fromkeys(names))
