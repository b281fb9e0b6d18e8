"""Checks of what is missing in `ohlcv`: it is all explained, and not too much of it is for want of listening."""

from collections.abc import Mapping
from datetime import date, datetime

import dagster as dg
import polars as pl

from assets.candle_gaps import known_end
from assets.check_scope import run_stretches
from assets.market import OHLCV
from assets.tape import MARKET_TAPE
from ml.agents.rules import DecisionRules
from ml.decision.clock import HISTORY, Clock
from trading.candles import gaps
from trading.market import Pair, Universe, month_start, next_month
from trading.ports import TableStore
from trading.stream_coverage import StreamCoverage, share


@dg.asset_check(
    asset=OHLCV, description="Every candle that the grid expects is there or lies in a classified gap."
)
def gaps_are_classified(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    candle_store: dg.ResourceParam[TableStore],
    stream_coverage: dg.ResourceParam[StreamCoverage],
) -> dg.AssetCheckResult:
    """Count the grid independently, so that a gap finder that overlooks a gap is caught."""
    unexplained, kinds = {}, {}
    for each in run_stretches(context, universe, candle_store):
        pair, candles = each.pair, candle_store.between(each.pair, *each.span)
        found = stream_coverage.explained(pair, gaps(candles, universe.timeframe, universe.origin))
        unexplained[str(pair)] = (
            _expected_candles(candles) - candles.height - sum(gap.candles for gap in found)
        )
        kinds[str(pair)] = dict(
            pl.Series([gap.kind.value for gap in found], dtype=pl.String).value_counts().rows()
        )
    return dg.AssetCheckResult(
        passed=not any(unexplained.values()),
        metadata={
            "unexplained": dg.MetadataValue.json(unexplained),
            "gaps_by_kind": dg.MetadataValue.json(kinds),
        },
    )


def _expected_candles(candles: pl.DataFrame) -> int:
    if candles.is_empty():
        return 0
    first, last = candles.row(0, named=True), candles.row(-1, named=True)
    return int((last["close_time"] - first["open_time"]) / (first["close_time"] - first["open_time"]))


@dg.asset_check(
    asset=OHLCV,
    blocking=True,  # figures of a month that was only half seen are wrong, and nothing behind them would show it
    description="Of each pair's month, the share in which the stream may have missed trades and nothing repaired it "
    "is at most [stream] max_unrepaired; of a dataset that is not streamed it says so.",
)
def feed_gaps_are_repaired(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    candle_store: dg.ResourceParam[TableStore],
    stream_coverage: dg.ResourceParam[StreamCoverage],
) -> dg.AssetCheckResult:
    stretches = run_stretches(context, universe, candle_store)
    streamed = [each.pair for each in stretches if stream_coverage.is_streamed(each.pair)]
    shares = {
        f"{each.pair} {month:%Y-%m}": found
        for each in stretches
        if each.pair in streamed
        for month in candle_store.months(each.pair)
        if each.first <= month <= each.last
        and (found := _unrepaired_share(stream_coverage, candle_store, each.pair, month))
    }
    limit = stream_coverage.max_unrepaired
    wrong = {name: found for name, found in shares.items() if found > limit}
    return dg.AssetCheckResult(
        passed=not wrong,
        description=_repair_message(wrong, bool(streamed), limit),
        metadata={
            "streamed_pairs": ", ".join(map(str, streamed)) or "none",
            "unrepaired_share": dg.MetadataValue.json(shares),
            "limit": limit,
        },
    )


def _unrepaired_share(coverage: StreamCoverage, store: TableStore, pair: Pair, month: date) -> float:
    start, end = month_start(month), month_start(next_month(month))
    return share(coverage.unrepaired(pair, start, known_end(store.read(pair, month), end)), start, end)


def _repair_message(wrong: Mapping[str, float], is_streamed: bool, limit: float) -> str:
    if not is_streamed:
        return "nothing was streamed: no feed could have had a gap"
    if not wrong:
        return "no month has more unrepaired feed gaps than is allowed"
    shares = ", ".join(f"{name}: {found:.2%}" for name, found in sorted(wrong.items()))
    return (
        f"trades may be missing in more than {limit:.2%} of {shares}. The stream repairs gaps by itself while it runs "
        "and the venue answers: see `marketloom status --watch` and docs/stream.md, then materialise `ohlcv` again"
    )


@dg.asset_check(
    asset=MARKET_TAPE,
    description="The newest bar that the stream has closed of each pair is no older than [risk] candle_age, counted in "
    "candles. Dagster's own freshness knows no pairs; of a dataset that is not streamed nothing is expected.",
)
def newest_bars_are_streamed(
    universe: dg.ResourceParam[Universe],
    stream_coverage: dg.ResourceParam[StreamCoverage],
    clock: dg.ResourceParam[Clock],
    rules: dg.ResourceParam[DecisionRules],
) -> dg.AssetCheckResult:
    newest = {pair: stream_coverage.newest_close(pair) for pair in universe.pairs}
    if not any(newest.values()):
        return dg.AssetCheckResult(passed=True, description="nothing was streamed: nothing is expected")
    reading = clock()
    if reading.source == HISTORY:
        return dg.AssetCheckResult(passed=True, description="the dataset has ended: nothing is expected")
    late = {
        str(pair): age for pair, close in newest.items() if (age := _late(close, reading.at, universe, rules))
    }
    return dg.AssetCheckResult(
        passed=not late,
        severity=dg.AssetCheckSeverity.WARN,  # a quiet venue cannot be helped; risk refuses old candles
        description="; ".join(f"{pair}: {age}" for pair, age in late.items())
        or "every pair has its newest bar",
        metadata={"late": dg.MetadataValue.json(late), "limit_in_candles": rules.limits.candle_age},
    )


def _late(close: datetime | None, now: datetime, universe: Universe, rules: DecisionRules) -> str:
    """Say how old the newest bar is where that is too old; empty where it is not."""
    if close is None:
        return "no bar was streamed"
    age = float((now - close) / universe.timeframe.duration)
    limit = rules.limits.candle_age
    return f"{age:.1f} candles old at {now:%Y-%m-%d %H:%M} UTC, allowed are {limit}" if age > limit else ""
