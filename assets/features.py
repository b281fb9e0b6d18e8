"""Indicators of every closed candle: one wide table, one definition for training, back-test and live."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from assets.check_scope import Stretch, run_stretches
from assets.current_inputs import inputs_are_current, inputs_metadata
from assets.market import CANDLE_COLUMNS, OHLCV
from assets.metadata_numbers import readable
from assets.metadata_tables import column_schema
from assets.partitions import MONTHS_PER_RUN, PAIR_MONTHS, pair_months
from assets.versions import PartitionReport, partition_events, read_inputs, version_of
from trading.candles import dead_market_warnings, quality
from trading.errors import NotStored
from trading.fills import Costs
from trading.indicators import (
    FEATURE_NAMES,
    FEATURE_SCHEMA,
    FEATURES,
    POLICY_FEATURES,
    Companions,
    companions_of,
    feature_table,
    lookback,
)
from trading.indicators.bias_checks import TOLERANCE, lookahead_columns, recursive_bias
from trading.indicators.companions import STALE_AFTER
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_start
from trading.ports import TableStore

SAMPLES_PER_PAIR = 8
# Months that the candles of a row reach back, for lineage. The graph is drawn before settings are read: this
# holds for hourly candles and finer ones; on 4h and 1d the oldest candles of a row lie further back.
MONTHS_BACK = -(-lookback(Timeframe.H1) * Timeframe.H1.duration // timedelta(days=28))
# Features compare pairs: a month needs the candles of all of them.
ALL_PAIRS = dg.MultiPartitionMapping(
    {
        "pair": dg.DimensionPartitionMapping("pair", dg.AllPartitionMapping()),
        "month": dg.DimensionPartitionMapping(
            "month",
            dg.TimeWindowPartitionMapping(
                start_offset=-MONTHS_BACK, end_offset=0, allow_nonexistent_upstream_partitions=True
            ),
        ),
    }
)
DESCRIPTIONS = {
    **{name: CANDLE_COLUMNS[name] for name in ("open_time", "close_time", "known_at")},
    "regime": "the regime with the largest weight, in words",
    **{feature.name: f"{feature.formula} ({feature.unit}; {feature.source})" for feature in FEATURES},
}


@dg.asset(
    partitions_def=PAIR_MONTHS,
    group_name="features",
    kinds={"polars", "talib", "numba"},
    owners=["team:research"],
    code_version="3",
    backfill_policy=dg.BackfillPolicy.multi_run(MONTHS_PER_RUN),  # a job wants one policy for all
    deps=[dg.AssetDep(OHLCV, partition_mapping=ALL_PAIRS)],
    metadata=column_schema(FEATURE_SCHEMA, DESCRIPTIONS),
)
def features(
    context: dg.AssetExecutionContext,
    universe: dg.ResourceParam[Universe],
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
) -> Iterator[Any]:
    """Compute the indicators of every candle in the month from the candles before it; look-ahead is impossible."""
    wanted, reports = pair_months(context.partition_keys), {}
    inputs = read_inputs(context, context.asset_key, context.partition_keys)
    for done, (key, pair, month) in enumerate(wanted, 1):
        table = month_features(candle_store, universe, costs, pair, month)
        feature_store.write(pair, month, table)
        context.log.info(
            f"{pair} {month:%Y-%m}: {table.height} rows of features; month {done} of {len(wanted)}"
        )
        version = version_of(context, inputs[key], sorted(costs.items()))
        reports[key] = PartitionReport(version, _metadata(table) | inputs_metadata(inputs[key]))
    pairs = ", ".join(sorted({str(pair) for _, pair, _ in wanted}))
    context.log.info(f"{pairs}: {len(FEATURE_NAMES)} features of {len(wanted)} pair-months stored")
    yield from partition_events(context, reports)


def month_features(
    store: TableStore, universe: Universe, costs: Mapping[Pair, Costs], pair: Pair, month: date
) -> pl.DataFrame:
    """Compute the month's rows; windows that reach back use the candles before the month, as far as they exist."""
    candles = _candles_with_history(store, pair, month, lookback(universe.timeframe))
    companions = stored_companions(store, universe, costs, pair, candles)
    table = feature_table(candles, universe.timeframe, companions)
    return table.filter(pl.col("open_time") >= month_start(month))


def _candles_with_history(store: TableStore, pair: Pair, month: date, rows: int) -> pl.DataFrame:
    return pl.concat([store.tail(pair, month_start(month), rows), store.read(pair, month)])


def stored_companions(
    store: TableStore, universe: Universe, costs: Mapping[Pair, Costs], pair: Pair, candles: pl.DataFrame
) -> Companions:
    """Read the other pairs that `candles` are compared with; a pair without stored candles counts as not known."""

    def read(other: Pair) -> pl.DataFrame:
        margin = (STALE_AFTER + 1) * universe.timeframe.duration
        try:
            return store.between(other, candles["open_time"][0] - margin, candles["close_time"][-1])
        except NotStored:
            return CANDLE_SCHEMA.to_frame()

    return companions_of(pair, universe, costs, read if candles.height else lambda other: candles)


def _metadata(table: pl.DataFrame) -> dict[str, Any]:
    warming = table.select(pl.any_horizontal(pl.col(POLICY_FEATURES).is_null()).sum()).item()
    compared = [feature.name for feature in FEATURES if feature.needs_companions]
    alone = table.select(pl.any_horizontal(pl.col(compared).is_null()).sum()).item()
    return {
        "dagster/row_count": table.height,
        "features": len(FEATURE_NAMES),
        "warm_up_rows": warming,
        "rows_without_companions": alone,
        "regimes": dg.MetadataValue.json(dict(table["regime"].drop_nulls().value_counts().rows())),
        "means": dg.MetadataValue.json(readable({name: table[name].mean() for name in FEATURE_NAMES})),
    }


