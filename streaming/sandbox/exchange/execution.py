"""Trades of client orders: with each other, with the market maker's quotes, and with what trades on the market."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.fill_or_kill import fills_whole
from streaming.sandbox.exchange.matching import Match, MatchStep
from streaming.sandbox.exchange.settlement import POSITION_CLOSED, Settled, capacity, settled
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
    TimeInForce,
)
from trading.market import Pair
from trading.orders import Side

ZERO = Decimal(0)
SELF_TRADE = "Self trade prevention: the newer order is cancelled"
NOT_WHOLE = "Fill or kill: not enough on the book"
NO_MORE = "Nothing left on the book"
NOT_AT_ONCE = "Immediate or cancel: the rest was not filled"


def execute(floor: EngineState, working: WorkingOrder) -> None:
    """Take what the limit allows; what is left rests, or ends where it must not."""
    order = working.order
    if order.request.time_in_force is TimeInForce.FOK and not fills_whole(floor, working):
        floor.end(working, OrderState.CANCELED, NOT_WHOLE)
        return
    match = _take(floor, working)
    if working.order.state in FINAL:
        return
    if match.meets_itself:
        floor.end(working, OrderState.CANCELED, SELF_TRADE)
    elif not capacity(floor.accounts[order.account], working):
        floor.end(working, OrderState.CANCELED, POSITION_CLOSED)
    elif order.limit_price is None:
        floor.end(working, OrderState.CANCELED, NO_MORE)
    elif order.request.time_in_force in AT_ONCE:
        floor.end(working, OrderState.CANCELED, NOT_AT_ONCE)
    else:
        floor.rest(working)


def _take(floor: EngineState, working: WorkingOrder) -> Match:
    """Until nothing more matches. The last look at the book, or the one that ended the order."""
    market = floor.market(working.order.request.pair)
    while True:
        match = market.match(working, capacity(floor.accounts[working.order.account], working))
        for step in match.steps:
            if _trade(floor, working, step) < step.quantity:
                break  # one of the two could not settle it: look again
        else:
            return match
        if working.order.state in FINAL:
            return match


def _trade(floor: EngineState, taker: WorkingOrder, step: MatchStep) -> Decimal:
    """The quantity traded; an order that cannot settle its part ends instead."""
    maker, price = step.maker, step.price
    quantity = step.quantity
    if maker is not None:
        quantity = min(quantity, capacity(floor.accounts[maker.order.account], maker))
    given = _settlement(floor, maker, price, quantity, True) if maker is not None else None
    if isinstance(given, str):
        assert maker is not None
        floor.end(maker, OrderState.CANCELED, given)
        return ZERO
    taken = _settlement(floor, taker, price, quantity, False)
    if isinstance(taken, str):
        floor.end(taker, OrderState.CANCELED, taken)
        return ZERO
    _passed(floor, taker, maker, price, quantity)
    print_ = _printed(floor, taker.order.request.pair, price, quantity, taker)
    if maker is not None and given is not None:
        _booked(floor, maker, given, print_, True)
    _booked(floor, taker, taken, print_, False)
    return quantity


def _passed(
    floor: EngineState, taker: WorkingOrder, maker: WorkingOrder | None, price: Decimal, quantity: Decimal
) -> None:
    """The market maker's part leaves its quotes, and those who wait behind it at that price move up."""
    if maker is not None:
        return
    request = taker.order.request
    market = floor.market(request.pair)
    given = market.take_quotes(request.side, price, quantity)
    assert given == quantity, f"{request.pair}: {given} of {quantity} quoted at {price} could be taken"
    passed_by(floor, request.pair, opposite(request.side), price, quantity)


def passed_by(floor: EngineState, pair: Pair, side: Side, price: Decimal, quantity: Decimal) -> None:
    """So much of the market's own quantity has traded where client orders on `side` may wait."""
    level = floor.market(pair).queues[side].at(price)
    if level is not None:
        level.passed += quantity
        floor.changes.levels[(pair, side, price)] = None


def fill_resting(floor: EngineState, working: WorkingOrder, quantity: Decimal) -> Decimal:
    """The market itself trades with a resting order, at its limit. What traded; 0 when the order ended instead."""
    order = working.order
    assert order.limit_price is not None
    quantity = min(quantity, capacity(floor.accounts[order.account], working))
    outcome = _settlement(floor, working, order.limit_price, quantity, True)
    if isinstance(outcome, str):
        floor.end(working, OrderState.CANCELED, outcome)
        return ZERO
    print_ = floor.printed(
        order.request.pair, order.limit_price, quantity, opposite(order.request.side), "market"
    )
    _booked(floor, working, outcome, print_, True)
    return quantity


def can_be_filled(floor: EngineState, working: WorkingOrder) -> bool:
    """Whether the account could settle a fill now; an order that cannot ends."""
    order = working.order
    assert order.limit_price is not None
    quantity = capacity(floor.accounts[order.account], working)
    outcome = _settlement(floor, working, order.limit_price, quantity, True)
    if isinstance(outcome, str):
        floor.end(working, OrderState.CANCELED, outcome)
        return False
    return True


def _settlement(
    floor: EngineState, working: WorkingOrder, price: Decimal, quantity: Decimal, maker: bool
) -> Settled | str:
    if not quantity:
        return POSITION_CLOSED
    account = floor.accounts[working.order.account]
    instrument = floor.market(working.order.request.pair).instrument
    return settled(account, working, instrument, price, quantity, maker, floor.now(), floor.prices)


def _printed(floor: EngineState, pair: Pair, price: Decimal, quantity: Decimal, taker: WorkingOrder) -> Print:
    kind = "limit" if taker.order.request.order_type in LIMITED else OrderType.MARKET.value
    return floor.printed(pair, price, quantity, taker.order.request.side, kind)


def _booked(floor: EngineState, working: WorkingOrder, outcome: Settled, print_: Print, maker: bool) -> None:
    order = working.order
    request = order.request
    floor.counters.executions += 1
    execution = ExchangeFill(
        execution_id=floor.ids.execution(floor.counters.executions),
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
    )
    account = floor.accounts[order.account]
    kind = "margin" if request.leverage > 1 else "trade"
    floor.filled(working, execution)
    floor.settle(account, outcome.state, kind, execution.execution_id)


def triggered(floor: EngineState, working: WorkingOrder) -> None:
    """The last price has reached the trigger: the order goes to the book."""
    market = floor.market(working.order.request.pair)
    market.triggers.disarm(working)
    fired = replace(working.order, state=OrderState.OPEN, triggered=True)
    floor.update(working, fired, ExecType.STATUS)
    execute(floor, working)
