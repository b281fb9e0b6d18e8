"""`marketloom leak`: how much of the language model's judgement of old news is memory."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from ml.track_record.board import BEGINNING
from ml.track_record.leak import HOURS, Leak, LeakTest
from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidSettings


def measure_leak(start: datetime | None, end: datetime | None, articles: int) -> Leak:
    """Measure it for the model that judges news. InvalidSettings where its knowledge is not said to end."""
    with running_system():
        services = Services.current()
        model = services.sentiment_model
        cut_off = services.settings.models.cut_offs.day(model.name)
        if cut_off is None:
            raise InvalidSettings(
                f"{model.name} has no cut_off: name a language model in [sentiment] model, and in its [models.named] "
                "entry the last day of what it was trained on"
            )
        test = LeakTest(services.news_store, services.candle_store, services.settings.market.pairs)
        return test.measure(model, cut_off, start or BEGINNING, end or services.clock().at, articles)


def facts(leak: Leak) -> dict[str, Any]:
    return {**asdict(leak), "estimate": leak.estimate, "error": leak.error}


def show(leak: Leak, out: Console) -> None:
    """Print it for a person."""
    table = Table("articles", "number", "right, named", "right, masked", "names add")
    for when, side in (("up to", leak.before), ("after", leak.after)):
        table.add_row(
            f"{when} {leak.cut_off}",
            f"{side.articles}",
            f"{side.named:.1%}",
            f"{side.masked:.1%}",
            f"{side.gain:+.1%}",
        )
    out.print(table)
    out.print(
        f"{leak.model}: an estimated {leak.estimate:+.1%} of its right answers on old news are memory, standard error "
        f"{leak.error:.1%}. An answer is right where the price went its way over {HOURS} hours.",
        soft_wrap=True,
    )
