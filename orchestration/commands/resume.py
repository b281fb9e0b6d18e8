"""`marketloom resume`: a person ends the pause after a drawdown; who, when and why are stored."""

import getpass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console

from orchestration.resources import Services
from orchestration.system import running_system
from trading.errors import NotStored
from trading.risk import Resume


def resume_trading(reason: str, account: str, by: str) -> dict[str, Any]:
    """End the pause and return its facts; from now on the drawdown is counted from the present equity.

    Raises NotStored when the account is not paused or cannot be valued, InvalidValue without a reason.
    """
    with running_system():
        services = Services.current()
        name = account or services.settings.account
        resume = Resume(datetime.now(UTC), by or getpass.getuser(), reason)
        halt = services.journal.resume(name, resume, _equity(services, name))
    return {
        "account": name,
        "paused_since": halt.since,
        "paused_because": halt.reason,
        "resumed_by": halt.resume and halt.resume.by,
        "reason": reason,
    }


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
    out.print(
        f"account {facts['account']} may open positions again: it was paused since "
        f"{facts['paused_since']:%Y-%m-%d %H:%M} UTC, {facts['paused_because']}; resumed by "
        f"{facts['resumed_by']}: {facts['reason']}",
        soft_wrap=True,
    )
