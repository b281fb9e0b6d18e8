"""What `marketloom status` says of trading: orders, positions and stops, who sends, the books, the kill switch."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestration.kill_switch import KillSwitch
from orchestration.services import Services
from trading.errors import NotStored
from trading.orders import OrderKind, WorkingOrder
from trading.portfolio import Position
from trading.portfolio.exact import trim_zeros
from trading.risk import Halt, HaltKind


def read(services: Services, home: Path, now: datetime) -> dict[str, Any]:
    """Read the facts; only the kill switch's before the account has opened. `now` is the account's clock."""
    account, journal = services.account.name, services.journal
    facts: dict[str, Any] = {"kill_switch": KillSwitch(home).requested()}
    try:
        reconciled = journal.reconciled_at(account)
    except NotStored:
        return facts
    working = journal.working_orders(account)
    holder = journal.lease_holder(account)
    traded = frozenset(services.settings.market.pairs)
    return facts | {
        "reconciled_at": reconciled,
        "sender": None if holder is None else {"holder": holder[0], "until": holder[1]},
        "positions": [
            _position(each, working) | {"traded": each.pair in traded} for each in journal.positions(account)
        ],
        "orders": [_order(each, now) for each in working],
    }


def ended_by(halt: Halt) -> str:
    """Say how it ends, in one sentence."""
    if halt.until is not None:
        return f"it ends by itself at {halt.until:%Y-%m-%d %H:%M} UTC"
    if halt.kind is HaltKind.RECONCILIATION:
        return "`marketloom reconcile` shows the differences, and ends it with --resume, --adopt or --flatten"
    if halt.kind is HaltKind.PROTECTION:
        return "look at the position and its stop below, then `marketloom resume --reason ...`"
    if halt.kind is HaltKind.FAILURES:
        return (
            "find what fails, in the runs and in `marketloom doctor`, then `marketloom resume --reason ...`"
        )
    return "`marketloom resume --reason ...` ends it"


def _position(position: Position, working: list[WorkingOrder]) -> dict[str, Any]:
    stops = [
        each
        for each in working
        if each.intent.kind is OrderKind.STOP
        and each.intent.pair == position.pair
        and not each.order.cancel_reason
    ]
    return {
        "pair": str(position.pair),
        "quantity": _plain(position.quantity),
        "entry_price": _plain(position.entry_price),
        "stop_loss": None if position.stop_loss is None else _plain(position.stop_loss),
        "take_profit": None if position.take_profit is None else _plain(position.take_profit),
        "opened_at": position.opened_at,
        "exit_reason": position.exit_reason,
        "invalidations": [str(each) for each in position.invalidations],
        "resting": [
            {
                "quantity": _plain(each.remaining),
                "trigger": _plain(each.order.trigger or each.intent.trigger or Decimal(0)),
                "state": each.order.status.value,
            }
            for each in stops
        ],
        "protected": _plain(sum((each.remaining for each in stops), Decimal(0))),
    }


def _order(working: WorkingOrder, now: datetime) -> dict[str, Any]:
    intent, order = working.intent, working.order
    return {
        "intent_id": intent.intent_id,
        "kind": intent.kind.value,
        "pair": str(intent.pair),
        "side": intent.side.value,
        "quantity": _plain(intent.quantity),
        "filled": _plain(order.filled),
        "state": order.status.value,
        "since": order.updated_at,
        "age_seconds": max((now - order.updated_at).total_seconds(), 0.0),
        "attempt": order.attempt,
        "venue_order_id": order.venue_order_id,
        "cancel_reason": order.cancel_reason,
        "reason": order.reason,
    }


def show(facts: dict[str, Any], out: Console) -> None:
    if facts["kill_switch"]:
        line = Text.assemble("  ", ("kill switch", "red"), f" {facts['kill_switch']}; no entry is sent")
        out.print(line, soft_wrap=True)
    if "orders" not in facts:
        return
    for each in facts["positions"]:
        out.print(f"  {_position_line(each)}", soft_wrap=True, markup=False)
    for order in facts["orders"]:
        if order["kind"] != OrderKind.STOP.value:  # stops stand beside their position
            out.print(f"  {_order_line(order)}", soft_wrap=True, markup=False)
    agreed = facts["reconciled_at"]
    words = "never yet" if agreed is None else f"{agreed:%Y-%m-%d %H:%M:%S} UTC"
    sender = "" if facts["sender"] is None else f"; {facts['sender']['holder']} sends its orders now"
    out.print(f"  ledger and venue agreed last: {words}{sender}", soft_wrap=True, markup=False)


def _position_line(position: dict[str, Any]) -> str:
    stops = (
        ", ".join(
            f"{each['quantity']} at {each['trigger']} ({each['state']})" for each in position["resting"]
        )
        or "NONE"
    )
    notes = [] if position["traded"] else ["not in [market] pairs"]
    notes += [f"to be closed: {position['exit_reason']}"] if position["exit_reason"] else []
    notes += [f"ends {each}" for each in position["invalidations"]]
    extra = "".join(f"; {each}" for each in notes)
    return (
        f"open {position['quantity']} {position['pair']} at {position['entry_price']}; stop: {stops}{extra}"
    )


def _order_line(order: dict[str, Any]) -> str:
    cancel = f"; to be cancelled: {order['cancel_reason']}" if order["cancel_reason"] else ""
    return (
        f"{order['kind']} {order['side']} {order['quantity']} {order['pair']}: {order['state']} for "
        f"{_age(order['age_seconds'])}, filled {order['filled']}{cancel}"
    )


def _plain(amount: Decimal) -> str:
    return f"{trim_zeros(amount):f}"


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((at for at, (number, _) in enumerate(parts) if number), 3)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])
