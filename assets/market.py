"""Market assets: instruments and closed candles."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from typing import Any

import dagster as dg
import polars as pl

from assets.candle_gaps import feed_metadata, gap_metadata
from assets.check_scope import run_stretches
from assets.metadata_plots import price_plot
from assets.metadata_tables import column_schema
from assets.partitions import MONTHS_PER_RUN, PAIR_MONTHS, pair_months
from assets.sources import CANDLES
from assets.tape import MARKET_TAPE
from assets.versions import PartitionReport, content_version, digest, partition_events
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.candles import Arrival, gaps, quality, violations, with_arrival
from trading.errors import InvalidCandles, NotStored
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Universe, month_start, next_month
from trading.ports import CandleSource, EventLog, TableStore
from trading.stores.instruments import InstrumentFile
from trading.stream_coverage import StreamCoverage


@dg.asset(group_name="market", kinds={"json"}, owners=["team:market"], code_version="1")
def instruments(
    known_instruments: dg.ResourceParam[Mapping[Pair, Instrument]],
    instrument_file: dg.ResourceParam[InstrumentFile],
) -> dg.MaterializeResult[None]:
    """Store how the venue lets each pair be traded: increments, minimums, fees and status."""
    instrument_file.write(list(known_instruments.values()))
    rows = [
        dg.TableRecord({"pair": str(pair), "price_increment": str(each.price_increment), "status": each.status.value,
                        "minimum_quantity": str(each.minimum_quantity), "taker_fee": str(each.taker_fee)})
        for pair, each in known_instruments.items()
    ]  # fmt: skip
    return dg.MaterializeResult(
        metadata={"dagster/row_count": len(rows), "instruments": dg.MetadataValue.table(rows)},
        data_version=digest(*known_instruments.values()),
    )


OHLCV = dg.AssetKey("ohlcv")
CANDLE_COLUMNS = {
    "open_time": "When the candle begins, on the grid of the timeframe.",
    "close_time": "When the next candle begins: this one holds what happened before it.",
    "open": "Price of the first trade, quote per base.",
    "high": "Highest price, quote per base.",
    "low": "Lowest price, quote per base.",
    "close": "Price of the last trade, quote per base.",
    "volume": "Traded quantity of the base asset.",
    "origin": "Who published the candle: a venue's name, or `simulated`.",
    "known_at": "When we knew this row: its arrival where it was read live, its close where it is history.",
}


def ohlcv_from(pool: str | None) -> dg.AssetsDefinition:
    """Build the asset `ohlcv`; its runs share `pool`, so that one run at a time spends a venue's request budget."""

    @dg.asset(
        key=OHLCV,
        partitions_def=PAIR_MONTHS,
        group_name="market",
        kinds={"polars", "parquet"},
        owners=["team:market"],
        code_version="1",
        deps=[CANDLES, MARKET_TAPE],
        backfill_policy=dg.BackfillPolicy.multi_run(MONTHS_PER_RUN),
        metadata=column_schema(CANDLE_SCHEMA, CANDLE_COLUMNS),
        pool=pool,
    )
    def ohlcv(
        context: dg.AssetExecutionContext,
        universe: dg.ResourceParam[Universe],
        candle_source: dg.ResourceParam[CandleSource],
        candle_store: dg.ResourceParam[TableStore],
        bus: dg.ResourceParam[EventLog],
        arrival: dg.ResourceParam[Arrival],
        stream_coverage: dg.ResourceParam[StreamCoverage],
    ) -> Iterator[Any]:
        """Store closed candles of the base timeframe, validated and never repaired; gaps are classified, not filled."""
        parts = pair_months(context.partition_keys)
        done, reports = 0, {}
        for pair, months in groupby(parts, key=lambda part: part[1]):
            for done, (key, _, month) in enumerate(months, done + 1):  # noqa: B020 goes on counting
                candles = read_closed_candles(candle_source, pair, month, universe)
                if arrived_at := arrival():
                    before = stored_month(candle_store, pair, month)
                    candles = with_arrival(candles, before, arrived_at, universe.timeframe)
                candle_store.write(pair, month, candles)
                reports[key] = PartitionReport(
                    content_version(candles),
                    _candle_metadata(candles, pair, month, universe)
                    | gap_metadata(candles, pair, universe, stream_coverage)
                    | feed_metadata(stream_coverage, pair, month, candles),
                )
                context.log.info(
                    f"{pair} {month:%Y-%m}: {candles.height} candles; month {done} of {len(parts)}"
                )
            publish_newest_candle(bus, universe, pair, candle_store)
        yield from partition_events(context, reports)

    return ohlcv


