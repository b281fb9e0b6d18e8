"""Order entry: check, draft with absolute prices, accept, and send to the book or arm the trigger."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange import checks
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.execution import execute, trigger_order
from streaming.sandbox.exchange.pair_market import PairMarket
from streaming.sandbox.exchange.prices import absolute, trailing_trigger
from streaming.sandbox.exchange.working_order import WorkingOrder, opposite
from streaming.sandbox.model import (
    TRAILING,
    TRIGGERED,
    CloseOrder,
    ExchangeOrder,
    ExecType,
    NewOrder,
    OrderState,
    Refused,
)
from trading.market import Instrument

MAX_OPEN_ORDERS = 225  # per pair and account, Kraken's highest tier; support.kraken.com/articles/209090607


def check_order(
    state: EngineState, account_name: str, request: NewOrder, replaced: WorkingOrder | None = None
) -> ExchangeOrder:
    """Return the order that it would be. Refused with the exchange's reason.

    An order that it stands in for may be named: what that one holds and its client order id count as free.
    """
    account = state.account(account_name)
    market = state.market(request.pair)
    checks.check_status(state.status(request.pair), request)
    checks.check_request(request, market.instrument, state.terms.leverage, state.server())
    if replaced is None:
        checks.check_client_id(account, request.client_order_id)
        checks.check_count(account, request.pair, MAX_OPEN_ORDERS)
    order = draft_order(state, account_name, request)
    checks.check_cost(order, market.last, market.instrument)
    if request.close is not None:
        _check_close(state, order, request.close)
    checks.check_post_only(state, order)
    checks.check_funds(state, account, order, replaced.order.order_id if replaced else "")
    return order


def _check_close(state: EngineState, order: ExchangeOrder, close: CloseOrder) -> None:
    """Refuse now what would be refused when the order fills, and leave its position without protection."""
    request = _close_request(order, close, order.request.quantity)
    market = state.market(request.pair)
    checks.check_request(request, market.instrument, state.terms.leverage, state.server())
    checks.check_cost(draft_order(state, order.account, request), market.last, market.instrument)


def draft_order(state: EngineState, account: str, request: NewOrder, parent_id: str = "") -> ExchangeOrder:
    """Return the order with absolute prices and without an id. Refused where a price makes none."""
    limit, trigger = _prices(request, state.market(request.pair))
    draft = unpriced_draft(state, account, request, parent_id)
    return replace(draft, limit_price=limit, trigger_price=trigger)


def unpriced_draft(state: EngineState, account: str, request: NewOrder, parent_id: str = "") -> ExchangeOrder:
    return ExchangeOrder(
        order_id="",
        account=account,
        request=request,
        limit_price=None,
        trigger_price=None,
        state=OrderState.PENDING,
        reason="",
        triggered=False,
        opened_at=state.now(),
        closed_at=None,
        entered=state.server(),
        parent_id=parent_id,
    )


def _prices(request: NewOrder, market: PairMarket) -> tuple[Decimal | None, Decimal | None]:
    """Return limit and trigger."""
    instrument, last = market.instrument, market.last
    if request.order_type in TRAILING:
        if last is None:
            raise Refused("EService:Unavailable")
        trigger, limit = trailing_prices(request, last, instrument)
        return limit, trigger
    return (
        absolute(request.limit, last, instrument) if request.limit is not None else None,
        absolute(request.trigger, last, instrument) if request.trigger is not None else None,
    )


def place(state: EngineState, draft: ExchangeOrder) -> WorkingOrder:
    """Accept a draft that was checked; it may be over when this returns."""
    working = state.accept(draft)
    request = draft.request
    market = state.market(request.pair)
    if request.order_type in TRIGGERED:
        state.update(working, working.order, ExecType.NEW)
        arm_trigger(market, working)
        fire_triggers(state, market)
    else:
        state.update(working, replace(working.order, state=OrderState.OPEN), ExecType.NEW)
        execute(state, working)
    return working


def arm_trigger(market: PairMarket, working: WorkingOrder) -> None:
    """Arm the trigger; a trailing stop starts from the last price, unless it follows one already."""
    if working.order.request.order_type in TRAILING and working.peak is None:
        working.peak = market.last
    market.triggers.arm(working)


def fire_triggers(state: EngineState, market: PairMarket) -> None:
    """Trigger every order that the last price has reached, in the order in which it reached them."""
    while (
        market.last is not None
        and state.matches(market.pair)
        and (due := market.triggers.due(market.last)) is not None
    ):
        trigger_order(state, due)


def move_trailing_stops(state: EngineState, market: PairMarket) -> None:
    """Move triggers of trailing stops, and limits that are relative to them, behind a new best price."""
    assert market.last is not None
    for working in market.triggers.pop_beaten(market.last):
        working.peak = market.last
        try:
            trigger, limit = trailing_prices(working.order.request, market.last, market.instrument)
        except Refused as refusal:  # a distance that no longer leaves a price above zero
            state.end(working, OrderState.CANCELED, str(refusal))
            continue
        state.update(
            working, replace(working.order, trigger_price=trigger, limit_price=limit), ExecType.STATUS
        )
        market.triggers.arm(working)


def trailing_prices(
    request: NewOrder, peak: Decimal, instrument: Instrument
) -> tuple[Decimal, Decimal | None]:
    """Compute trigger and limit of a trailing stop behind `peak`; a relative limit starts from the trigger."""
    assert request.trigger is not None
    trigger = trailing_trigger(request.trigger, peak, request.side, instrument)
    return trigger, absolute(request.limit, trigger, instrument) if request.limit is not None else None


def place_close_orders(state: EngineState) -> None:
    """Place the close orders of the fills so far. One that the exchange would refuse is recorded as cancelled."""
    while state.closes:
        parent, quantity = state.closes.pop(0)
        close = parent.request.close
        assert close is not None
        _place_close(state, parent, close, quantity)


def _place_close(state: EngineState, parent: ExchangeOrder, close: CloseOrder, quantity: Decimal) -> None:
    request = _close_request(parent, close, quantity)
    try:
        draft = draft_order(state, parent.account, request, parent.order_id)
        checks.check_funds(state, state.account(parent.account), draft)
    except Refused as refusal:
        refused = unpriced_draft(state, parent.account, request, parent.order_id)
        state.end(state.accept(refused), OrderState.CANCELED, str(refusal))
    else:
        place(state, draft)


def _close_request(parent: ExchangeOrder, close: CloseOrder, quantity: Decimal) -> NewOrder:
    return NewOrder(
        pair=parent.request.pair,
        side=opposite(parent.request.side),
        order_type=close.order_type,
        quantity=quantity,
        limit=close.limit,
        trigger=close.trigger,
        leverage=parent.request.leverage,
        user_reference=parent.request.user_reference,
    )
