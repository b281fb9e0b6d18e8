"""Execution of client orders: trades with each other, with the market maker's quotes, and with the market."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.fill_or_kill import can_fill_completely
from streaming.sandbox.exchange.matching import Match, MatchStep
from streaming.sandbox.exchange.settlement import POSITION_CLOSED, Settlement, capacity, settlement_of
from streaming.sandbox.exchange.working_order import WorkingOrder, opposite
from streaming.sandbox.model import (
    AT_ONCE,
    FINAL,
    LIMITED,
    ExchangeFill,
    ExecType,
    OrderState,
    OrderType,
    Print,
    SelfTrade,
    TimeInForce,
)
from trading.market import Pair
from trading.orders import Side

ZERO = Decimal(0)
SELF_TRADE = "Cannot trade with self"  # Kraken's words: support.kraken.com/articles/360042529892
NOT_WHOLE = "Fill or kill: not enough on the book"
NO_MORE = "Nothing left on the book"
NOT_AT_ONCE = "Immediate or cancel: the rest was not filled"


def execute(state: EngineState, working: WorkingOrder) -> None:
    """Take what the limit allows; what is left rests, or ends where it must not."""
    order = working.order
    if order.request.time_in_force is TimeInForce.FOK and not can_fill_completely(state, working):
        state.end(working, OrderState.CANCELED, NOT_WHOLE)
        return
    match = _take(state, working)
    if working.order.state in FINAL:
        return
    if match.meets is not None:
        if order.request.self_trade is SelfTrade.CANCEL_BOTH:
            state.end(match.meets, OrderState.CANCELED, SELF_TRADE)
        state.end(working, OrderState.CANCELED, SELF_TRADE)
    elif not capacity(state.accounts[order.account], working):
        state.end(working, OrderState.CANCELED, POSITION_CLOSED)
    elif order.limit_price is None:
        state.end(working, OrderState.CANCELED, NO_MORE)
    elif order.request.time_in_force in AT_ONCE:
        state.end(working, OrderState.CANCELED, NOT_AT_ONCE)
    else:
        state.rest(working)


def _take(state: EngineState, working: WorkingOrder) -> Match:
    """Match until nothing more does. Return the last look at the book, or the one that ended the order."""
    market = state.market(working.order.request.pair)
    while True:
        match = market.match(working, capacity(state.accounts[working.order.account], working))
        for own in match.passed:
            state.end(own, OrderState.CANCELED, SELF_TRADE)
        for step in match.steps:
            if _trade(state, working, step) < step.quantity:
                break  # one of the two could not settle it: look again
        else:
            return match
        if working.order.state in FINAL:
            return match


def _trade(state: EngineState, taker: WorkingOrder, step: MatchStep) -> Decimal:
    """Trade one step and return the quantity; an order that cannot settle its part ends instead."""
    maker, price = step.maker, step.price
    quantity = step.quantity
    if maker is not None:
        quantity = min(quantity, capacity(state.accounts[maker.order.account], maker))
    given = (
        _settlement(state, working=maker, price=price, quantity=quantity, maker=True)
        if maker is not None
        else None
    )
    if isinstance(given, str):
        assert maker is not None
        state.end(maker, OrderState.CANCELED, given)
        return ZERO
    taken = _settlement(state, working=taker, price=price, quantity=quantity, maker=False)
    if isinstance(taken, str):
        state.end(taker, OrderState.CANCELED, taken)
        return ZERO
    _consume_quotes(state, taker=taker, maker=maker, price=price, quantity=quantity)
    print_ = _print_trade(state, pair=taker.order.request.pair, price=price, quantity=quantity, taker=taker)
    if maker is not None and given is not None:
        _book_fill(state, working=maker, outcome=given, print_=print_, maker=True)
    _book_fill(state, working=taker, outcome=taken, print_=print_, maker=False)
    return quantity


def _consume_quotes(
    state: EngineState, taker: WorkingOrder, maker: WorkingOrder | None, price: Decimal, quantity: Decimal
) -> None:
    """Take the market maker's part from its quotes; orders that wait behind it at that price move up."""
    if maker is not None:
        return
    request = taker.order.request
    market = state.market(request.pair)
    given = market.take_quotes(request.side, price, quantity)
    assert given == quantity, f"{request.pair}: {given} of {quantity} quoted at {price} could be taken"
    advance_queue(state, pair=request.pair, side=opposite(request.side), price=price, quantity=quantity)