def read_closed_candles(source: CandleSource, pair: Pair, month: date, universe: Universe) -> pl.DataFrame:
    """Read the month's candles from the source.

    Raises NotStored outside the source's span or without a candle, InvalidCandles naming the first broken candle.
    """
    first, last = source.span(pair)
    if month_start(next_month(month)) <= first or month_start(month) >= last:
        raise NotStored(
            f"{source.origin} has {pair} from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} (UTC): "
            f"no candle lies in {month:%Y-%m}; choose months inside, or import more with `marketloom import`"
        )
    candles = source.candles(pair, month_start(month), month_start(next_month(month)))
    if candles.is_empty():
        raise NotStored(
            f"{source.origin} gave no candle of {pair} in {month:%Y-%m}, though it has them from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} (UTC): choose other months, and see whether "
            "[market] until ends before them"
        )
    if (broken := violations(candles, universe.timeframe)).height:
        worst = broken.row(0, named=True)
        raise InvalidCandles(
            f"{source.origin} {pair}: {broken.height} broken candles, the first opens at "
            f"{worst['open_time']}: {worst['rule']} ({worst['detail']}); nothing was stored for {month:%Y-%m}"
        )
    return candles


def stored_month(store: TableStore, pair: Pair, month: date) -> pl.DataFrame | None:
    """Read what is stored of the month; None when it was never written."""
    try:
        return store.read(pair, month)
    except NotStored:
        return None


def publish_newest_candle(bus: EventLog, universe: Universe, pair: Pair, store: TableStore) -> None:
    """Put the newest stored candle on the bus unless that candle, or a newer one, is there already."""
    months = store.months(pair)
    newest = store.read(pair, months[-1])["close_time"].max() if months else None
    if not isinstance(newest, datetime):
        return
    payload = candle_closed(universe.dataset, pair, newest)
    last = bus.newest(CANDLE_CLOSED, payload.key)
    if last is None or last.payload["close_time"] < payload.values["close_time"]:
        bus.publish(CANDLE_CLOSED, payload.key, payload.values)


def _candle_metadata(
    candles: pl.DataFrame, pair: Pair, month: date, universe: Universe
) -> dict[str, dg.MetadataValue | int | float | str]:
    found = gaps(candles, universe.timeframe, universe.origin)
    counted = quality(candles, universe.timeframe, universe.origin)
    shaded = [
        (gap.first_missing, gap.first_missing + gap.candles * universe.timeframe.duration) for gap in found
    ]
    return {
        "dagster/row_count": candles.height,
        "origin": universe.origin,
        "missing_candles": counted.missing,
        "zero_volume": counted.zero_volume,
        "unchanged": counted.unchanged,
        "price": price_plot(f"{pair} {month:%Y-%m} ({universe.origin})", candles, shaded),
    }


@dg.asset_check(
    asset=OHLCV,
    blocking=True,  # everything behind it is computed from these numbers
    description="High is highest, low is lowest, prices positive, opens on the grid, no duplicate.",
)
def candles_keep_their_invariants(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    candle_store: dg.ResourceParam[TableStore],
) -> dg.AssetCheckResult:
    broken = {
        str(each.pair): violations(candle_store.between(each.pair, *each.span), universe.timeframe).height
        for each in run_stretches(context, universe, candle_store)
    }
    return dg.AssetCheckResult(
        passed=not any(broken.values()), metadata={"broken": dg.MetadataValue.json(broken)}
    )
