"""The order book at the close of each candle, from the stream's samples: columns that can be joined to `features`."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.check_scope import Stretch, run_stretches
from assets.metadata_plots import line_plot
from assets.metadata_tables import column_schema
from assets.partitions import MONTHS_PER_RUN, PAIR_MONTHS, pair_months
from assets.tape import MARKET_TAPE
from assets.versions import PartitionReport, content_version, partition_events
from trading.errors import NotStored
from trading.market import Pair, Universe, month_start, next_month
from trading.order_book_features import DESCRIPTIONS, ORDER_BOOK_SCHEMA, SAMPLE_COLUMNS, candle_features
from trading.ports import TableStore, Tape, TapeTable

DAY = timedelta(days=1)
MARGIN = timedelta(minutes=5)  # that a sample may become known after its own time
MAX_MISSING = 0.05  # share of the grid without a sample, from which on a person should look
CUTS_PER_PAIR = 8


@dg.asset(
    partitions_def=PAIR_MONTHS,
    group_name="features",
    kinds={"polars", "parquet"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.multi_run(MONTHS_PER_RUN),
    deps=[MARKET_TAPE],
    metadata=column_schema(ORDER_BOOK_SCHEMA, DESCRIPTIONS),
)
def order_book(
    context: dg.AssetExecutionContext,
    universe: dg.ResourceParam[Universe],
    tape: dg.ResourceParam[Tape],
    book_interval: dg.ResourceParam[timedelta],
    order_book_store: dg.ResourceParam[TableStore],
) -> Iterator[Any]:
    """Compute spread, imbalance, depth and microprice of each closed candle from the verified samples of the tape.

    A month in which nothing was sampled is left out; NotStored when all months of the run are such.
    """
    reports = {}
    for key, pair, month in pair_months(context.partition_keys):
        table = month_order_book(tape, universe, pair, month, book_interval)
        if table.is_empty():
            context.log.warning(f"{pair} {month:%Y-%m}: no sample of the order book on the tape")
            continue
        order_book_store.write(pair, month, table)
        context.log.info(
            f"{pair} {month:%Y-%m}: {table.height} candles with {table['samples'].sum()} samples"
        )
        reports[key] = PartitionReport(content_version(table), _metadata(table, pair, month))
    if not reports:
        raise NotStored(
            f"no closed {universe.timeframe} candle of {universe.origin} in {', '.join(context.partition_keys)} has a "
            "sample of the order book on the tape: `marketloom stream` records books from its start on, nobody has "
            "their past; try again when the first candle since then has closed"
        )
    yield from partition_events(context, reports)


def month_order_book(
    tape: Tape, universe: Universe, pair: Pair, month: date, interval: timedelta
) -> pl.DataFrame:
    """Compute the rows of the month's candles that are over, day by day: a month of samples is a gigabyte.

    A candle is over once the tape has a later sample of the pair: what is on the tape came there in order.
    """
    newest = tape.newest(TapeTable.BOOK, universe.origin, pair)
    start, end = month_start(month), month_start(next_month(month))
    parts = [ORDER_BOOK_SCHEMA.to_frame()]
    while newest is not None and start < min(end, newest):
        samples = tape.read(TapeTable.BOOK, universe.origin, pair, start - MARGIN, start + DAY + MARGIN)
        rows = candle_features(samples, universe.timeframe, interval, newest)
        parts.append(rows.filter(pl.col("open_time") >= start, pl.col("open_time") < start + DAY))
        start += DAY
    return pl.concat(parts)


def _metadata(table: pl.DataFrame, pair: Pair, month: date) -> dict[str, Any]:
    first, last = table["open_time"][0], table["close_time"][-1]
    lines = {
        name: table[f"mean_{name}"].fill_null(float("nan")).to_list() for name in ("spread", "imbalance")
    }
    return {
        "dagster/row_count": table.height,
        "samples": int(table["samples"].sum()),
        "share_missing": missing_share(table),
        "candles_without_a_fresh_book": int(table["spread"].is_null().sum()),
        "crossed": int(table["crossed"].sum()),
        "from": f"{first:%Y-%m-%d %H:%M}",
        "until": f"{last:%Y-%m-%d %H:%M}",
        **{
            name: line_plot(f"{name} of {pair} {month:%Y-%m}", table["close_time"].to_list(), {name: values})
            for name, values in lines.items()
        },
    }


def missing_share(table: pl.DataFrame) -> float:
    """Return the share of the grid from the first candle to the last that has no sample; 0 for an empty table."""
    if table.is_empty():
        return 0.0
    step: timedelta = table["close_time"][0] - table["open_time"][0]
    candles = int((table["close_time"][-1] - table["open_time"][0]) / step)
    expected = candles * int(table["expected"][-1])
    # At its ends a grid may have a sample more than its length says.
    return max(0.0, 1 - float(table["samples"].sum()) / expected)


@dg.asset_check(
    asset=order_book,
    blocking=True,
    description="The best bid lies below the best ask, quantities are above zero, shares within their bounds.",
)
def order_books_are_possible(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    order_book_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Count crossed samples too: the recorder never takes one, so they were written by something else."""
    found = {
        str(each.pair): _impossible(order_book_store.between(each.pair, *each.span))
        for each in run_stretches(context, universe, order_book_store)
    }
    wrong = {pair: counts for pair, counts in found.items() if counts}
    return dg.AssetCheckResult(passed=not wrong, metadata={"wrong_rows": dg.MetadataValue.json(wrong)})


