"""What happens because time has passed: orders expire, dead man's switches fire, rollovers fall due."""

from heapq import heappop

from streaming.sandbox.exchange.engine_state import EngineState
from streaming.sandbox.exchange.margin_watch import charge, is_charge_due, liquidate
from streaming.sandbox.exchange.working_order import WorkingOrder
from streaming.sandbox.model import ExchangeOrder, OrderState

EXPIRED = "Expired at the time that was given"
SWITCHED_OFF = "Dead man's switch: cancel_all_orders_after has run out"


def elapsed(floor: EngineState) -> None:
    server = floor.server()
    while floor.expiries and floor.expiries[0][0] <= server:
        working = floor.working.get(heappop(floor.expiries)[1])
        if working is not None:
            floor.end(working, OrderState.EXPIRED, EXPIRED)
    for account, due in list(floor.switches.items()):
        if due <= server:
            cancel_all(floor, account, SWITCHED_OFF)
            set_switch(floor, account, None)
    charge(floor)
    liquidate(floor)


def is_due(floor: EngineState) -> bool:
    """Whether the clocks alone ask for anything."""
    server = floor.server()
    return (
        bool(floor.expiries and floor.expiries[0][0] <= server)
        or any(due <= server for due in floor.switches.values())
        or is_charge_due(floor)
    )


def cancel_all(floor: EngineState, account: str, reason: str) -> int:
    working = list(floor.account(account).orders.values())
    for each in working:
        cancelled(floor, each, reason)
    return len(working)


def cancelled(floor: EngineState, working: WorkingOrder, reason: str) -> ExchangeOrder:
    floor.end(working, OrderState.CANCELED, reason)
    return working.order


def set_switch(floor: EngineState, account: str, due: float | None) -> None:
    """None disables it."""
    if due is None:
        floor.switches.pop(account, None)
    else:
        floor.switches[account] = due
    floor.changes.switches[account] = due
