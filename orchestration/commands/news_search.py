"""`marketloom news search`: what an agent would have been given to read."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml.backtests import parse_utc
from ml.retrieval.retriever import NewsQuestion, Retrieval
from orchestration.clocks import machine_now
from orchestration.services import Services
from orchestration.system import running_system
from trading.market import Pair


def search(text: str, pair: str, as_of: str, since: str, count: int) -> Retrieval:
    """Ask the store of the dataset in use. NotStored where no news was embedded with the model that serves."""
    question = NewsQuestion(
        text,
        as_of=parse_utc(as_of) or machine_now(),
        pair=Pair.parse(pair) if pair else None,
        count=count,
        since=parse_utc(since),
    )
    with running_system():
        return Services.current().news_retriever.retrieve(question)


def facts(found: Retrieval) -> dict[str, Any]:
    return asdict(found)


def show(found: Retrieval, out: Console) -> None:
    table = Table("known at", "source", "story", "score", "meaning", "words", "id", box=None, padding=(0, 1))
    for each in found.articles:
        score = each.score
        meaning = f"{score.vector_rank}. ({score.similarity:.2f})" if score.vector_rank else "-"
        words = f"{score.text_rank}." if score.text_rank else "-"
        table.add_row(
            f"{each.known_at:%Y-%m-%d %H:%M}", Text(each.source), Text(each.title), f"{score.value:.4f}",
            meaning, words, each.article_id[:8],
        )  # fmt: skip
    out.print(table if found.articles else "no story matches")
    out.print(f"vectors of {found.version}", style="dim")
    if found.unembedded:
        out.print(f"{found.unembedded} of the newest stories have no vector yet: materialise news_embeddings")
