"""The sentiment of headlines by a chat model of the settings: recorded in PostgreSQL, paid from the day's budget."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from assets.news import news_articles, news_sentiment
from orchestration.services import Services
from orchestration.system import POSTGRES
from tests.assets.running import partition_range
from tests.assets.test_news import UNIVERSE, Press
from tests.doubles.stores import MemoryNews
from tests.ml.models.vendor_double import VendorDouble, serving
from trading.ports import NewsStore


@pytest.fixture
def vendor() -> Iterator[VendorDouble]:
    with serving(VendorDouble(answer='{"score": 0.5, "confidence": 0.75}')) as double:
        yield double


@pytest.fixture
def environment(
    dsn: str, tmp_path: Path, vendor: VendorDouble, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    for name, text in {
        "MARKETLOOM_HOME": str(tmp_path),
        POSTGRES: dsn,
        "OPENAI_API_KEY": "sk-1",
        "MARKETLOOM__MODELS__NAMED__MINI": (
            f'{{provider = "openai", model = "gpt-4o-mini", base_url = "{vendor.url}/v1"}}'
        ),
        "MARKETLOOM__SENTIMENT__MODEL": "mini",
    }.items():
        monkeypatch.setenv(name, text)
    return monkeypatch


def judge(store: NewsStore) -> dg.ExecuteInProcessResult:
    resources = {
        "news_source": Press(), "news_store": store, "universe": UNIVERSE,
        "sentiment_model": Services.current().sentiment_model,
    }  # fmt: skip
    span = partition_range("2024-05-01", "2024-05-02")
    return dg.materialize([news_articles, news_sentiment], tags=span, resources=resources)


def tones(store: MemoryNews) -> list[tuple[str, str, float]]:
    return list(store._sentiment.select("article_id", "model", "cost_usd").sort("article_id").iter_rows())


def test_headlines_are_judged_recorded_and_paid_once_and_again_for_nothing(
    environment: pytest.MonkeyPatch, vendor: VendorDouble, dsn: str
) -> None:
    first, again = MemoryNews(), MemoryNews()
    judge(first)
    cost = (100 * 0.15 + 10 * 0.60) / 1e6
    name = f"openai/{vendor.url.removeprefix('http://')}/gpt-4o-mini"
    assert tones(first) == [("a", name, pytest.approx(cost)), ("b", name, pytest.approx(cost))]
    assert len(vendor.requests) == 2
    judge(again)  # another store knows none of the tones, the record all of the answers
    assert tones(again) == [("a", name, 0.0), ("b", name, 0.0)]
    assert len(vendor.requests) == 2
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT provider, model, purpose, outcome, reused, request->'messages'->1->>1, answer->>'text' "
            "FROM model_calls ORDER BY request->'messages'->1->>1"
        ).fetchall()
    assert [row[:5] for row in rows] == [("openai", name, "headline-sentiment", "valid", 1)] * 2
    assert rows[0][5].startswith("<article>\nBitcoin soars to a record high")
    assert rows[0][6] == vendor.answer
    services = Services.current()
    assert services.model_calls.spent_today() == pytest.approx(2 * cost)
    assert services.account_reader.model_usd() == pytest.approx(2 * cost)


def test_a_spent_budget_asks_nobody_and_the_run_goes_on_with_what_is_stored(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    store = MemoryNews()
    judge(store)
    before = tones(store)
    environment.setenv("MARKETLOOM__RISK__MODEL_BUDGET_USD", "0.00001")
    another = f'{{provider = "openai", model = "gpt-4.1-mini", base_url = "{vendor.url}/v1"}}'
    environment.setenv("MARKETLOOM__MODELS__NAMED__MINI", another)  # nothing of it is stored or on record
    result = judge(store)
    assert result.success
    assert tones(store) == before
    assert len(vendor.requests) == 2


def test_a_vendor_that_is_down_fails_the_run_and_makes_no_tone_up(
    environment: pytest.MonkeyPatch, vendor: VendorDouble
) -> None:
    vendor.status, store = 503, MemoryNews()
    with pytest.raises(Exception, match="did not answer"):
        judge(store)
    assert tones(store) == []
