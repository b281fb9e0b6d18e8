"""Indicators of every closed candle: one wide table, one definition for training, back-test and live."""

import math
from datetime import date
from typing import Any

import dagster as dg
import polars as pl

from assets.market import ohlcv
from assets.partitions import PAIR_MONTHS, earlier_months, pair_months
from assets.schema import column_schema
from trading.indicators import FEATURE_NAMES, FEATURES, LOOKBACK, feature_table
from trading.market import TIME, Pair, Universe, month_start, next_month
from trading.ports import TableStore

FEATURE_SCHEMA = pl.Schema(
    {"open_time": TIME, "close_time": TIME, "known_at": TIME} | dict.fromkeys(FEATURE_NAMES, pl.Float64())
)
CUTS_PER_PAIR = 8


@dg.asset(
    partitions_def=PAIR_MONTHS,
    group_name="features",
    kinds={"polars", "talib"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetDep(ohlcv, partition_mapping=earlier_months(2, up_to=0))],
    metadata=column_schema(FEATURE_SCHEMA, {feature.name: feature.formula for feature in FEATURES}),
)
def features(
    context: dg.AssetExecutionContext,
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
) -> None:
    """Indicators of every candle in the month, computed from the candles before it; look-ahead is impossible."""
    wanted = pair_months(context.partition_keys)
    for key, pair, month in wanted:
        table = month_features(candle_store, pair, month)
        feature_store.write(pair, month, table)
        context.add_asset_metadata(_metadata(table), partition_key=key)
    pairs = ", ".join(sorted({str(pair) for _, pair, _ in wanted}))
    context.log.info(f"{pairs}: {len(FEATURE_NAMES)} features of {len(wanted)} pair-months stored")


def month_features(candle_store: TableStore, pair: Pair, month: date) -> pl.DataFrame:
    """The month's rows; what reaches back comes from the candles before the month, as far as they exist."""
    start = month_start(month)
    before = candle_store.tail(pair, start, LOOKBACK)
    table = feature_table(pl.concat([before, candle_store.read(pair, month)]))
    return table.filter(pl.col("open_time") >= start)


def _metadata(table: pl.DataFrame) -> dict[str, Any]:
    warming = table.select(pl.any_horizontal(pl.col(FEATURE_NAMES).is_null()).sum()).item()
    return {
        "dagster/row_count": table.height,
        "features": len(FEATURE_NAMES),
        "warm_up_rows": warming,
        "means": dg.MetadataValue.json({name: table[name].mean() for name in FEATURE_NAMES}),
    }


@dg.asset_check(
    asset=features, description="Null inside the stated warm-up of each feature, finite everywhere after it."
)
def features_are_finite_after_warm_up(
    universe: dg.ResourceParam[Universe], feature_store: dg.ResourceParam[TableStore]
) -> dg.AssetCheckResult:
    wrong = {str(pair): found for pair in universe.pairs if (found := _not_finite(feature_store, pair))}
    return dg.AssetCheckResult(passed=not wrong, metadata={"wrong_rows": dg.MetadataValue.json(wrong)})


def _not_finite(store: TableStore, pair: Pair) -> dict[str, int]:
    """Rows per feature that are null or not finite although its warm-up has passed."""
    months = store.months(pair)
    if not months:
        return {}
    table = store.between(pair, month_start(months[0]), month_start(next_month(months[-1])))
    counts = {
        feature.name: int((~table[feature.name][feature.warm_up :].is_finite().fill_null(False)).sum())
        for feature in FEATURES
    }
    return {name: count for name, count in counts.items() if count}


@dg.asset_check(
    asset=features, description="Recomputed on history cut off at a row, that row stays what it was."
)
def features_see_no_future(
    universe: dg.ResourceParam[Universe],
    candle_store: dg.ResourceParam[TableStore],
    feature_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """A sample of cuts spread over the newest month of each pair; the verdict names columns."""
    moved: dict[str, list[str]] = {}
    rows = 0
    for pair in universe.pairs:
        for row in _sampled_rows(feature_store, pair):
            rows += 1
            history = candle_store.tail(pair, row["close_time"], LOOKBACK + 1)
            again = feature_table(history).row(-1, named=True)
            changed = [name for name in FEATURE_NAMES if not _same(row[name], again[name])]
            if changed:
                moved[f"{pair} {row['open_time']:%Y-%m-%d %H:%M}"] = changed
    return dg.AssetCheckResult(
        passed=not moved, metadata={"rows_checked": rows, "columns_that_moved": dg.MetadataValue.json(moved)}
    )


def _sampled_rows(store: TableStore, pair: Pair) -> list[dict[str, Any]]:
    months = store.months(pair)
    if not months:
        return []
    table = store.read(pair, months[-1])
    return table.gather_every(max(1, table.height // CUTS_PER_PAIR)).to_dicts()


def _same(stored: float | None, again: float | None) -> bool:
    if stored is None or again is None:
        return stored is again
    return math.isclose(stored, again, rel_tol=1e-9, abs_tol=1e-12)
