"""Amendment of an order in force: in place under its own id, or edited into a new one."""

from dataclasses import replace

from streaming.sandbox.exchange import checks
from streaming.sandbox.exchange.amends import AmendKind
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.execution import execute
from streaming.sandbox.exchange.order_entry import (
    arm_trigger,
    check_order,
    fire_triggers,
    place,
    trailing_prices,
)
from streaming.sandbox.exchange.prices import absolute, check_number
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import (
    TRAILING,
    Amendment,
    ExchangeOrder,
    ExecType,
    NewOrder,
    OrderState,
    OrderType,
    Refused,
)

BELOW_FILLED = "Amended to no more than was filled"
REPLACED = "Order replaced"


def amend(state: EngineState, working: WorkingOrder, wanted: Amendment) -> None:
    """Amend an order in place: same ids, and the same place in the queue when nothing but the quantity falls.

    A quantity that is already filled cancels the rest (docs.kraken.com/exchange/api-reference/unified-ws/amend_order).
    """
    request = _merge_request(working.order.request, wanted)
    market = state.market(request.pair)
    checks.check_status(state.status(request.pair), request)
    quantity = check_number(request.quantity, f"{checks.ARGUMENT}volume")
    if 0 < quantity <= working.order.filled:
        filled = replace(working.order.request, quantity=working.order.filled)
        amended = replace(working.order, request=filled)
        named = state.record_amend(working.order, amended, AmendKind.USER, BELOW_FILLED)
        working.order = replace(working.order, amend_id=named.amend_id)
        state.end(working, OrderState.CANCELED, BELOW_FILLED)
        return
    checks.check_quantity(quantity, market.instrument)
    if request.post_only and request.order_type is not OrderType.LIMIT:
        raise Refused(f"{checks.ARGUMENT}post_only")
    amended = _reprice(state, working, request, wanted)
    checks.check_cost(amended, market.last, market.instrument)
    if working.is_resting and amended.limit_price != working.order.limit_price:
        checks.check_post_only(state, amended)
    checks.check_funds(state, state.accounts[amended.account], amended, amended.order_id)
    _replace_order(state, working, amended)


def edit(state: EngineState, working: WorkingOrder, wanted: Amendment) -> WorkingOrder:
    """Cancel the old order and place a new one instead, for what was left unless a quantity is given.

    Nothing changes when the new one is refused.
    """
    old = working.order
    request = _merge_request(replace(old.request, quantity=old.remaining), wanted)
    draft = check_order(state, old.account, request, replaced=working)
    state.end(working, OrderState.CANCELED, REPLACED)
    return place(state, draft)


def _merge_request(request: NewOrder, wanted: Amendment) -> NewOrder:
    """Return the request with what is wanted of it. Refused for a price that the order type does not have."""
    if (wanted.limit and not request.limit) or (wanted.trigger and not request.trigger):
        raise Refused(f"{checks.ARGUMENT}price")
    return replace(
        request,
        quantity=request.quantity if wanted.quantity is None else wanted.quantity,
        limit=wanted.limit or request.limit,
        trigger=wanted.trigger or request.trigger,
        post_only=request.post_only if wanted.post_only is None else wanted.post_only,
    )


def _reprice(
    state: EngineState, working: WorkingOrder, request: NewOrder, wanted: Amendment
) -> ExchangeOrder:
    order, market = working.order, state.market(request.pair)
    limit, trigger, now = order.limit_price, order.trigger_price, state.server()
    if wanted.trigger is not None and not working.is_armed:
        raise Refused(f"{checks.ARGUMENT}the order has been triggered")
    if request.order_type in TRAILING and working.is_armed:
        assert working.peak is not None
        trigger, limit = trailing_prices(request, working.peak, market.instrument)
        return replace(order, request=request, limit_price=limit, trigger_price=trigger, entered=now)
    if wanted.limit is not None:
        limit = absolute(wanted.limit, market.last, market.instrument)
    if wanted.trigger is not None:
        trigger = absolute(wanted.trigger, market.last, market.instrument)
    return replace(order, request=request, limit_price=limit, trigger_price=trigger, entered=now)


def _replace_order(state: EngineState, working: WorkingOrder, amended: ExchangeOrder) -> None:
    """Put the amended order in the place of the old one."""
    old, market = working.order, state.market(amended.request.pair)
    if working.is_armed:
        state.update(working, amended, ExecType.AMENDED)
        arm_trigger(market, working)
        fire_triggers(state, market)
    elif amended.limit_price == old.limit_price and amended.remaining <= old.remaining:
        market.queues[old.request.side].shrink(working, old.remaining - amended.remaining)
        market.touch(working)
        state.update(working, amended, ExecType.AMENDED)
    else:
        market.remove_resting(working)
        state.note_level(old)
        state.update(working, amended, ExecType.AMENDED)
        execute(state, working)
