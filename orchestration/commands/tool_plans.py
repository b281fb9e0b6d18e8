"""`marketloom mcp plans`, `approve` and `decline`: a person decides about what a program has planned."""

import getpass
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidValue
from trading.stores.postgres.tool_plans import PostgresToolPlans, ToolPlan

SHOWN = 50
THROUGH = "a terminal"
NO_TERMINAL = (
    "a person must type the account's name, and nobody sits here: run `marketloom mcp approve` in a terminal (in a "
    "container: `docker-compose exec marketloom marketloom mcp approve CODE`)"
)


def read_plans(every: bool) -> list[dict[str, Any]]:
    """Read the newest plans, newest first; without `every` those that wait."""
    with running_system():
        found = PostgresToolPlans(Services.current().dsn).newest(SHOWN)
    names = (
        "plan_id",
        "code",
        "action",
        "account",
        "caller",
        "words",
        "created_at",
        "expires_at",
        "state",
        "outcome",
    )
    return [
        {**{name: getattr(each, name) for name in names}, "standing": each.standing}
        for each in found
        if every or each.waits
    ]


def approve_plan(code: str, by: str, out: Console) -> ToolPlan:
    """Show the plan, and note that a person has typed its account's name.

    InvalidValue without a terminal, for another word, or for a plan that does not wait; NotStored for an unknown code.
    """
    if not sys.stdin.isatty():
        raise InvalidValue(NO_TERMINAL)
    with running_system():
        answers = Services.current().plan_answers
        plan = answers.waiting(code)
        out.print(Text(plan.words), soft_wrap=True)
        out.print(Text(f"planned by {plan.caller} at {plan.created_at:%H:%M:%S} UTC"), soft_wrap=True)
        out.print(Text(f"Type the account's name, {plan.account}, to approve exactly this:"), soft_wrap=True)
        return answers.approve(plan, sys.stdin.readline(), by or getpass.getuser(), THROUGH)


def decline_plan(code: str, by: str) -> ToolPlan:
    """Note that it must not be carried out. Raises as `approve_plan` does; needs no terminal: it changes nothing."""
    with running_system():
        answers = Services.current().plan_answers
        return answers.decline(answers.waiting(code), by or getpass.getuser(), "the command line")


def show(rows: list[dict[str, Any]], out: Console) -> None:
    if not rows:
        out.print("no plan waits for a person")
    for row in rows:
        out.print(
            Text.assemble(
                (row["code"], "bold"), f"  {row['action']}, plan {row['plan_id']}: {row['standing']}"
            )
        )
        out.print(Text(f"  planned by {row['caller']}, expires at {row['expires_at']:%Y-%m-%d %H:%M:%S} UTC"))
        for line in row["words"].splitlines():
            out.print(Text(f"  {line}"), soft_wrap=True)
