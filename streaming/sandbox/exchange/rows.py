"""Values of the exchange as rows of its store, and back. Amounts are exact text, times microseconds since 1970."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.market import Tick
from streaming.sandbox.model import (
    BalanceChanged,
    CloseOrder,
    ExchangeFill,
    ExchangeOrder,
    NewOrder,
    OrderState,
    OrderType,
    PriceTerm,
    PriceUnit,
    Print,
    TimeInForce,
)
from trading.market import Pair
from trading.orders import Side

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SIDES = {side.value: side for side in Side}  # a quarter of a million prints are read with it

ORDER_COLUMNS = (
    "number", "order_id", "account", "pair", "side", "order_type", "quantity", "limit_term", "trigger_term",
    "time_in_force", "expires_at", "post_only", "reduce_only", "leverage", "client_order_id", "user_reference",
    "close_order", "limit_price", "trigger_price", "state", "reason", "triggered", "opened_at", "closed_at",
    "entered", "filled", "cost", "fee", "parent_id", "priority", "place", "peak",
)  # fmt: skip
EXECUTION_COLUMNS = (
    "execution_id", "trade_id", "order_id", "account", "pair", "side", "order_type", "price", "quantity", "cost",
    "fee", "margin", "maker", "at", "leverage",
)  # fmt: skip
ENTRY_COLUMNS = ("account", "asset", "amount", "balance", "kind", "reference", "at")
PRINT_COLUMNS = ("pair", "trade_id", "price", "quantity", "side", "order_type", "at")


def text(amount: Decimal) -> str:
    return format(amount, "f")


def microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND


def time_of(value: int) -> datetime:
    return EPOCH + value * MICROSECOND


def order_row(working: WorkingOrder) -> tuple[Any, ...]:
    order = working.order
    request = order.request
    return (
        working.number,
        order.order_id,
        order.account,
        request.pair.key,
        request.side.value,
        request.order_type.value,
        text(request.quantity),
        _term_text(request.limit),
        _term_text(request.trigger),
        request.time_in_force.value,
        _optional_time(request.expires_at),
        request.post_only,
        request.reduce_only,
        request.leverage,
        request.client_order_id,
        request.user_reference,
        _close_text(request.close),
        _optional_text(order.limit_price),
        _optional_text(order.trigger_price),
        order.state.value,
        order.reason,
        order.triggered,
        microseconds(order.opened_at),
        _optional_time(order.closed_at),
        order.entered,
        text(order.filled),
        text(order.cost),
        text(order.fee),
        order.parent_id,
        working.priority,
        text(working.place),
        _optional_text(working.peak),
    )


def working_of(row: tuple[Any, ...]) -> WorkingOrder:
    value = dict(zip(ORDER_COLUMNS, row, strict=True))
    return WorkingOrder(
        order=_order_of(value),
        number=value["number"],
        priority=value["priority"],
        place=Decimal(value["place"]),
        peak=_decimal(value["peak"]),
    )


def _order_of(value: dict[str, Any]) -> ExchangeOrder:
    return ExchangeOrder(
        order_id=value["order_id"],
        account=value["account"],
        request=_request_of(value),
        limit_price=_decimal(value["limit_price"]),
        trigger_price=_decimal(value["trigger_price"]),
        state=OrderState(value["state"]),
        reason=value["reason"],
        triggered=bool(value["triggered"]),
        opened_at=time_of(value["opened_at"]),
        closed_at=_time(value["closed_at"]),
        entered=value["entered"],
        filled=Decimal(value["filled"]),
        cost=Decimal(value["cost"]),
        fee=Decimal(value["fee"]),
        parent_id=value["parent_id"],
    )


def _request_of(value: dict[str, Any]) -> NewOrder:
    return NewOrder(
        pair=Pair.parse(value["pair"]),
        side=Side(value["side"]),
        order_type=OrderType(value["order_type"]),
        quantity=Decimal(value["quantity"]),
        limit=_term(value["limit_term"]),
        trigger=_term(value["trigger_term"]),
        time_in_force=TimeInForce(value["time_in_force"]),
        expires_at=_time(value["expires_at"]),
        post_only=bool(value["post_only"]),
        reduce_only=bool(value["reduce_only"]),
        leverage=value["leverage"],
        client_order_id=value["client_order_id"],
        user_reference=value["user_reference"],
        close=_close(value["close_order"]),
    )


def execution_row(each: ExchangeFill) -> tuple[Any, ...]:
    return (
        each.execution_id,
        each.trade_id,
        each.order_id,
        each.account,
        each.pair.key,
        each.side.value,
        each.order_type.value,
        text(each.price),
        text(each.quantity),
        text(each.cost),
        text(each.fee),
        text(each.margin),
        each.maker,
        microseconds(each.at),
        each.leverage,
    )


def execution_of(row: tuple[Any, ...]) -> ExchangeFill:
    value = dict(zip(EXECUTION_COLUMNS, row, strict=True))
    amounts = {name: Decimal(value[name]) for name in ("price", "quantity", "cost", "fee", "margin")}
    return ExchangeFill(
        execution_id=value["execution_id"],
        trade_id=value["trade_id"],
        order_id=value["order_id"],
        account=value["account"],
        pair=Pair.parse(value["pair"]),
        side=Side(value["side"]),
        order_type=OrderType(value["order_type"]),
        maker=bool(value["maker"]),
        at=time_of(value["at"]),
        leverage=value["leverage"],
        **amounts,
    )


def entry_row(each: BalanceChanged) -> tuple[Any, ...]:
    amounts = (text(each.amount), text(each.balance))
    return each.account, each.asset, *amounts, each.kind, each.reference, microseconds(each.at)


def print_row(each: Print) -> tuple[Any, ...]:
    amounts = (text(each.price), text(each.quantity))
    return each.pair.key, each.trade_id, *amounts, each.side.value, each.order_type, microseconds(each.at)


def printed_of(pair: Pair, row: tuple[Any, ...]) -> Tick:
    """A print as a tape takes it: at, price, quantity, side and order type of one pair's."""
    at, price, quantity, side, order_type = row
    return Tick(pair, time_of(at), Decimal(price), Decimal(quantity), SIDES[side], order_type)


def _term_text(term: PriceTerm | None) -> str | None:
    return f"{term.unit.value} {text(term.value)}" if term else None


def _term(value: str | None) -> PriceTerm | None:
    if value is None:
        return None
    unit, amount = value.split(" ")
    return PriceTerm(Decimal(amount), PriceUnit(unit))


def _close_text(close: CloseOrder | None) -> str | None:
    if close is None:
        return None
    return "|".join((close.order_type.value, _term_text(close.limit) or "", _term_text(close.trigger) or ""))


def _close(value: str | None) -> CloseOrder | None:
    if value is None:
        return None
    kind, limit, trigger = value.split("|")
    return CloseOrder(OrderType(kind), _term(limit or None), _term(trigger or None))


def _optional_text(amount: Decimal | None) -> str | None:
    return text(amount) if amount is not None else None


def _decimal(value: str | None) -> Decimal | None:
    return Decimal(value) if value is not None else None


def _optional_time(time: datetime | None) -> int | None:
    return microseconds(time) if time else None


def _time(value: int | None) -> datetime | None:
    return time_of(value) if value is not None else None
