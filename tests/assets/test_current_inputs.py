"""Staleness where Dagster does not look: an arrow to more than 100 upstream partitions, and to all days of an asset."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from assets.current_inputs import MAX_FINGERPRINTS, inputs_are_current, inputs_metadata
from assets.features import MONTHS_BACK, features, features_inputs_are_current
from assets.market import ohlcv_from
from assets.partitions import Span, within
from assets.versions import ABSENT, Inputs, read_inputs
from orchestration.definitions import definitions
from orchestration.settings import load_settings
from tests.assets.running import no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryTable
from tests.doubles.streamed import nothing_streamed
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_start, next_month
from trading.ports import Quote
from trading.simulation.market import SimulatedMarket

LONG = Span(date(2015, 1, 1), datetime(2023, 10, 20, tzinfo=UTC))  # 106 months
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
MANY = tuple(Pair(f"A{number:02}", "USDT") for number in range(36))
SHORT = Span(date(2023, 1, 1), datetime(2023, 6, 20, tzinfo=UTC))


class Restatable:
    """The simulated market, one of whose closes a venue may correct afterwards."""

    origin = "simulated"

    def __init__(self, pairs: tuple[Pair, ...], span: Span) -> None:
        assert span.end
        first = datetime.combine(span.first, datetime.min.time(), UTC)
        self._market = SimulatedMarket(pairs, Timeframe.D1, 3, first, span.end)
        self.corrected: tuple[Pair, datetime] | None = None

    def restate(self, pair: Pair, month: date) -> None:
        candles = self._market.candles(pair, month_start(month), month_start(next_month(month)))
        self.corrected = (pair, candles["open_time"][7])

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return self._market.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        candles = self._market.candles(pair, start, end)
        if self.corrected is None or self.corrected[0] != pair:
            return candles
        middle = (pl.col("high") + pl.col("low")) / 2
        wrong = pl.col("open_time") == self.corrected[1]
        return candles.with_columns(close=pl.when(wrong).then(middle).otherwise("close"))

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return self._market.quote_after(pair, time)


class World:
    """Candles and features by their own bodies; what follows by stand-ins that keep their inputs as the assets do."""

    def __init__(self, instance: dg.DagsterInstance, pairs: tuple[Pair, ...], span: Span) -> None:
        self.instance, self.pairs, self.source = instance, pairs, Restatable(pairs, span)
        self.graph = definitions(load_settings({}), span).resolve_asset_graph()
        instance.add_dynamic_partitions("pair", [pair.key for pair in pairs])
        real = [each.map_asset_specs(within(span)) for each in (ohlcv_from(None), features)]
        names = ("ppo_policy", "champion_policy", "decision", "backtest_report", "news_sentiment")
        others = [self._stand_in(name) for name in names]
        checks = [inputs_are_current(each) for each in (real[1], *others[:-1])]
        self.definitions = dg.Definitions(
            [*real, *others],
            asset_checks=checks,
            resources={
                "universe": Universe(pairs, "USDT", Timeframe.D1, "simulated"),
                "costs": dict.fromkeys(pairs, Costs(0.0026, 0.0001, 0.0002)),
                "candle_source": self.source,
                "candle_store": MemoryTable(CANDLE_SCHEMA),
                "feature_store": MemoryTable(None),
                "bus": MemoryEventLog(),
                "arrival": no_arrival,
                "stream_coverage": nothing_streamed(),
            },
            jobs=[dg.define_asset_job(name, [name]) for name in ("ohlcv", "features", *names)]
            + [
                dg.define_asset_job(
                    f"check_{check.check_key.asset_key.path[-1]}", dg.AssetSelection.checks(check)
                )
                for check in checks
            ],
            executor=dg.in_process_executor,
        )

    def _stand_in(self, name: str) -> dg.AssetsDefinition:
        spec = self.graph.get(dg.AssetKey(name)).assets_def.get_asset_spec(dg.AssetKey(name))

        @dg.multi_asset(name=name, specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
        def body(context: dg.AssetExecutionContext) -> Any:
            # One partition's inputs stand for all of the run's: the runs of these tests have one.
            inputs = read_inputs(context, spec.key, [context.partition_keys[0]])
            return dg.MaterializeResult(
                asset_key=spec.key, metadata=inputs_metadata(inputs[context.partition_keys[0]])
            )

        return body

    def run(self, name: str, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(name)
        if last is None:
            return job.execute_in_process(instance=self.instance, partition_key=first)
        return job.execute_in_process(instance=self.instance, tags=partition_range(first, last))

    def check(self, name: str) -> dg.AssetCheckEvaluation:
        """Run the check alone, over everything that is stored."""
        job = self.definitions.resolve_job_def(f"check_{name}")
        [evaluation] = job.execute_in_process(instance=self.instance).get_asset_check_evaluations()
        return evaluation

    def dagster_says(self, name: str, key: str) -> str:
        resolver = CachingStaleStatusResolver(self.instance, self.graph, LoadingContextForTest(self.instance))
        return str(resolver.get_status(dg.AssetKey(name), key).value)


def stale_inputs(evaluation: dg.AssetCheckEvaluation) -> dict[str, dict[str, list[str]]]:
    found = evaluation.metadata["stale_inputs"].value
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.market.price_plot", lambda *_: "not drawn")
        made = World(instance, (BTC, XRP), LONG)
        for name in ("ohlcv", "features"):
            made.run(name, f"2021-04-01|{BTC.key}", f"2021-10-01|{XRP.key}")
        made.run("ppo_policy", f"2023-05-01|{BTC.key}")
        made.run("news_sentiment", "2020-03-05")
        for name in ("champion_policy", "decision"):
            for pair in (BTC, XRP):
                made.run(name, pair.key)
        made.run("backtest_report", f"{BTC.key}|technical")
        yield made


@pytest.fixture
def restated(world: World) -> Iterator[World]:
    """A close of June 2021 of BTC is restated; withdrawn afterwards."""
    june = f"2021-06-01|{BTC.key}"
    world.source.restate(BTC, date(2021, 6, 1))
    world.run("ohlcv", june)
    yield world
    world.source.corrected = None
    world.run("ohlcv", june)


def test_every_partition_is_current_at_first(world: World) -> None:
    for name in ("features", "ppo_policy", "champion_policy", "decision", "backtest_report"):
        evaluation = world.check(name)
        assert evaluation.passed, (name, stale_inputs(evaluation))
        assert evaluation.metadata["partitions"].value


def test_a_restated_candle_is_named_where_dagster_itself_looks_at_no_more_than_99_months(
    restated: World,
) -> None:
    june = f"2021-06-01|{BTC.key}"
    assert restated.dagster_says("decision", BTC.key) == "FRESH"
    evaluation = restated.check("decision")
    assert not evaluation.passed
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert stale_inputs(evaluation) == {BTC.key: {"ohlcv": [june]}}
    assert evaluation.description == (
        f"inputs of decision {BTC.key} have changed since it was computed (ohlcv: {june}): materialise what is stale "
        "again"
    )


def test_exactly_the_affected_partitions_are_stale(restated: World) -> None:
    june = f"2021-06-01|{BTC.key}"
    behind = {f"2021-{month:02}-01|{pair.key}" for month in range(6, 7 + MONTHS_BACK) for pair in (BTC, XRP)}
    assert set(stale_inputs(restated.check("features"))) == behind
    assert all(restated.dagster_says("features", key) == "STALE" for key in behind)
    assert stale_inputs(restated.check("ppo_policy")) == {f"2023-05-01|{BTC.key}": {"ohlcv": [june]}}
    assert stale_inputs(restated.check("backtest_report")) == {f"{BTC.key}|technical": {"ohlcv": [june]}}
    assert restated.check("champion_policy").passed  # evaluations are unchanged as yet


def test_what_is_computed_again_is_current(restated: World) -> None:
    restated.run("decision", BTC.key)
    assert restated.check("decision").passed
    restated.source.corrected = None
    restated.run("ohlcv", f"2021-06-01|{BTC.key}")
    assert stale_inputs(restated.check("decision")) == {BTC.key: {"ohlcv": [f"2021-06-01|{BTC.key}"]}}
    restated.run("decision", BTC.key)


def test_a_late_article_is_named_although_dagster_skips_arrows_to_all_days(world: World) -> None:
    # More than are kept singly.
    days = [f"2020-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    for day in days:
        world.instance.report_runless_asset_event(
            dg.AssetMaterialization("news_sentiment", partition=day, tags={"dagster/data_version": "one"})
        )
    world.run("backtest_report", f"{BTC.key}|technical")
    assert world.check("backtest_report").passed
    world.instance.report_runless_asset_event(
        dg.AssetMaterialization(
            "news_sentiment", partition="2020-07-09", tags={"dagster/data_version": "two"}
        )
    )
    assert world.dagster_says("backtest_report", f"{BTC.key}|technical") == "FRESH"
    found = stale_inputs(world.check("backtest_report"))
    assert found == {f"{BTC.key}|technical": {"news_sentiment": ["2020-07-09"]}}


def test_features_of_many_pairs_name_the_candle_that_dagster_overlooks() -> None:
    """36 pairs and the months of the look-back are more than 100 upstream partitions of each month of features."""
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.market.price_plot", lambda *_: "not drawn")
        world = World(instance, MANY, SHORT)
        first, last = f"2023-01-01|{MANY[0].key}", f"2023-06-01|{MANY[-1].key}"
        world.run("ohlcv", first, last)
        world.run("features", f"2023-05-01|{MANY[0].key}", f"2023-06-01|{MANY[1].key}")
        assert world.check("features").passed
        april = f"2023-04-01|{MANY[7].key}"
        world.source.restate(MANY[7], date(2023, 4, 1))
        world.run("ohlcv", april)
        assert world.dagster_says("features", f"2023-05-01|{MANY[0].key}") == "FRESH"
        found = stale_inputs(world.check("features"))
        keys = {f"2023-{month:02}-01|{pair.key}" for month in (5, 6) for pair in MANY[:2]}
        assert found == {key: {"ohlcv": [april]} for key in keys}


def test_a_partition_that_was_stored_before_inputs_were_kept_is_not_taken_for_current(world: World) -> None:
    world.instance.report_runless_asset_event(dg.AssetMaterialization("decision", partition=XRP.key))
    found = stale_inputs(world.check("decision"))
    assert found == {XRP.key: {"all": ["not kept by the version that computed it"]}}
    world.run("decision", XRP.key)
    assert world.check("decision").passed


@pytest.mark.parametrize("count", [1, MAX_FINGERPRINTS, MAX_FINGERPRINTS + 1, 20_000])
def test_what_is_kept_is_bounded_however_many_inputs_there_are(count: int) -> None:
    versions = {
        f"{2000 + number // 360}-{number % 12 + 1:02}-01|P{number}": f"{number:064x}"
        for number in range(count)
    }
    inputs: Inputs = {dg.AssetKey("ohlcv"): versions | {"2030-01-01|P": ABSENT}}
    assert len(json.dumps(inputs_metadata(inputs)["inputs"].value)) < 50 * MAX_FINGERPRINTS


def test_the_check_of_features_belongs_to_the_asset_of_the_graph() -> None:
    assert features_inputs_are_current.check_key == dg.AssetCheckKey(features.key, "inputs_are_current")
