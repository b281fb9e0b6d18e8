"""The sensor of fresh news: it asks for a run where something is not stored, and for no second one meanwhile."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest

from assets.news import news_articles
from ml.news.description import describe
from ml.news.network import NetworkReading
from ml.news.reading import Entry, ReadingRules, reading
from sensors.news import news_sensors
from tests.doubles.stores import MemoryNews
from trading.errors import NewsUnreachable

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
RULES = ReadingRules(frozenset({"en"}), timedelta(hours=24))


class Feeds:
    def __init__(self, *titles: str, failures: tuple[str, ...] = (), error: Exception | None = None) -> None:
        self.titles, self.failures, self.error = titles, failures, error

    def read(self) -> NetworkReading:
        if self.error:
            raise self.error
        found = [Entry(title, "Paper", title, "Text.", "", "en", NOW) for title in self.titles]
        return NetworkReading(
            reading(found, NOW, RULES, "Paper").articles, self.failures, 1 + len(self.failures)
        )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def tick(instance: dg.DagsterInstance, feeds: Feeds, store: MemoryNews) -> dg.SensorResult:
    [sensor] = news_sensors(reads_feeds=True, poll_seconds=300)
    with dg.build_sensor_context(
        instance=instance, resources={"news_source": feeds, "news_store": store}
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_news_that_is_not_stored_asks_for_the_day_it_became_known_on(instance: dg.DagsterInstance) -> None:
    [request] = tick(instance, Feeds("one", "two"), MemoryNews()).run_requests or []
    assert (request.partition_key, request.tags["new_articles"]) == ("2026-12-01", "2")


def test_what_is_stored_asks_for_nothing_and_what_could_not_be_read_is_named(
    instance: dg.DagsterInstance,
) -> None:
    feeds, store = Feeds("one", failures=("B: gone",)), MemoryNews()
    store.put_articles(describe(feeds.read().articles))
    result = tick(instance, feeds, store)
    assert not result.run_requests
    assert "B: gone" in str(result.skip_reason)


def test_while_a_run_is_under_way_no_second_is_asked_for(instance: dg.DagsterInstance) -> None:
    @dg.job(name="news")
    def news() -> None: ...

    instance.create_run_for_job(news, status=dg.DagsterRunStatus.STARTED)
    result = tick(instance, Feeds("one"), MemoryNews())
    assert not result.run_requests
    assert "not ended" in str(result.skip_reason)


def test_where_nothing_can_be_read_the_tick_fails(instance: dg.DagsterInstance) -> None:
    with pytest.raises(NewsUnreachable, match="offline"):
        tick(instance, Feeds(error=NewsUnreachable("offline")), MemoryNews())


def test_files_and_the_simulator_have_no_such_sensor() -> None:
    assert news_sensors(reads_feeds=False, poll_seconds=300) == []
    assert news_articles.key.to_user_string() == "news_articles"


def test_the_run_that_was_asked_for_leaves_nothing_to_ask_for(instance: dg.DagsterInstance) -> None:
    feeds, store = Feeds("one", "two"), MemoryNews()
    [request] = tick(instance, feeds, store).run_requests or []
    assert request.partition_key
    found = feeds.read().articles.filter(pl.col("known_at").dt.date() == NOW.date())
    store.put_articles(describe(found))
    assert not tick(instance, feeds, store).run_requests
