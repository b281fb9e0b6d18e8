"""What `marketloom status` says of language models: the day's cost against its budget, and what is still asked."""

from typing import Any

from rich.console import Console
from rich.text import Text

from ml.models.budget import Rung
from orchestration.services import Services

STYLES = {Rung.ALL: "green", Rung.ONE: "yellow", Rung.CACHED: "yellow", Rung.HOLD: "red"}


def read(services: Services) -> dict[str, Any]:
    """Read the facts of this UTC day."""
    ladder, spent = services.settings.model_ladder, services.model_calls.spent_today()
    return {
        "sentiment": services.settings.sentiment.model,
        "spent_today_usd": spent,
        "budget_usd": ladder.daily_usd,
        "rung": str(ladder.rung(spent)),
    }


def show(facts: dict[str, Any], out: Console) -> None:
    rung = Rung(facts["rung"])
    spent = f"{facts['spent_today_usd']:.2f} of {facts['budget_usd']:g} USD spent today: "
    line = Text.assemble("  language models: ", spent, (rung.value, STYLES[rung]))
    out.print(line, soft_wrap=True)
