"""Staleness as Dagster's UI shows it: one restated candle, identical data again, whole ranges in one run."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.features import features
from assets.market import ohlcv_from
from assets.news import news_articles, news_sentiment
from assets.partitions import Span, within
from assets.versions import content_version
from ml.sentiment.lexicon import LexiconSentiment
from orchestration.definitions import definitions
from orchestration.settings import load_settings
from tests.assets.running import no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryNews, MemoryTable
from tests.doubles.streamed import nothing_streamed
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.ports import ARTICLE_SCHEMA, Quote
from trading.simulation.market import SimulatedMarket

SPAN = Span(date(2024, 1, 1), datetime(2024, 3, 20, tzinfo=UTC))
GRAPH = definitions(load_settings({}), SPAN).resolve_asset_graph()
BTC, XRP = PAIRS = (Pair("BTC", "USDT"), Pair("XRP", "USDT"))
MONTHS = tuple(date(2024, month, 1) for month in (1, 2, 3))
MARKET = SimulatedMarket(
    PAIRS, Timeframe.H4, 3, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 20, tzinfo=UTC)
)
DAYS = ["2024-02-29", "2024-03-01"]
STRATEGY = "technical"
ALL_MONTHS = (f"{MONTHS[0]}|{BTC.key}", f"{MONTHS[-1]}|{XRP.key}")


class Restatable:
    """The simulated market, one of whose closes a venue may correct afterwards."""

    origin = "simulated"

    def __init__(self) -> None:
        self.corrected: datetime | None = None

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return MARKET.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        wrong = pl.col("open_time").eq_missing(self.corrected) & pl.lit(pair == BTC)
        middle = (pl.col("high") + pl.col("low")) / 2
        return MARKET.candles(pair, start, end).with_columns(
            close=pl.when(wrong).then(middle).otherwise("close")
        )

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return MARKET.quote_after(pair, time)


def stand_in(key: dg.AssetKey) -> dg.AssetsDefinition:
    """Build the asset as the graph has it, arrows and partitions too, with a body that does nothing."""
    spec = GRAPH.get(key).assets_def.get_asset_spec(key)

    @dg.multi_asset(name=key.path[-1], specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
    def body() -> None: ...

    return body


REAL = [each.map_asset_specs(within(SPAN)) for each in (ohlcv_from(None), features)]
OTHERS = GRAPH.materializable_asset_keys - {each.key for each in REAL}
ASSETS = [*REAL, *map(stand_in, OTHERS)]


class World:
    """The whole graph, materialised once: candles and features by their own bodies, what follows by stand-ins."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.source = instance, Restatable()
        instance.add_dynamic_partitions("pair", [pair.key for pair in PAIRS])
        self.resources: dict[str, Any] = {
            "universe": Universe(PAIRS, "USDT", Timeframe.H4, "simulated"),
            "costs": dict.fromkeys(PAIRS, Costs(0.0026, 0.0001, 0.0002)),
            "candle_source": self.source,
            "candle_store": MemoryTable(CANDLE_SCHEMA),
            "feature_store": MemoryTable(None),
            "bus": MemoryEventLog(),
            "arrival": no_arrival,
            "stream_coverage": nothing_streamed(),
        }

    def run(self, *names: str, first: str, last: str) -> None:
        dg.materialize(
            ASSETS,
            instance=self.instance,
            selection=dg.AssetSelection.assets(*names),
            tags=partition_range(first, last),
            resources=self.resources,
        )

    def materialise_everything(self) -> None:
        self.run("ohlcv", "features", first=ALL_MONTHS[0], last=ALL_MONTHS[1])
        self.run("ppo_policy", "policy_evaluation", first=ALL_MONTHS[0], last=ALL_MONTHS[1])
        self.run("news_articles", "news_sentiment", first=DAYS[0], last=DAYS[-1])
        self.run("champion_policy", "decision", first=BTC.key, last=XRP.key)
        self.run("backtest_report", first=f"{BTC.key}|{STRATEGY}", last=f"{XRP.key}|{STRATEGY}")
        self.run("model_performance", "portfolio_snapshots", first=DAYS[0], last=DAYS[-1])

    def stale(self) -> set[str]:
        resolver = CachingStaleStatusResolver(self.instance, GRAPH, LoadingContextForTest(self.instance))
        found = set()
        for name, keys in partitions().items():
            for key in keys:
                status = resolver.get_status(dg.AssetKey(name), key)
                assert status is not StaleStatus.MISSING, (name, key)
                if status is StaleStatus.STALE:
                    found.add(f"{name} {key}")
        return found