def advance_queue(state: EngineState, pair: Pair, side: Side, price: Decimal, quantity: Decimal) -> None:
    """Count quantity of the market's own that has traded where client orders on `side` may wait."""
    level = state.market(pair).queues[side].at(price)
    if level is not None:
        level.traded_ahead += quantity
        state.changes.levels[(pair, side, price)] = None


def fill_resting(state: EngineState, working: WorkingOrder, quantity: Decimal) -> Decimal:
    """Let the market trade with a resting order, at its limit. Return what traded; 0 when the order ended instead."""
    order = working.order
    assert order.limit_price is not None
    quantity = min(quantity, capacity(state.accounts[order.account], working))
    outcome = _settlement(state, working=working, price=order.limit_price, quantity=quantity, maker=True)
    if isinstance(outcome, str):
        state.end(working, OrderState.CANCELED, outcome)
        return ZERO
    print_ = state.print_trade(
        pair=order.request.pair,
        price=order.limit_price,
        quantity=quantity,
        side=opposite(order.request.side),
        order_type="market",
    )
    _book_fill(state, working=working, outcome=outcome, print_=print_, maker=True)
    return quantity


def ensure_fillable(state: EngineState, working: WorkingOrder) -> bool:
    """Return whether the account could settle a fill now; an order that cannot ends."""
    order = working.order
    assert order.limit_price is not None
    quantity = capacity(state.accounts[order.account], working)
    outcome = _settlement(state, working=working, price=order.limit_price, quantity=quantity, maker=True)
    if isinstance(outcome, str):
        state.end(working, OrderState.CANCELED, outcome)
        return False
    return True


def _settlement(
    state: EngineState, working: WorkingOrder, price: Decimal, quantity: Decimal, maker: bool
) -> Settlement | str:
    if not quantity:
        return POSITION_CLOSED
    account = state.accounts[working.order.account]
    instrument = state.market(working.order.request.pair).instrument
    return settlement_of(
        account,
        working=working,
        instrument=instrument,
        price=price,
        quantity=quantity,
        maker=maker,
        at=state.now(),
        prices=state.prices,
    )


def _print_trade(
    state: EngineState, pair: Pair, price: Decimal, quantity: Decimal, taker: WorkingOrder
) -> Print:
    kind = "limit" if taker.order.request.order_type in LIMITED else OrderType.MARKET.value
    return state.print_trade(
        pair=pair, price=price, quantity=quantity, side=taker.order.request.side, order_type=kind
    )


def _book_fill(
    state: EngineState, working: WorkingOrder, outcome: Settlement, print_: Print, maker: bool
) -> None:
    order = working.order
    request = order.request
    execution = ExchangeFill(
        execution_id=state.ids.next_execution(),
        trade_id=print_.trade_id,
        order_id=order.order_id,
        account=order.account,
        pair=request.pair,
        side=request.side,
        order_type=request.order_type,
        price=print_.price,
        quantity=print_.quantity,
        cost=outcome.cost,
        fee=outcome.fee,
        margin=outcome.margin,
        maker=maker,
        at=print_.at,
        leverage=request.leverage,
        fee_in_base=request.fee_in_base,
    )
    account = state.accounts[order.account]
    kind = "margin" if request.leverage > 1 else "trade"
    state.record_fill(working, execution)
    state.settle(account, outcome.state, kind, execution.execution_id)


def trigger_order(state: EngineState, working: WorkingOrder) -> None:
    """Send an order whose trigger the last price has reached to the book."""
    market = state.market(working.order.request.pair)
    market.triggers.disarm(working)
    fired = replace(working.order, state=OrderState.OPEN, triggered=True)
    state.update(working, fired, ExecType.STATUS)
    execute(state, working)
