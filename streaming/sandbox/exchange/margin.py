"""Borrowed positions: rollover fees, liquidation, and reduce-only orders, which never exceed their position."""

from dataclasses import replace
from decimal import Decimal

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount, is_liquidated, next_rollover
from streaming.sandbox.exchange.order_entry import place, unpriced_draft
from streaming.sandbox.exchange.settlement import POSITION_CLOSED, capacity
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExchangeOrder, ExecType, NewOrder, OrderState, OrderType
from trading.market import Pair
from trading.orders import Side

LIQUIDATION = "Liquidation: the margin level is too low"


def charge(state: EngineState) -> None:
    """Charge every rollover that is due."""
    for account in list(state.borrowers.values()):
        due = next_rollover(account.state)
        if due is not None and due <= state.now():
            state.settle(account, account.state.with_rollovers(state.now()), "rollover", account.name)


def is_charge_due(state: EngineState) -> bool:
    now = state.now()
    return any((next_rollover(account.state) or now) <= now for account in state.borrowers.values())


def liquidate(state: EngineState) -> None:
    """Close out every account at the liquidation level; only those with a position are looked at."""
    for account in list(state.borrowers.values()):
        if is_liquidated(account.state, state.prices):
            _liquidate(state, account)


def _liquidate(state: EngineState, account: ExchangeAccount) -> None:
    """Cancel every order, so that none stands in the way, then sell and buy back as far as the book goes.

    What is left over is tried again when the market moves.
    """
    for working in list(account.orders.values()):
        state.end(working, OrderState.CANCELED, LIQUIDATION)
    open_now: dict[Pair, Decimal] = {}
    for each in account.state.positions:
        open_now[each.pair] = open_now.get(each.pair, Decimal(0)) + each.quantity
    for pair, quantity in open_now.items():
        if state.matches(pair):
            place(state, _close_request(state, account, pair, quantity))


def _close_request(
    state: EngineState, account: ExchangeAccount, pair: Pair, quantity: Decimal
) -> ExchangeOrder:
    leverage = max(each.leverage for each in account.state.positions if each.pair == pair)
    request = NewOrder(
        pair=pair,
        side=Side.SELL if quantity > 0 else Side.BUY,
        order_type=OrderType.MARKET,
        quantity=abs(quantity),
        leverage=int(leverage),
        reduce_only=True,
    )
    return replace(unpriced_draft(state, account.name, request), reason=LIQUIDATION)


def reduce_to_positions(state: EngineState) -> None:
    """End or shrink reduce-only orders, of accounts touched by this request or tick, to their positions."""
    touched = dict.fromkeys(working.order.account for working in state.changes.orders.values())
    for name in {**touched, **state.changes.accounts}:
        account = state.accounts[name]
        for working in [each for each in account.orders.values() if each.order.request.reduce_only]:
            _reduce(state, account, working)


def _reduce(state: EngineState, account: ExchangeAccount, working: WorkingOrder) -> None:
    """Reduce a resting order to its position; one that waits for its trigger can only end: it may grow again."""
    order, carried = working.order, capacity(account, working)
    if not carried:
        state.end(working, OrderState.CANCELED, POSITION_CLOSED)
    elif working.is_resting and carried < order.remaining:
        market = state.market(order.request.pair)
        market.queues[order.request.side].shrink(working, order.remaining - carried)
        market.touch(working)
        request = replace(order.request, quantity=order.filled + carried)
        state.update(working, replace(order, request=request), ExecType.RESTATED)