def partitions() -> dict[str, list[str]]:
    months = [f"{month}|{pair.key}" for month in MONTHS for pair in PAIRS]
    pairs = [pair.key for pair in PAIRS]
    return {
        "ohlcv": months, "features": months, "ppo_policy": months, "policy_evaluation": months,
        "news_articles": DAYS, "news_sentiment": DAYS, "champion_policy": pairs, "decision": pairs,
        "backtest_report": [f"{pair}|{STRATEGY}" for pair in pairs],
        "model_performance": DAYS, "portfolio_snapshots": DAYS,
    }  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.market.price_plot", lambda *_: "not drawn")
        made = World(instance)
        made.materialise_everything()
        yield made


@pytest.fixture
def restated(world: World) -> Iterator[World]:
    """The world after the venue corrected one close in February; the correction is withdrawn afterwards."""
    world.source.corrected = datetime(2024, 2, 10, 8, tzinfo=UTC)
    world.run("ohlcv", first=ALL_MONTHS[0], last=ALL_MONTHS[1])
    yield world
    world.source.corrected = None
    world.run("ohlcv", "features", first=ALL_MONTHS[0], last=ALL_MONTHS[1])


def test_one_restated_candle_makes_exactly_what_depends_on_it_stale(restated: World) -> None:
    assert restated.stale() == {
        *(f"features {month}|{pair.key}" for month in MONTHS[1:] for pair in PAIRS),  # within their look-back
        f"ppo_policy 2024-03-01|{BTC.key}",  # which learns from the months before
        f"policy_evaluation 2024-02-01|{BTC.key}",
        f"backtest_report {BTC.key}|{STRATEGY}",
        f"decision {BTC.key}",
        "model_performance 2024-02-29",
        "portfolio_snapshots 2024-02-29",
    }


def test_identical_data_materialised_again_in_other_ranges_leave_everything_fresh(world: World) -> None:
    assert world.stale() == set()
    world.run("ohlcv", "features", first=f"{MONTHS[1]}|{BTC.key}", last=f"{MONTHS[1]}|{BTC.key}")
    world.run("features", first=f"{MONTHS[0]}|{BTC.key}", last=f"{MONTHS[1]}|{XRP.key}")
    assert world.stale() == set()


def test_features_that_are_computed_again_are_fresh_and_what_follows_them_is_not(restated: World) -> None:
    restated.run("features", first=ALL_MONTHS[0], last=ALL_MONTHS[1])
    stale = restated.stale()
    assert not any(name.startswith("features") for name in stale)
    # February is in the look-back of March's features.
    assert f"policy_evaluation 2024-03-01|{XRP.key}" in stale
    assert f"policy_evaluation 2024-01-01|{XRP.key}" not in stale


def test_a_partition_is_reported_once_a_run(world: World) -> None:
    records = world.instance.fetch_materializations(dg.AssetKey("ohlcv"), limit=1000).records
    counted = Counter((record.event_log_entry.run_id, record.partition_key) for record in records)
    assert set(counted.values()) == {1}
    assert {key for _, key in counted} == set(partitions()["ohlcv"])


def test_the_version_of_a_table_knows_its_last_digit() -> None:
    table = MARKET.candles(BTC, *MARKET.span(BTC))
    moved = table.with_columns(pl.col("close") + 1e-9)
    assert content_version(table) == content_version(table.clone()) != content_version(moved)


class Press:
    """A news source to which an article of the first of February is added later."""

    refused = ()

    def __init__(self) -> None:
        self.days = [datetime(2024, 2, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
        self.late: list[datetime] = []

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        rows = [
            (f"{at}", at, at, "press", "Bitcoin soars to a record high", "Bitcoin rallies.", "", "en", False)
            for at in (*self.days, *self.late)
            if start <= at < end
        ]
        return pl.DataFrame(rows, schema=ARTICLE_SCHEMA, orient="row")


def test_a_late_article_makes_the_tones_of_its_day_stale_and_of_no_other() -> None:
    press = Press()
    resources = {
        "news_source": press, "news_store": MemoryNews(), "sentiment_model": LexiconSentiment(),
        "universe": Universe((BTC,), "USDT", Timeframe.H1, "test"),
    }  # fmt: skip
    tags = partition_range("2024-02-01", "2024-02-03")
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([news_articles, news_sentiment], instance=instance, tags=tags, resources=resources)
        press.late.append(press.days[0] + timedelta(hours=1))
        dg.materialize([news_articles], instance=instance, tags=tags, resources=resources)
        resolver = CachingStaleStatusResolver(instance, GRAPH, LoadingContextForTest(instance))
        found = {
            day: resolver.get_status(news_sentiment.key, day).value
            for day in ("2024-02-01", "2024-02-02", "2024-02-03")
        }
    assert found == {"2024-02-01": "STALE", "2024-02-02": "FRESH", "2024-02-03": "FRESH"}
