"""News from the settings to the store, over a server on localhost: the feed, the sensor, the run, the tone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.news import news_articles, news_sentiment
from assets.partitions import Span
from ml.sentiment.lexicon import LexiconSentiment
from orchestration.definitions import definitions
from orchestration.news_feeds import network_news
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from sensors.news import SENSOR, news_sensors
from tests.doubles.stores import MemoryNews
from tests.ml.news.news_server import NewsServer, item, page, rss, serving
from trading.errors import NewsUnreachable

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def server() -> Iterator[NewsServer]:
    with serving(NewsServer()) as made:
        yield made


def settings_of(server: NewsServer, folder: Path, *paths: str) -> Settings:
    feeds = ", ".join(f'{{name = "{path}", url = "{server.url}/{path}", language = "en"}}' for path in paths)
    return load_settings(
        {
            "MARKETLOOM_HOME": str(folder),
            "MARKETLOOM__MARKET__SOURCE": "kraken",
            "MARKETLOOM__MARKET__NEWS": "feeds",
            "MARKETLOOM__NEWS__FEEDS": f"[{feeds}]",
            "MARKETLOOM__NEWS__TIMEOUT_SECONDS": "5",
        }
    )


def test_news_goes_from_the_feed_through_sensor_and_run_to_its_tone(
    server: NewsServer, tmp_path: Path
) -> None:
    headline = item(
        "Bitcoin soars to a record high", format_datetime(NOW - timedelta(hours=1)), "It rallies."
    )
    server.answers = {"/one": page(rss(headline)), "/two": page(rss(headline)), "/broken": page(b"<html>")}
    settings = settings_of(server, tmp_path, "one", "two", "broken")
    source, store = network_news(settings), MemoryNews()
    [sensor] = news_sensors(settings.market.reads_feeds, 60 * settings.news.poll_minutes)
    feeds = {"news_source": source, "news_store": store}
    with dg.DagsterInstance.ephemeral() as instance:
        with dg.build_sensor_context(instance=instance, resources=feeds) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        [request] = result.run_requests or []
        ran = dg.materialize(
            [news_articles, news_sentiment],
            partition_key=request.partition_key,
            instance=instance,
            resources={
                **feeds, "universe": settings.market.universe, "sentiment_model": LexiconSentiment(),
            },
        )  # fmt: skip
        with dg.build_sensor_context(instance=instance, resources=feeds) as context:
            again = sensor(context)
    assert isinstance(again, dg.SensorResult)
    assert not again.run_requests
    [event] = ran.asset_materializations_for_node("news_articles")
    assert (event.metadata["dagster/row_count"].value, event.metadata["stories"].value) == (2, 1)
    [refused] = event.metadata["refused_files"].value  # type: ignore[misc]
    assert refused.startswith("broken")
    tones = store.sentiment("BTC", NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert tones.height == 1
    assert tones["score"].item() > 0


def test_where_no_feed_can_be_read_the_run_fails(server: NewsServer, tmp_path: Path) -> None:
    settings = settings_of(server, tmp_path, "absent")
    with pytest.raises(NewsUnreachable, match="404"):
        network_news(settings).articles(NOW - timedelta(days=1), NOW + timedelta(days=1))


def test_the_sensor_is_there_where_news_come_from_feeds(server: NewsServer, tmp_path: Path) -> None:
    graph = definitions(settings_of(server, tmp_path, "one"), Span(NOW.date(), None))
    dg.Definitions.validate_loadable(graph)
    [sensor] = [each for each in graph.get_repository_def().sensor_defs if each.name == SENSOR]
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert sensor.job_name == "news"
    assert server.asked == []
