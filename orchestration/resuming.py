"""A person ends the pause after a drawdown: who, when and why are kept."""

import getpass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestration.resources import World
from orchestration.system import running_system
from trading.risk.halts import Resume


def resume_trading(reason: str, account: str, by: str) -> dict[str, Any]:
    """What was resumed. NotStored when the account is not paused, InvalidValue without a reason."""
    with running_system():
        world = World.current()
        name = account or world.settings.account
        halt = world.journal.resume(name, Resume(datetime.now(UTC), by or getpass.getuser(), reason))
    return {
        "account": name,
        "paused_since": halt.since,
        "paused_because": halt.reason,
        "resumed_by": halt.resume and halt.resume.by,
        "reason": reason,
    }


def show(facts: dict[str, Any], out: Console) -> None:
    out.print(
        f"account {facts['account']} may open positions again: it was paused since "
        f"{facts['paused_since']:%Y-%m-%d %H:%M} UTC, {escape(facts['paused_because'])}; resumed by "
        f"{escape(str(facts['resumed_by']))}: {escape(facts['reason'])}",
        highlight=False,
        soft_wrap=True,
    )