def _impossible(table: pl.DataFrame) -> dict[str, int]:
    shares = ("imbalance", "depth_imbalance", "mean_imbalance", "mean_depth_imbalance")
    rules = {
        "bid is not below ask": pl.col("bid") >= pl.col("ask"),
        "crossed samples": pl.col("crossed") > 0,
        "no quantity": (pl.col("bid_quantity") <= 0) | (pl.col("ask_quantity") <= 0),
        "spread is not above 0": (pl.col("spread") <= 0) | (pl.col("mean_spread") <= 0),
        "microprice outside the spread": ~pl.col("microprice").is_between("bid", "ask"),
        "a share outside -1..1": pl.any_horizontal(pl.col(name).abs() > 1 for name in shares),
        "no number": pl.any_horizontal(~pl.col(name).is_finite() for name in SAMPLE_COLUMNS),
    }
    counts = table.select(rule.fill_null(False).sum().alias(name) for name, rule in rules.items()).row(
        0, named=True
    )
    return {name: count for name, count in counts.items() if count}


@dg.asset_check(
    asset=order_book,
    description=f"No more than {MAX_MISSING:.0%} of the moments of the grid are without a sample.",
)
def order_book_samples_are_there(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    order_book_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Warn: where the stream was not connected or not sure there is no sample, and none can be had later."""
    shares, days = {}, {}
    for each in run_stretches(context, universe, order_book_store):
        table = order_book_store.between(each.pair, *each.span)
        shares[str(each.pair)] = round(missing_share(table), 4)
        days[str(each.pair)] = _worst_days(table)
    return dg.AssetCheckResult(
        passed=all(share <= MAX_MISSING for share in shares.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "share_missing": dg.MetadataValue.json(shares),
            "days_with_most_missing": dg.MetadataValue.json(days),
        },
    )


def _worst_days(table: pl.DataFrame) -> dict[str, float]:
    by_day = {
        f"{day:%Y-%m-%d}": round(missing_share(rows), 4)
        for (day,), rows in table.group_by(pl.col("open_time").dt.date(), maintain_order=True)
        if isinstance(day, date)
    }
    worst = sorted(by_day, key=lambda day: by_day[day], reverse=True)[:5]
    return {day: by_day[day] for day in worst if by_day[day]}


@dg.asset_check(
    asset=order_book,
    blocking=True,  # a book of after the close would be the future
    description="Recomputed from what was known at a close and not after it, a row stays what is stored.",
)
def order_books_see_no_future(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    tape: dg.ResourceParam[Tape],
    book_interval: dg.ResourceParam[timedelta],
    order_book_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    """Check a sample of rows spread over the run's newest month of each pair."""
    moved: dict[str, dict[str, list[str]]] = {}
    checked = 0
    for each in run_stretches(context, universe, order_book_store):
        stored = order_book_store.read(each.pair, each.last)
        rows = stored.gather_every(max(1, stored.height // CUTS_PER_PAIR))
        checked += rows.height
        found = _moved(tape, universe, each, rows, book_interval)
        if found:
            moved[str(each.pair)] = found
    return dg.AssetCheckResult(
        passed=not moved, metadata={"rows_checked": checked, "moved": dg.MetadataValue.json(moved)}
    )


def _moved(
    tape: Tape, universe: Universe, stretch: Stretch, rows: pl.DataFrame, interval: timedelta
) -> dict[str, list[str]]:
    """Return the columns of each row that differ once nothing is read that became known after its close."""
    found = {}
    for row in rows.iter_rows(named=True):
        span = row["open_time"] - MARGIN, row["close_time"] + MARGIN
        read = tape.read(TapeTable.BOOK, universe.origin, stretch.pair, *span)
        known = read.filter(pl.col("known_at") <= row["close_time"])
        rows_then = candle_features(known, universe.timeframe, interval, row["close_time"])
        again = rows_then.filter(pl.col("open_time") == row["open_time"])
        if again.is_empty():
            found[f"{row['close_time']:%Y-%m-%d %H:%M}"] = ["the whole row"]
            continue
        differing = [name for name, value in again.row(0, named=True).items() if value != row[name]]
        if row["sample_at"] is not None and row["sample_at"] > row["close_time"]:
            differing.append("sample_at lies after the close")
        if differing:
            found[f"{row['close_time']:%Y-%m-%d %H:%M}"] = differing
    return found
