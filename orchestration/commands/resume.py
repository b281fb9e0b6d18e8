"""`marketloom resume`: a person ends a pause or a kill; who, when and why are stored."""

import getpass
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console

from orchestration.kill_switch import KillSwitch
from orchestration.services import Services
from orchestration.settings import home_folder
from orchestration.system import running_system
from trading.errors import InvalidValue, NotStored
from trading.risk import HaltKind, Resume
from trading.stores.journal_rules import check_resume

# Books that differ are looked at first: `marketloom reconcile`.
ENDED = frozenset(HaltKind) - {HaltKind.RECONCILIATION}


def resume_trading(reason: str, account: str, by: str) -> dict[str, Any]:
    """Release the kill switch, end the pauses, and return their facts; a drawdown counts from the equity of now.

    Raises NotStored when the account is not paused or cannot be valued, InvalidValue without a reason.
    """
    with running_system():
        services = Services.current()
        name = account or services.account.name
        resume = Resume(datetime.now(UTC), by or getpass.getuser(), reason)
        check_resume(resume)
        switch = KillSwitch(home_folder())
        was_pulled = switch.requested()
        waiting = {each.kind for each in services.journal.halts(name) if each.needs_resume}
        if was_pulled and not waiting & ENDED:
            switch.release()  # nobody had noticed it yet
            ended = []
        elif waiting and not waiting & ENDED:
            raise InvalidValue(
                f"account {name} is halted because its books differ: `marketloom reconcile` shows how, and ends it"
            )
        else:
            equity = _new_peak(services, name, waiting)
            switch.release()  # first: who still finds it would halt again
            ended = services.journal.resume(name, resume, equity, ENDED)
        left = [each for each in services.journal.halts(name) if each.needs_resume]
    return {
        "account": name,
        "resumed_by": resume.by,
        "reason": reason,
        "ended": [{"kind": halt.kind.value, "since": halt.since, "because": halt.reason} for halt in ended],
        "switch": was_pulled,
        "still_halted": [{"kind": halt.kind.value, "because": halt.reason} for halt in left],
    }


def _new_peak(services: Services, name: str, waiting: Collection[HaltKind]) -> Decimal:
    """Return what a drawdown counts from when it has ended; no other halt's end changes that, or needs a price."""
    if HaltKind.DRAWDOWN in waiting:
        return _equity(services, name)
    return services.journal.peak(name) or Decimal(0)


def _equity(services: Services, name: str) -> Decimal:
    """Value the account at its clock's prices; an account of another data set by its newest snapshot."""
    if name == services.account.name:
        snapshots = [services.input_reader.account.snapshot(services.input_reader.now())]
    else:
        snapshots = services.journal.snapshots(name)
    if not snapshots:
        raise NotStored(f"account {name} was never valued: choose its data set and resume it there")
    return Decimal(snapshots[-1]["equity"])


def show(facts: dict[str, Any], out: Console) -> None:
    may = "is still halted" if facts["still_halted"] else "may open positions again"
    out.print(
        f"account {facts['account']} {may}, resumed by {facts['resumed_by']}: {facts['reason']}",
        soft_wrap=True,
    )
    for halt in facts["still_halted"]:
        out.print(f"  still halted, {halt['kind']}: {halt['because']}", soft_wrap=True)
    for halt in facts["ended"]:
        out.print(
            f"  it was halted since {halt['since']:%Y-%m-%d %H:%M} UTC, {halt['kind']}: {halt['because']}",
            soft_wrap=True,
        )
    if facts["switch"] and not facts["ended"]:
        out.print(f"  the kill switch was {facts['switch']}", soft_wrap=True)
