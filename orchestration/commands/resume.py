"""A person ends the pause after a drawdown: who, when and why are kept."""

import getpass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.markup import escape

from orchestration.resources import World
from orchestration.system import running_system
from trading.errors import NotStored
from trading.risk.halts import Resume


def resume_trading(reason: str, account: str, by: str) -> dict[str, Any]:
    """What was resumed; from here on the drawdown is counted from what the account is worth now.

    Raises NotStored when the account is not paused or cannot be valued, InvalidValue without a reason.
    """
    with running_system():
        world = World.current()
        name = account or world.settings.account
        resume = Resume(datetime.now(UTC), by or getpass.getuser(), reason)
        halt = world.journal.resume(name, resume, _equity(world, name))
    return {
        "account": name,
        "paused_since": halt.since,
        "paused_because": halt.reason,
        "resumed_by": halt.resume and halt.resume.by,
        "reason": reason,
    }


def _equity(world: World, name: str) -> Decimal:
    """At the prices of the account's clock; another data set's account was last valued by its newest snapshot."""
    if name == world.account.name:
        snapshots = [world.knowledge.snapshot(world.knowledge.now())]
    else:
        snapshots = world.journal.snapshots(name)
    if not snapshots:
        raise NotStored(f"account {name} was never valued: choose its data set and resume it there")
    return Decimal(snapshots[-1]["equity"])


def show(facts: dict[str, Any], out: Console) -> None:
    out.print(
        f"account {facts['account']} may open positions again: it was paused since "
        f"{facts['paused_since']:%Y-%m-%d %H:%M} UTC, {escape(facts['paused_because'])}; resumed by "
        f"{escape(str(facts['resumed_by']))}: {escape(facts['reason'])}",
        highlight=False,
        soft_wrap=True,
    )
