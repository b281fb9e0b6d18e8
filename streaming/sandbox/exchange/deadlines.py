"""Effects of time: orders expire, dead man's switches cancel, rollovers fall due."""

from heapq import heappop

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.margin import charge, is_charge_due, liquidate
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExchangeOrder, OrderState

EXPIRED = "Expired at the time that was given"
SWITCHED_OFF = "Dead man's switch: cancel_all_orders_after has run out"


def elapse(state: EngineState) -> None:
    server = state.server()
    while state.expiries and state.expiries[0][0] <= server:
        working = state.working.get(heappop(state.expiries)[1])
        if working is not None:
            state.end(working, OrderState.EXPIRED, EXPIRED)
    for account, due in list(state.switches.items()):
        if due <= server:
            cancel_all(state, account, SWITCHED_OFF)
            set_switch(state, account, None)
    charge(state)
    liquidate(state)


def is_due(state: EngineState) -> bool:
    """Return whether the clocks alone ask for anything."""
    server = state.server()
    return (
        bool(state.expiries and state.expiries[0][0] <= server)
        or any(due <= server for due in state.switches.values())
        or is_charge_due(state)
    )


def cancel_all(state: EngineState, account: str, reason: str) -> int:
    working = list(state.account(account).orders.values())
    for each in working:
        cancel(state, each, reason)
    return len(working)


def cancel(state: EngineState, working: WorkingOrder, reason: str) -> ExchangeOrder:
    state.end(working, OrderState.CANCELED, reason)
    return working.order


def set_switch(state: EngineState, account: str, due: float | None) -> None:
    """Set the account's dead man's switch; None disables it."""
    if due is None:
        state.switches.pop(account, None)
    else:
        state.switches[account] = due
    state.changes.exchange = True
