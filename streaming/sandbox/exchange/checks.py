"""Reasons to refuse a request, in the order in which the exchange checks them. Nothing here changes anything."""

from datetime import datetime
from decimal import Decimal, localcontext
from math import isfinite

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, highest_fee, reservation_of
from streaming.sandbox.exchange.prices import check_number
from streaming.sandbox.model import (
    AT_ONCE,
    LIMITED,
    TRIGGERED,
    ExchangeOrder,
    NewOrder,
    OrderType,
    Refused,
    TimeInForce,
)
from trading.errors import NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.portfolio import rate
from trading.portfolio.exact import ROUNDED

ZERO = Decimal(0)
MAX_CLIENT_ID_LENGTH = 36  # a UUID; docs.kraken.com/exchange/guides/general/clordid.md
DOWN = frozenset({PairStatus.MAINTENANCE, PairStatus.DELISTED})
ARGUMENT = "EGeneral:Invalid arguments:"


def check_status(status: PairStatus, request: NewOrder) -> None:
    """Refuse what the market does not accept in its status."""
    if status in DOWN:
        raise Refused("EService:Unavailable")
    refused = {
        PairStatus.CANCEL_ONLY: True,
        PairStatus.POST_ONLY: not request.post_only,
        PairStatus.LIMIT_ONLY: request.order_type not in LIMITED,
        PairStatus.REDUCE_ONLY: not request.reduce_only,
    }
    if refused.get(status, False):
        raise Refused(f"EService:Market in {status.value} mode")


def check_request(
    request: NewOrder, instrument: Instrument, largest_leverage: Decimal, server: float
) -> None:
    """Refuse fields that make no order, whatever the market and the account say."""
    kind = request.order_type
    if (request.limit is not None) != (kind in LIMITED):
        raise Refused(f"{ARGUMENT}{'limit price missing' if kind in LIMITED else 'limit price'}")
    if (request.trigger is not None) != (kind in TRIGGERED):
        raise Refused(f"{ARGUMENT}{'trigger price missing' if kind in TRIGGERED else 'trigger price'}")
    if request.post_only and (kind is not OrderType.LIMIT or request.time_in_force in AT_ONCE):
        raise Refused(f"{ARGUMENT}post_only")
    if kind is OrderType.MARKET and request.time_in_force is TimeInForce.GTD:
        raise Refused(f"{ARGUMENT}timeinforce")
    _check_expiry(request, server)
    _check_names(request)
    _check_leverage(request, instrument, largest_leverage)
    check_quantity(request.quantity, instrument)


def _check_expiry(request: NewOrder, server: float) -> None:
    expires: datetime | None = request.expires_at
    if (expires is not None) != (request.time_in_force is TimeInForce.GTD):
        raise Refused(f"{ARGUMENT}expiretm")
    if expires is not None and (expires.tzinfo is None or expires.timestamp() <= server):
        raise Refused(f"{ARGUMENT}expiretm")


def _check_names(request: NewOrder) -> None:
    if request.client_order_id and request.user_reference:
        raise Refused(f"{ARGUMENT}cl_ord_id and userref exclude each other")
    if len(request.client_order_id) > MAX_CLIENT_ID_LENGTH:
        raise Refused(f"{ARGUMENT}cl_ord_id")


def _check_leverage(request: NewOrder, instrument: Instrument, largest: Decimal) -> None:
    if not 1 <= request.leverage <= min(largest, max(instrument.maximum_leverage, Decimal(1))):
        raise Refused(f"{ARGUMENT}leverage")
    if request.fee_in_base and request.leverage > 1:
        raise Refused(f"{ARGUMENT}oflags")  # a margin account pays its fees from its collateral
    if request.reduce_only and request.leverage == 1:
        raise Refused("EOrder:Reduce only:No position exists")


def check_quantity(quantity: Decimal, instrument: Instrument) -> None:
    quantity = check_number(quantity, f"{ARGUMENT}volume")
    if quantity <= 0:
        raise Refused(f"{ARGUMENT}volume")
    if quantity < instrument.minimum_quantity:
        raise Refused("EOrder:Order minimum not met")
    if quantity % instrument.quantity_increment:
        raise Refused(f"{ARGUMENT}volume")


