"""Reduce-only orders promise no more than their account's position carries: what stands for more is not there."""

from dataclasses import replace

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.ledger import ExchangeAccount
from streaming.sandbox.exchange.settlement import POSITION_CLOSED, capacity
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExecType, OrderState


def reduce_to_positions(state: EngineState) -> None:
    """Of every account that this request or tick has touched: orders without a position end, others shrink to it."""
    touched = dict.fromkeys(working.order.account for working in state.changes.orders.values())
    for name in {**touched, **state.changes.accounts}:
        account = state.accounts[name]
        for working in [each for each in account.orders.values() if each.order.request.reduce_only]:
            _reduce(state, account, working)


def _reduce(state: EngineState, account: ExchangeAccount, working: WorkingOrder) -> None:
    """An order that still waits for its trigger only ends: its position may have grown again when it is reached."""
    order, carried = working.order, capacity(account, working)
    if not carried:
        state.end(working, OrderState.CANCELED, POSITION_CLOSED)
    elif working.is_resting and carried < order.remaining:
        market = state.market(order.request.pair)
        market.queues[order.request.side].shrink(working, order.remaining - carried)
        market.touch(working)
        request = replace(order.request, quantity=order.filled + carried)
        state.update(working, replace(order, request=request), ExecType.AMENDED)
