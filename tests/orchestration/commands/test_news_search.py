"""What `marketloom news search` asks, and what it shows of the answer."""

import json
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from ml.retrieval.fusion import Score
from ml.retrieval.retriever import NewsQuestion, Retrieval, RetrievedArticle
from orchestration.commands import news_search
from orchestration.json_output import print_json
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports.news_index import EmbeddingVersion

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ARTICLE = RetrievedArticle(
    "0123456789", NOON, NOON - timedelta(hours=1), "Wire [bold]", "[red]XRP wins", "XRP wins. The court ruled.",
    "", ("XRP",), Score(0.0321, 1, None, 0.71, 0.5),
)  # fmt: skip
FOUND = Retrieval((ARTICLE,), EmbeddingVersion("minilm", 384, "sentences-600"), 3)


class Recorder:
    def __init__(self) -> None:
        self.asked: list[NewsQuestion] = []

    def retrieve(self, question: NewsQuestion) -> Retrieval:
        self.asked.append(question)
        return FOUND


@pytest.fixture
def retriever(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(news_search, "running_system", nullcontext)
    monkeypatch.setattr(
        news_search, "Services", SimpleNamespace(current=lambda: SimpleNamespace(news_retriever=recorder))
    )
    monkeypatch.setattr(news_search, "machine_now", lambda: NOON + timedelta(days=9))
    return recorder


def test_the_words_of_the_command_become_the_question(retriever: Recorder) -> None:
    news_search.search("court", "xrp-btc", "2024-05-01T12:00", "2024-04-30", 5)
    news_search.search("court", "", "", "", 8)
    assert retriever.asked == [
        NewsQuestion("court", NOON, Pair("XRP", "BTC"), 5, datetime(2024, 4, 30, tzinfo=UTC)),
        NewsQuestion("court", NOON + timedelta(days=9)),
    ]


def test_a_pair_that_is_none_is_refused_before_anything_starts(retriever: Recorder) -> None:
    with pytest.raises(InvalidValue, match="is not a pair"):
        news_search.search("court", "XRP", "", "", 5)
    assert retriever.asked == []


def test_a_person_sees_each_story_with_the_parts_of_its_score_and_what_has_no_vector() -> None:
    out = Console(file=StringIO(), width=140)
    news_search.show(FOUND, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    for part in ("2024-05-01 12:00", "[red]XRP wins", "0.0321", "1. (0.71)", "01234567", "3 of the newest"):
        assert part in text


def test_a_program_gets_all_facts(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(news_search.facts(FOUND))
    [article] = json.loads(capsys.readouterr().out)["articles"]
    assert article["article_id"] == "0123456789"
    assert article["score"]["similarity"] == 0.71