def check_cost(order: ExchangeOrder, last: Decimal | None, instrument: Instrument) -> None:
    price = order.limit_price or order.trigger_price or last
    if price is not None and price * order.request.quantity < instrument.minimum_cost:
        raise Refused("EOrder:Cost minimum not met")


def check_client_id(account: ExchangeAccount, client_order_id: str) -> None:
    """Refuse the client order id of an order in force; it is free again when its order has ended."""
    if client_order_id and client_order_id in account.client_ids:
        raise Refused(f"{ARGUMENT}cl_ord_id not unique")


def check_count(account: ExchangeAccount, pair: Pair, most: int) -> None:
    if len(account.orders) < most:
        return
    if sum(1 for working in account.orders.values() if working.order.request.pair == pair) >= most:
        raise Refused("EOrder:Orders limit exceeded")


def check_post_only(state: EngineState, order: ExchangeOrder) -> None:
    request, limit = order.request, order.limit_price
    if request.post_only and limit is not None and state.market(request.pair).would_take(request.side, limit):
        raise Refused("EOrder:Post only order")


def check_funds(
    state: EngineState, account: ExchangeAccount, order: ExchangeOrder, replaced: str = ""
) -> None:
    """Refuse what funds or margin do not cover of the order; what the order `replaced` reserves counts as free."""
    if order.request.leverage > 1:
        _check_margin(state, account, order, replaced)
    else:
        _check_spot_funds(state, account, order, replaced)


def _check_spot_funds(
    state: EngineState, account: ExchangeAccount, order: ExchangeOrder, replaced: str
) -> None:
    market = state.market(order.request.pair)
    needed = reservation_of(order, market.instrument)
    assert needed is not None
    asset, amount = needed
    if order.request.order_type is OrderType.MARKET and asset == order.request.pair.quote:
        fee = ZERO if order.request.fee_in_base else market.instrument.taker_fee
        amount = market.match_order(order, order.remaining).cost * (1 + fee)
    if amount > account.available(asset) + account.reserved_by(replaced, asset):
        raise Refused("EOrder:Insufficient funds")


def _check_margin(state: EngineState, account: ExchangeAccount, order: ExchangeOrder, replaced: str) -> None:
    """Refuse an order whose position does not fit beside the positions and the other orders that would open some."""
    pair, side = order.request.pair, order.request.side
    if order.request.reduce_only:
        if not account.open_quantity(pair, side):
            raise Refused("EOrder:Reduce only:No position exists")
        return
    needed = _margin_of(state, account, order)
    if not needed:
        return
    for working in account.orders.values():
        if working.order.order_id != replaced:
            needed += _margin_of(state, account, working.order)
    try:
        free = account.state.free_margin(state.prices)
    except NotStored:
        raise Refused("EService:Unavailable") from None
    if needed > free:
        raise Refused("EOrder:Insufficient margin")


def _margin_of(state: EngineState, account: ExchangeAccount, order: ExchangeOrder) -> Decimal:
    """Compute margin and fees of what the order would open, in the account's quote currency."""
    request = order.request
    if request.leverage == 1 or request.reduce_only:
        return ZERO
    opening = max(order.remaining - account.open_quantity(request.pair, request.side), ZERO)
    instrument = state.market(request.pair).instrument
    price = order.limit_price or order.trigger_price or state.prices.get(request.pair)
    if price is None:
        raise Refused("EService:Unavailable")
    value = opening * price
    fees = value * (highest_fee(instrument) + state.terms.opening_fee)
    try:
        with localcontext(ROUNDED):
            return (value / request.leverage + fees) * rate(request.pair.quote, state.quote, state.prices)
    except NotStored:
        raise Refused("EService:Unavailable") from None


def check_seconds(seconds: float) -> float:
    """Validate a dead man's switch: docs.kraken.com/api/docs/websocket-v2/cancel_after allows less than a day."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not isfinite(seconds):
        raise Refused(f"{ARGUMENT}timeout")
    if not 0 <= seconds < 86_400:
        raise Refused(f"{ARGUMENT}timeout")
    return float(seconds)
