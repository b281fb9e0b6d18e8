"""How an order comes in: checked, drawn up with absolute prices, accepted, and sent to the book or its trigger."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange import checks
from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.execution import execute, triggered
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

MOST_OPEN = 225  # per pair and account, Kraken's highest tier; support.kraken.com/articles/209090607


def checked(
    floor: EngineState, account_name: str, request: NewOrder, replaced: WorkingOrder | None = None
) -> ExchangeOrder:
    """The order that it would be. Refused with the exchange's reason.

    An order that it stands in for may be named: what that one holds and its client order id count as free.
    """
    account = floor.account(account_name)
    market = floor.market(request.pair)
    checks.check_status(floor.status(request.pair), request)
    checks.check_request(request, market.instrument, floor.terms.leverage, floor.server())
    if replaced is None:
        checks.check_client_id(account, request.client_order_id)
        checks.check_count(account, request.pair, MOST_OPEN)
    order = drafted(floor, account_name, request)
    checks.check_cost(order, market.last, market.instrument)
    if request.close is not None:
        _check_close(floor, order, request.close)
    checks.check_post_only(floor, order)
    checks.check_means(floor, account, order, replaced.order.order_id if replaced else "")
    return order


def _check_close(floor: EngineState, order: ExchangeOrder, close: CloseOrder) -> None:
    """What would be refused when the order fills, and leave its position without protection, is refused now."""
    request = _closing(order, close, order.request.quantity)
    market = floor.market(request.pair)
    checks.check_request(request, market.instrument, floor.terms.leverage, floor.server())
    checks.check_cost(drafted(floor, order.account, request), market.last, market.instrument)


def drafted(floor: EngineState, account: str, request: NewOrder, parent_id: str = "") -> ExchangeOrder:
    """With absolute prices and without an id. Refused where a price makes none."""
    limit, trigger = _prices(request, floor.market(request.pair))
    return ExchangeOrder(
        order_id="",
        account=account,
        request=request,
        limit_price=limit,
        trigger_price=trigger,
        state=OrderState.PENDING,
        reason="",
        triggered=False,
        opened_at=floor.now(),
        closed_at=None,
        entered=floor.server(),
        parent_id=parent_id,
    )


def _prices(request: NewOrder, market: PairMarket) -> tuple[Decimal | None, Decimal | None]:
    """Limit and trigger."""
    instrument, last = market.instrument, market.last
    if request.order_type in TRAILING:
        if last is None:
            raise Refused("EService:Unavailable")
        trigger, limit = trailed(request, last, instrument)
        return limit, trigger
    return (
        absolute(request.limit, last, instrument) if request.limit is not None else None,
        absolute(request.trigger, last, instrument) if request.trigger is not None else None,
    )


def place(floor: EngineState, draft: ExchangeOrder) -> WorkingOrder:
    """Accept a draft that was checked; it may be over when this returns."""
    floor.counters.orders += 1
    working = floor.accept(replace(draft, order_id=floor.ids.order(floor.counters.orders)))
    request = draft.request
    market = floor.market(request.pair)
    if request.order_type in TRIGGERED:
        floor.update(working, working.order, ExecType.NEW)
        arm(market, working)
        fire(floor, market)
    else:
        floor.update(working, replace(working.order, state=OrderState.OPEN), ExecType.NEW)
        execute(floor, working)
    return working


def arm(market: PairMarket, working: WorkingOrder) -> None:
    """A trailing stop starts from the last price, unless it follows one already."""
    if working.order.request.order_type in TRAILING and working.peak is None:
        working.peak = market.last
    market.triggers.arm(working)


def fire(floor: EngineState, market: PairMarket) -> None:
    """Every order whose trigger the last price has reached, in the order in which it reached them."""
    while (
        market.last is not None
        and floor.matches(market.pair)
        and (due := market.triggers.due(market.last)) is not None
    ):
        triggered(floor, due)


def follow(floor: EngineState, market: PairMarket) -> None:
    """Trailing stops move their trigger, and a limit that is relative to it, behind a new best price."""
    assert market.last is not None
    for working in market.triggers.outrun(market.last):
        working.peak = market.last
        try:
            trigger, limit = trailed(working.order.request, market.last, market.instrument)
        except Refused as refusal:  # a distance that no longer leaves a price above zero
            floor.end(working, OrderState.CANCELED, str(refusal))
            continue
        floor.update(
            working, replace(working.order, trigger_price=trigger, limit_price=limit), ExecType.STATUS
        )
        market.triggers.arm(working)


def trailed(request: NewOrder, peak: Decimal, instrument: Instrument) -> tuple[Decimal, Decimal | None]:
    """Trigger and limit of a trailing stop behind `peak`; a relative limit starts from the trigger."""
    assert request.trigger is not None
    trigger = trailing_trigger(request.trigger, peak, request.side, instrument)
    return trigger, absolute(request.limit, trigger, instrument) if request.limit is not None else None


def place_closes(floor: EngineState) -> None:
    """The close orders of the fills so far. One that the exchange would refuse is on record as cancelled."""
    while floor.closes:
        parent, quantity = floor.closes.pop(0)
        close = parent.request.close
        assert close is not None
        _place_close(floor, parent, close, quantity)


def _place_close(floor: EngineState, parent: ExchangeOrder, close: CloseOrder, quantity: Decimal) -> None:
    request = _closing(parent, close, quantity)
    try:
        draft = drafted(floor, parent.account, request, parent.order_id)
        checks.check_means(floor, floor.account(parent.account), draft)
    except Refused as refusal:
        _record_refused(floor, request, parent, str(refusal))
    else:
        place(floor, draft)


def _closing(parent: ExchangeOrder, close: CloseOrder, quantity: Decimal) -> NewOrder:
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


def _record_refused(floor: EngineState, request: NewOrder, parent: ExchangeOrder, reason: str) -> None:
    floor.counters.orders += 1
    order = ExchangeOrder(
        order_id=floor.ids.order(floor.counters.orders),
        account=parent.account,
        request=request,
        limit_price=None,
        trigger_price=None,
        state=OrderState.PENDING,
        reason="",
        triggered=False,
        opened_at=floor.now(),
        closed_at=None,
        entered=floor.server(),
        parent_id=parent.order_id,
    )
    floor.end(floor.accept(order), OrderState.CANCELED, reason)
