"""News assets through Dagster with memory stores and real models of the small kind."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from assets.news import news_articles, news_embeddings, news_sentiment
from assets.news_checks import (
    articles_are_known_after_they_were_published,
    every_article_has_a_vector,
    tones_belong_to_their_articles,
)
from ml.retrieval.retriever import embedding_version
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.pair import Sentiment
from tests.assets.running import partition_range, verdicts
from tests.doubles.stores import MemoryNews, MemoryNewsIndex
from trading.market import Pair, Timeframe, Universe
from trading.ports import ARTICLE_SCHEMA

UNIVERSE = Universe((Pair("BTC", "USDT"), Pair("XRP", "BTC")), "USDT", Timeframe.H1, "test")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
ARTICLES = pl.DataFrame(
    [
        ("a", NOON, NOON, "press", "Bitcoin soars to a record high", "Bitcoin rallies.", "", "en", False),
        (
            "b",
            NOON,
            NOON + timedelta(days=1),
            "press",
            "Ripple sued over fraud",
            "Ripple slumps.",
            "",
            "en",
            False,
        ),
        (
            "c",
            NOON,
            NOON + timedelta(days=1),
            "press",
            "Weather is fine",
            "Nothing of markets.",
            "",
            "en",
            False,
        ),
    ],
    schema=ARTICLE_SCHEMA,
    orient="row",
)


class Press:
    """A news source that has these articles, or cannot be reached."""

    refused = ("old.parquet is damaged",)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        if self.error:
            raise self.error
        return ARTICLES.filter(pl.col("known_at") >= start, pl.col("known_at") < end)


class CountingEmbedder:
    name, dimensions = "counting", 3

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.texts += texts
        return np.eye(3, dtype=np.float32)[: len(texts)]


class CountingSentiment(LexiconSentiment):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        self.asked += len(texts)
        return list(super().score(texts))


class Harness:
    def __init__(self, source: Press | None = None) -> None:
        self.store, self.embedder, self.sentiment = MemoryNews(), CountingEmbedder(), CountingSentiment()
        self.index = MemoryNewsIndex(self.store)
        self.resources = {
            "news_source": source or Press(),
            "news_store": self.store,
            "news_index": self.index,
            "embedder": self.embedder,
            "sentiment_model": self.sentiment,
            "universe": UNIVERSE,
        }

    def run(self, *assets: Any, last: str = "2024-05-02") -> dg.ExecuteInProcessResult:
        span = partition_range("2024-05-01", last)
        return dg.materialize(list(assets), tags=span, resources=self.resources)


def test_a_day_holds_what_became_known_on_it() -> None:
    harness = Harness()
    harness.run(news_articles, last="2024-05-01")
    known = harness.store.articles(NOON - timedelta(days=9), NOON + timedelta(days=9))
    assert known["article_id"].to_list() == ["a"]


def test_articles_are_embedded_once_and_judged_once_however_often_the_days_are_materialised() -> None:
    harness = Harness()
    for _ in range(2):
        harness.run(news_articles, news_embeddings, news_sentiment)
    assert len(harness.embedder.texts) == 3
    assert harness.sentiment.asked == 2


def test_each_tone_names_its_asset_and_model_and_an_article_about_nothing_has_none() -> None:
    harness = Harness()
    harness.run(news_articles, news_sentiment)
    span = (NOON - timedelta(days=9), NOON + timedelta(days=9))
    [bitcoin], [ripple] = (
        harness.store.sentiment("BTC", *span).to_dicts(),
        harness.store.sentiment("XRP", *span).to_dicts(),
    )
    assert (bitcoin["article_id"], ripple["article_id"]) == ("a", "b")
    assert bitcoin["score"] > 0 > ripple["score"]
    assert bitcoin["model"] == harness.sentiment.name


class Wire(Press):
    """A story that some papers print, and one of its own."""

    refused: tuple[str, ...] = ()
    papers: tuple[str, ...] = ("Wire", "Daily", "Mirror", "Post")

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        text = "The regulator fined the exchange on Tuesday over the listing of XRP without a licence."
        times = [NOON + timedelta(minutes=n) for n in range(len(self.papers))]
        fined = [
            (paper, at, at, paper, "Exchange fined over XRP", text, "", "en", False)
            for paper, at in zip(self.papers, times, strict=True)
        ]
        own = ("own", NOON, NOON, "Bank", "Bank adds XRP", "Customers may keep it there.", "", "en", False)
        rows = pl.DataFrame([*fined, own], schema=ARTICLE_SCHEMA, orient="row")
        return rows.filter(pl.col("known_at") >= start, pl.col("known_at") < end)


def test_a_story_of_four_papers_is_judged_and_counted_once_however_often_it_is_materialised() -> None:
    harness = Harness(Wire())
    for _ in range(2):
        result = harness.run(news_articles, news_sentiment, last="2024-05-01")
    span = (NOON - timedelta(days=9), NOON + timedelta(days=9))
    assert sorted(harness.store.sentiment("XRP", *span)["article_id"]) == ["Wire", "own"]
    assert harness.sentiment.asked == 2
    [event] = result.asset_materializations_for_node("news_articles")
    names = ("dagster/row_count", "stories", "copies", "stories_by_pair")
    assert [event.metadata[name].value for name in names] == [5, 2, 3, {"BTC/USDT": 0, "XRP/BTC": 2}]


def test_a_copy_of_the_next_day_belongs_to_the_story_of_the_day_before() -> None:
    wire = Wire()
    wire.papers = ("Wire",)
    harness = Harness(wire)
    harness.run(news_articles, last="2024-05-01")
    told = wire.articles(NOON, NOON + timedelta(hours=1)).filter(pl.col("article_id") == "Wire")
    late = told.with_columns(
        article_id=pl.lit("late"), source=pl.lit("Daily"), known_at=pl.col("known_at").dt.offset_by("20h")
    )
    harness.resources["news_source"] = Fixed(late)
    dg.materialize([news_articles], partition_key="2024-05-02", resources=harness.resources)
    stored = harness.store.articles(NOON, NOON + timedelta(days=2))
    assert dict(stored.select("article_id", "story_id").iter_rows())["late"] == "Wire"


class Fixed(Press):
    def __init__(self, articles: pl.DataFrame) -> None:
        super().__init__()
        self.found = articles

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        return self.found


def test_a_repeated_story_that_nobody_told_fails_its_check(stored: Harness) -> None:
    stored.store._articles = stored.store._articles.with_columns(story_id=pl.lit("gone"))
    assert "articles_are_known_after_they_were_published" in failed(stored)


def test_a_source_that_cannot_be_read_fails_the_run_instead_of_storing_no_news() -> None:
    harness = Harness(Press(OSError("the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        harness.run(news_articles)
    assert harness.store.articles(NOON - timedelta(days=9), NOON + timedelta(days=9)).is_empty()


def test_a_news_file_that_was_refused_is_named_in_the_metadata() -> None:
    [event, *_] = Harness().run(news_articles).asset_materializations_for_node("news_articles")
    assert event.metadata["refused_files"].value == ["old.parquet is damaged"]


def checks(harness: Harness) -> dict[str, bool]:
    """Run the checks alone, over everything that is stored."""
    every = [
        articles_are_known_after_they_were_published,
        every_article_has_a_vector,
        tones_belong_to_their_articles,
    ]
    result = dg.materialize(
        [news_articles, news_embeddings, news_sentiment, *every],
        selection=dg.AssetSelection.checks(*(key for check in every for key in check.check_keys)),
        resources=harness.resources,
        raise_on_error=False,
    )
    return verdicts(result)


@pytest.fixture
def stored() -> Harness:
    harness = Harness()
    harness.run(news_articles, news_embeddings, news_sentiment)
    assert set(checks(harness).values()) == {True}
    return harness


def failed(harness: Harness) -> set[str]:
    return {name for name, passed in checks(harness).items() if not passed}


def test_an_article_that_is_known_before_it_was_published_fails_its_check(stored: Harness) -> None:
    stored.store._articles = stored.store._articles.with_columns(
        known_at=pl.col("published_at").dt.offset_by("-1h")
    )
    assert "articles_are_known_after_they_were_published" in failed(stored)


def forget(harness: Harness, article: str) -> None:
    harness.index.vectors[embedding_version(harness.embedder)].pop((article, 0))


def test_an_article_without_a_vector_fails_its_check(stored: Harness) -> None:
    forget(stored, "a")
    assert failed(stored) == {"every_article_has_a_vector"}


def test_a_tone_of_an_article_that_is_gone_fails_its_check(stored: Harness) -> None:
    stored.store._articles = stored.store._articles.filter(pl.col("article_id") != "a")
    assert failed(stored) == {"tones_belong_to_their_articles"}


def test_a_tone_beyond_its_range_fails_its_check(stored: Harness) -> None:
    stored.store._sentiment = stored.store._sentiment.with_columns(score=pl.lit(1.5))
    assert failed(stored) == {"tones_belong_to_their_articles"}


def test_a_run_of_one_day_does_not_fail_for_the_damage_of_another(stored: Harness) -> None:
    forget(stored, "b")  # known on the second of May
    assert failed(stored) == {"every_article_has_a_vector"}
    result = stored.run(news_articles, news_embeddings, every_article_has_a_vector, last="2024-05-01")
    assert [each.passed for each in result.get_asset_check_evaluations()] == [True]


def test_a_copy_is_not_embedded_and_what_is_embedded_is_reported() -> None:
    harness = Harness(Wire())
    harness.embedder = OneDirection()
    harness.resources["embedder"] = harness.embedder
    result = harness.run(news_articles, news_embeddings, last="2024-05-01")
    [event] = result.asset_materializations_for_node("news_embeddings")
    names = ("dagster/row_count", "new", "dimensions", "passages_of_version", "search", "recall_at_10")
    assert [event.metadata[name].value for name in names] == [2, 2, 3, 2, "exact", 1.0]


class OneDirection(CountingEmbedder):
    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.texts += texts
        return np.repeat(np.eye(1, 3, dtype=np.float32), len(texts), 0)


def test_a_back_fill_after_the_model_has_changed_embeds_all_days_anew_and_leaves_the_old_version() -> None:
    harness = Harness()
    harness.run(news_articles, news_embeddings)
    newer = CountingEmbedder()
    newer.name = "newer"
    harness.resources["embedder"] = newer
    for _ in range(2):
        harness.run(news_embeddings)
    assert len(newer.texts) == len(harness.embedder.texts) == 3
    for embedder in (harness.embedder, newer):
        assert harness.index.embedded(embedding_version(embedder), ["a", "b", "c"]) == {"a", "b", "c"}