features_inputs_are_current = inputs_are_current(features)


@dg.asset_check(
    asset=features,
    description="Null inside the stated warm-up of each feature, finite everywhere after it; a feature that "
    "compares pairs may also be null where the other pair is not known, never anything else.",
)
def features_are_finite_after_warm_up(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    feature_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    found = {
        str(each.pair): _not_finite(feature_store, each, universe.timeframe)
        for each in run_stretches(context, universe, feature_store)
    }
    wrong = {pair: counts for pair, counts in found.items() if counts}
    return dg.AssetCheckResult(passed=not wrong, metadata={"wrong_rows": dg.MetadataValue.json(wrong)})


def _not_finite(store: TableStore, stretch: Stretch, timeframe: Timeframe) -> dict[str, int]:
    """Rows per feature that are null or not finite although its warm-up has passed."""
    table = store.between(stretch.pair, *stretch.span)
    earlier = store.tail(stretch.pair, stretch.span[0], lookback(timeframe)).height
    counts = {
        feature.name: int(
            (
                ~table[feature.name][max(0, feature.warm_up_for(timeframe) - earlier) :]
                .is_finite()
                .fill_null(feature.needs_companions)
            ).sum()
        )
        for feature in FEATURES
    }
    return {name: count for name, count in counts.items() if count}


@dg.asset_check(
    asset=features,
    description="The candles behind the features were traded: of a dead market an indicator says nothing.",
)
def features_rest_on_trades(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    candle_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Warn of pairs of which too many candles have no volume or repeat a price; the numbers themselves are right."""
    found = {}
    for each in run_stretches(context, universe, candle_store):
        counted = quality(candle_store.between(each.pair, *each.span), universe.timeframe, universe.origin)
        found[str(each.pair)] = list(
            dead_market_warnings(counted.rows, counted.zero_volume, counted.unchanged)
        )
    return dg.AssetCheckResult(
        passed=not any(found.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "dead_candles": dg.MetadataValue.json({pair: words for pair, words in found.items() if words})
        },
    )


@dg.asset_check(
    asset=features,
    blocking=True,  # what learned from the future is worth nothing
    description="Recomputed on history that is cut off somewhere, every row before the cut stays what is stored.",
)
def features_see_no_future(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Check a sample of cuts spread over the run's newest month of each pair; the verdict is by column."""
    moved: dict[str, dict[str, str]] = {}
    cuts_checked = 0
    for each in run_stretches(context, universe, feature_store):
        pair, month = each.pair, each.last
        stored = feature_store.read(pair, month)
        candles = _candles_with_history(candle_store, pair, month, lookback(universe.timeframe))
        cuts = _evenly_spaced(candles.height - stored.height + 1, candles.height)
        compute = partial(_recompute, candle_store, universe, costs, pair)
        cuts_checked += len(cuts)
        if found := lookahead_columns(compute, candles, cuts, stored):
            moved[str(pair)] = {name: f"{time:%Y-%m-%d %H:%M}" for name, time in found.items()}
    return dg.AssetCheckResult(
        passed=not moved,
        metadata={
            "cuts_checked": cuts_checked,
            "columns_that_moved": dg.MetadataValue.json(moved),
            "verdicts": _verdicts({pair: set(columns) for pair, columns in moved.items()}, "moved"),
        },
    )


@dg.asset_check(
    asset=features,
    description="With no more than the stated look-back before it, a row is what all of history makes it.",
)
def features_forget_their_start(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    costs: dg.ResourceParam[Mapping[Pair, Costs]],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Check a sample of starts within the run's newest month of each pair; the verdict is by column."""
    reach = lookback(universe.timeframe)
    worst: dict[str, dict[str, float]] = {}
    starts_checked = 0
    for each in run_stretches(context, universe, feature_store):
        pair, candles = each.pair, _candles_with_history(candle_store, each.pair, each.last, 2 * reach)
        starts = _evenly_spaced(1, candles.height - reach - 1)
        compute = partial(_recompute, candle_store, universe, costs, pair)
        starts_checked += len(starts)
        bias = recursive_bias(compute, candles, starts, reach)
        if found := {name: value for name, value in bias.items() if value > TOLERANCE}:
            worst[str(pair)] = found
    return dg.AssetCheckResult(
        passed=not worst,
        metadata={
            "starts_checked": starts_checked,
            "columns_that_remember": dg.MetadataValue.json(worst),
            "verdicts": _verdicts({pair: set(columns) for pair, columns in worst.items()}, "remembers"),
        },
    )


def _recompute(
    store: TableStore, universe: Universe, costs: Mapping[Pair, Costs], pair: Pair, candles: pl.DataFrame
) -> pl.DataFrame:
    companions = stored_companions(store, universe, costs, pair, candles)
    return feature_table(candles, universe.timeframe, companions)


def _evenly_spaced(first: int, last: int) -> list[int]:
    """Whole numbers from first to last, both included, evenly; empty when there are none."""
    if last < first:
        return []
    step = max(1, (last - first) // (SAMPLES_PER_PAIR - 1))
    return sorted({*range(first, last, step), last})


def _verdicts(faulty: Mapping[str, set[str]], fault: str) -> dg.TableMetadataValue:
    """Return one row per column of the table."""
    rows = []
    for name in FEATURE_SCHEMA.names():
        pairs = [pair for pair, columns in faulty.items() if name in columns]
        verdict = f"{fault}: {', '.join(pairs)}" if pairs else "passed"
        rows.append(dg.TableRecord({"column": name, "verdict": verdict}))
    return dg.MetadataValue.table(rows)
