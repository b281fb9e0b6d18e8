"""Candles and features through Dagster with memory stores: what is stored, reported, announced and checked."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import polars as pl
import pytest

import assets.features
from assets.features import (
    features,
    features_are_finite_after_warm_up,
    features_forget_their_start,
    features_rest_on_trades,
    features_see_no_future,
)
from assets.gap_checks import gaps_are_classified
from assets.market import candles_keep_their_invariants, ohlcv_from
from assets.partitions import PAIR_MONTHS
from tests.assets.running import check_alone, no_arrival, partition_range, verdicts
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryTable
from tests.doubles.streamed import nothing_streamed
from trading.candle_events import CANDLE_CLOSED
from trading.errors import InvalidCandles, NotStored
from trading.fills import Costs
from trading.indicators import FEATURE_NAMES, FEATURE_SCHEMA, Companions, feature_table
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_start, next_month
from trading.ports import Quote
from trading.simulation.market import SimulatedMarket

ohlcv = ohlcv_from(None)
PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H1, "simulated")
MARKET = SimulatedMarket(
    (PAIR,), Timeframe.H1, 3, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 20, tzinfo=UTC)
)
HISTORY = [ohlcv, features, candles_keep_their_invariants, gaps_are_classified]
CHECKS = [features_are_finite_after_warm_up, features_see_no_future, features_forget_their_start]
COSTS = {PAIR: Costs(0.0026, 0.0001, 0.0002)}


class Harness:
    def __init__(self, source: Any = MARKET) -> None:
        self.candles, self.features = MemoryTable(CANDLE_SCHEMA), MemoryTable(None)
        self.bus = MemoryEventLog()
        self.resources = {
            "universe": UNIVERSE,
            "costs": COSTS,
            "candle_source": source,
            "candle_store": self.candles,
            "feature_store": self.features,
            "bus": self.bus,
            "arrival": no_arrival,
            "stream_coverage": nothing_streamed(),
        }

    def run(
        self, *assets: Any, first: str = "2024-01-01", last: str = "2024-03-01", raise_on_error: bool = True
    ) -> dg.ExecuteInProcessResult:
        """One single-run backfill over the months of the pair."""
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("pair", [PAIR.key])
            span = partition_range(f"{first}|{PAIR.key}", f"{last}|{PAIR.key}")
            return dg.materialize(
                list(assets),
                instance=instance,
                tags=span,
                resources=self.resources,
                raise_on_error=raise_on_error,
            )

    def check(self, check: Any) -> dg.AssetCheckEvaluation:
        return check_alone(check, [ohlcv, features], self.resources)


@pytest.fixture(scope="module")
def done() -> tuple[Harness, dg.ExecuteInProcessResult]:
    harness = Harness()
    return harness, harness.run(*HISTORY, *CHECKS)


def test_every_month_is_stored_as_the_source_has_it(done: tuple[Harness, Any]) -> None:
    harness, _ = done
    stored = harness.candles.between(PAIR, *MARKET.span(PAIR))
    assert stored.equals(MARKET.candles(PAIR, *MARKET.span(PAIR)))


def test_each_partition_reports_its_own_row_count_and_a_plot(done: tuple[Harness, Any]) -> None:
    _, result = done
    events = result.asset_materializations_for_node("ohlcv")
    rows = {event.partition: event.metadata["dagster/row_count"].value for event in events}
    assert (
        rows[f"2024-02-01|{PAIR.key}"]
        == MARKET.candles(PAIR, datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)).height
    )
    assert len(rows) == 3
    assert all("data:image/svg+xml" in event.metadata["price"].value for event in events)


def test_all_checks_pass_on_an_honest_market(done: tuple[Harness, Any]) -> None:
    assert verdicts(done[1]) == {
        "candles_keep_their_invariants": True,
        "gaps_are_classified": True,
        "features_are_finite_after_warm_up": True,
        "features_see_no_future": True,
        "features_forget_their_start": True,
    }


def test_the_newest_candle_is_announced_once_however_often_it_is_stored(done: tuple[Harness, Any]) -> None:
    harness, _ = done
    harness.run(ohlcv, first="2024-03-01")
    [event] = harness.bus.read(CANDLE_CLOSED, 0)
    assert event.payload["close_time"] == MARKET.span(PAIR)[1].isoformat()


def test_a_month_outside_the_source_names_what_the_source_has(done: tuple[Harness, Any]) -> None:
    with pytest.raises(NotStored, match="from 2024-01-01 00:00 to 2024-03-20 00:00"):
        Harness().run(ohlcv, first="2023-05-01", last="2023-05-01")


class Broken:
    """The same market with one candle whose high is below its low."""

    origin = "simulated"

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return MARKET.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        table = MARKET.candles(pair, start, end)
        first = pl.col("open_time") == table["open_time"][5]
        return table.with_columns(high=pl.when(first).then(pl.col("low") * 0.9).otherwise(pl.col("high")))

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return MARKET.quote_after(pair, time)


class EndsBeforeItBegins(Broken):
    """As an exchange whose market began after [market] until."""

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        began = datetime(2024, 1, 10, tzinfo=UTC)
        return began, began

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        return CANDLE_SCHEMA.to_frame()


def test_no_candle_where_some_were_due_fails_with_the_reason_and_stores_no_empty_month() -> None:
    harness = Harness(EndsBeforeItBegins())
    with pytest.raises(NotStored, match=r"gave no candle of BTC/USDT in 2024-01.*\[market\] until"):
        harness.run(ohlcv, last="2024-01-01")
    assert harness.candles.months(PAIR) == []


def test_a_broken_candle_is_refused_by_its_time_and_nothing_of_the_month_is_stored() -> None:
    harness = Harness(Broken())
    with pytest.raises(InvalidCandles, match="nothing was stored for 2024-01"):
        harness.run(ohlcv, last="2024-01-01")
    assert harness.candles.months(PAIR) == []


def test_a_candle_that_vanished_from_the_store_without_a_gap_being_found_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("assets.gap_checks.gaps", lambda *_: [])
    harness = Harness()
    january = MARKET.candles(PAIR, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC))
    harness.candles.write(PAIR, date(2024, 1, 1), january.filter(pl.col("open_time").dt.day() != 9))
    result = harness.check(gaps_are_classified)
    assert not result.passed
    assert result.metadata["unexplained"].value == {str(PAIR): 24}


def test_a_planted_look_ahead_is_caught_and_its_column_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def peeking(candles: pl.DataFrame, timeframe: Timeframe, companions: Companions) -> pl.DataFrame:
        """Centred smoothing: the classic mistake."""
        honest = feature_table(candles, timeframe, companions)
        return honest.with_columns(rsi_14=pl.col("rsi_14").rolling_mean(5, center=True, min_samples=1))

    monkeypatch.setattr(assets.features, "feature_table", peeking)
    result = Harness().run(ohlcv, features, features_see_no_future, raise_on_error=False)
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    moved = evaluation.metadata["columns_that_moved"].value
    assert {column for columns in moved.values() for column in columns} == {"rsi_14"}
    verdicts = {row.data["column"]: row.data["verdict"] for row in evaluation.metadata["verdicts"].records}
    assert {name for name, verdict in verdicts.items() if verdict != "passed"} == {"rsi_14"}
    assert list(verdicts) == FEATURE_SCHEMA.names()
    assert evaluation.metadata["cuts_checked"].value > 0


def test_a_planted_look_back_that_is_too_short_is_caught_and_its_column_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forgetful(candles: pl.DataFrame, timeframe: Timeframe, companions: Companions) -> pl.DataFrame:
        """Compute an average that takes several times the look-back to forget its start."""
        honest = feature_table(candles, timeframe, companions)
        return honest.with_columns(adx_14=candles["close"].ewm_mean(span=1500, adjust=False))

    monkeypatch.setattr(assets.features, "feature_table", forgetful)
    result = Harness().run(ohlcv, features, features_forget_their_start)
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert set(evaluation.metadata["columns_that_remember"].value[str(PAIR)]) == {"adx_14"}
    assert evaluation.metadata["starts_checked"].value > 0


def test_rows_that_no_candles_give_any_more_are_caught_and_their_columns_named() -> None:
    harness = Harness()
    harness.run(ohlcv, features)
    newest = harness.features.months(PAIR)[-1]
    table = harness.features.read(PAIR, newest)
    harness.features.write(PAIR, newest, table.with_columns(obv_z=pl.col("obv_z") + 1e-6))
    result = harness.check(features_see_no_future)
    assert set(result.metadata["columns_that_moved"].value[str(PAIR)]) == {"obv_z"}


class DamagingTable(MemoryTable):
    """A store that turns one high upside down as it writes January."""

    def write(self, pair: Pair, month: date, table: pl.DataFrame) -> None:
        if month.month == 1:
            first = pl.int_range(pl.len()) == 5
            table = table.with_columns(high=pl.when(first).then(pl.col("low") * 0.9).otherwise("high"))
        super().write(pair, month, table)


def test_candles_that_break_their_invariants_go_no_further_than_their_check() -> None:
    harness = Harness()
    harness.candles = harness.resources["candle_store"] = DamagingTable(CANDLE_SCHEMA)
    result = harness.run(
        ohlcv, candles_keep_their_invariants, features, last="2024-01-01", raise_on_error=False
    )
    assert not result.success
    assert verdicts(result) == {"candles_keep_their_invariants": False}
    assert harness.features.months(PAIR) == []


def test_a_run_checks_its_own_months_and_a_check_alone_all_that_is_stored() -> None:
    harness = Harness()
    harness.candles = harness.resources["candle_store"] = DamagingTable(CANDLE_SCHEMA)
    harness.run(ohlcv, last="2024-01-01")
    february = harness.run(ohlcv, candles_keep_their_invariants, first="2024-02-01", last="2024-02-01")
    assert verdicts(february) == {"candles_keep_their_invariants": True}
    assert not harness.check(candles_keep_their_invariants).passed


def test_a_look_ahead_stops_what_would_learn_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def peeking(candles: pl.DataFrame, timeframe: Timeframe, companions: Companions) -> pl.DataFrame:
        honest = feature_table(candles, timeframe, companions)
        return honest.with_columns(rsi_14=pl.col("rsi_14").rolling_mean(5, center=True, min_samples=1))

    @dg.asset(deps=[features], partitions_def=PAIR_MONTHS, backfill_policy=dg.BackfillPolicy.multi_run(12))
    def learner() -> None:
        raise AssertionError("learned from the future")

    monkeypatch.setattr(assets.features, "feature_table", peeking)
    result = Harness().run(ohlcv, features, features_see_no_future, learner, raise_on_error=False)
    assert [step.step_key for step in result.all_events if step.is_step_failure] == [
        "features_features_see_no_future"
    ]


def test_a_feature_that_is_missing_after_its_warm_up_fails_the_check() -> None:
    harness = Harness()
    harness.run(ohlcv, features)
    newest = harness.features.months(PAIR)[-1]
    table = harness.features.read(PAIR, newest)
    hole = table.with_columns(adx_14=pl.when(pl.int_range(pl.len()) == 7).then(None).otherwise("adx_14"))
    harness.features.write(PAIR, newest, hole)
    result = harness.check(features_are_finite_after_warm_up)
    assert not result.passed
    assert result.metadata["wrong_rows"].value == {str(PAIR): {"adx_14": 1}}


def test_features_of_a_dead_market_are_warned_of() -> None:
    harness = Harness()
    harness.run(ohlcv, features)
    assert harness.check(features_rest_on_trades).passed
    newest = harness.candles.months(PAIR)[-1]
    dead = harness.candles.read(PAIR, newest).with_columns(
        *(pl.lit(100.0).alias(name) for name in ("open", "high", "low", "close")), volume=pl.lit(0.0)
    )
    harness.candles.write(PAIR, newest, dead)
    result = harness.check(features_rest_on_trades)
    assert not result.passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    words = " ".join(result.metadata["dead_candles"].value[str(PAIR)])
    assert "candles have no volume" in words
    assert "stand at the price before" in words


def test_features_of_one_month_alone_equal_those_of_the_whole_range(done: tuple[Harness, Any]) -> None:
    harness, _ = done
    whole = harness.features.read(PAIR, date(2024, 3, 1))
    harness.run(features, first="2024-03-01")
    assert harness.features.read(PAIR, date(2024, 3, 1)).equals(whole)
    assert set(FEATURE_NAMES) <= set(whole.columns)


THREE = (PAIR, Pair("XRP", "USDT"), Pair("XRP", "BTC"))


def three_pairs(*assets: Any, stored: tuple[Pair, ...] = THREE) -> tuple[Harness, dg.ExecuteInProcessResult]:
    """January and February of three pairs, of which only `stored` have candles before features are made."""
    harness = Harness(
        SimulatedMarket(
            THREE, Timeframe.H1, 3, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 20, tzinfo=UTC)
        )
    )
    harness.resources |= {
        "universe": Universe(THREE, "USDT", Timeframe.H1, "simulated"),
        "costs": dict.fromkeys(THREE, COSTS[PAIR]),
    }
    source: Any = harness.resources["candle_source"]
    for pair in stored:
        for month in (date(2024, 1, 1), date(2024, 2, 1)):
            harness.candles.write(
                pair, month, source.candles(pair, month_start(month), month_start(next_month(month)))
            )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [pair.key for pair in THREE])
        span = {
            "dagster/asset_partition_range_start": f"2024-01-01|{THREE[0].key}",
            "dagster/asset_partition_range_end": f"2024-02-01|{THREE[-1].key}",
        }
        chosen = [*assets, features]
        if len(stored) < len(THREE):
            span["dagster/asset_partition_range_end"] = f"2024-02-01|{THREE[0].key}"
        return harness, dg.materialize(chosen, instance=instance, tags=span, resources=harness.resources)


def test_features_compare_the_pairs_of_the_universe() -> None:
    harness, result = three_pairs(*CHECKS)
    assert all(verdicts(result).values())
    cross = harness.features.read(THREE[2], date(2024, 2, 1))
    assert cross["btc_correlation"].is_between(-0.999, 0.999).all()
    assert cross["triangle_deviation"].abs().max() < 0.001
    assert cross["triangle_deviation"].n_unique() > 100


def test_a_pair_that_is_not_stored_leaves_what_compares_with_it_unknown_and_is_reported() -> None:
    harness, result = three_pairs(stored=THREE[:1])
    own = harness.features.read(PAIR, date(2024, 2, 1))
    assert own["triangle_deviation"].null_count() == own.height
    assert own["btc_correlation"].unique().to_list() == [1.0]
    assert own["regime"].null_count() == 0
    events = {event.partition: event for event in result.asset_materializations_for_node("features")}
    february = events[f"2024-02-01|{PAIR.key}"]
    assert february.metadata["rows_without_companions"].value == own.height


def test_a_month_of_features_comes_after_the_candles_of_all_pairs_in_it_and_before() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [pair.key for pair in THREE])
        keys = assets.features.ALL_PAIRS.get_upstream_mapped_partitions_result_for_partitions(
            PAIR_MONTHS.subset_with_partition_keys([f"2024-03-01|{PAIR.key}"]),
            PAIR_MONTHS,
            PAIR_MONTHS,
            dynamic_partitions_store=instance,
        ).partitions_subset.get_partition_keys()
    months = ("2024-01-01", "2024-02-01", "2024-03-01")
    assert set(keys) == {f"{month}|{pair.key}" for month in months for pair in THREE}
