"""Candle tables: completing them, finding broken invariants, and counting what is missing.

A table here has the columns of CANDLE_SCHEMA; times are UTC. Nothing in this module repairs a candle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

from trading.market import CANDLE_SCHEMA, TIME, Timeframe
from trading.ports import Quote

Arrival = Callable[[], datetime | None]  # when candles that are read now became known; None: they are history
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume")

# These sources have no candle for a window without a trade; only the first word of `cryptocompare-kraken` counts.
TRADED_CANDLES_ONLY = frozenset({"kraken", "sandbox", "cryptocompare"})

# Where nothing was streamed (trading/stream_coverage.py), a longer silence counts as an outage, not as a quiet market.
# Kraken's stop of January 2018 lasted 23 and 19 hours; its BTC/USD was never quiet for 12 hours after 2015. In thinner
# markets a long quiet counts as an outage too, which is the safer reading.
QUIET_LIMIT = timedelta(hours=12)


class GapKind(StrEnum):
    """Why candles are missing."""

    NO_TRADE = "no_trade"  # nothing traded: the last price still stood
    OUTAGE = "outage"  # venue or recording was down: what happened is not known
    FEED_GAP = "feed_gap"  # the stream did not listen, and nothing has repaired it since
    MAINTENANCE = "maintenance"  # the venue was not open, as it said itself


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of candles that the grid between first and last row has and the table lacks."""

    first_missing: datetime
    candles: int
    kind: GapKind


# Share of candles: the quietest of 28 recorded markets has 0.6 % without volume and 1.8 % unchanged.
MAX_DEAD = 0.05


@dataclass(frozen=True, slots=True)
class Quality:
    """Counts of one table; `longest_gap` in candles, `unchanged` are those that never leave the close before them."""

    rows: int
    missing: int
    gaps: int
    longest_gap: int
    zero_volume: int
    unchanged: int


def complete(frame: pl.DataFrame, timeframe: Timeframe, origin: str) -> pl.DataFrame:
    """Make CANDLE_SCHEMA of open_time (UTC), open, high, low, close and volume; each is known when it closes."""
    closes = pl.col("open_time").cast(TIME) + timeframe.duration
    completed = frame.with_columns(close_time=closes, known_at=closes, origin=pl.lit(origin))
    return completed.select(pl.col(name).cast(kind) for name, kind in CANDLE_SCHEMA.items())


def composed(candles: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    """Compose the candles of a longer timeframe that are whole: begun and ended within a sorted table.

    Both tables have CANDLE_SCHEMA. One is made of the candles that exist in its time, and known when the last of them
    is; a time without any has none.
    """
    if candles.is_empty():
        return candles
    first, last = candles["open_time"][0], candles["close_time"][-1]
    whole = candles.filter(pl.col("open_time") >= timeframe.ceil(first))
    longer = whole.group_by(open_time=pl.col("open_time").dt.truncate(timeframe.value), maintain_order=True).agg(
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
        pl.col("volume").sum(), pl.col("origin").first(), pl.col("known_at").max(),
    )  # fmt: skip
    closes = longer.with_columns(close_time=pl.col("open_time") + timeframe.duration)
    return closes.filter(pl.col("close_time") <= last).select(CANDLE_SCHEMA.names())


def with_arrival(
    candles: pl.DataFrame, stored: pl.DataFrame | None, arrived_at: datetime, timeframe: Timeframe
) -> pl.DataFrame:
    """Set `known_at` to when we knew each candle, and leave out those that have not closed by `arrived_at`.

    A source that knows when it became known, after the close, is right; otherwise:

    A candle that arrives before the next one has closed was read live: it became known when it arrived. One that
    arrives later is a back-fill: nobody acted on it at the time, and `known_at` is its close, so that a decision as of
    then is made as by somebody who had read it in time. One that was stored before keeps what was noted then, also
    where its venue has restated it.
    """
    closed = candles.filter(pl.col("close_time") <= arrived_at)
    live = pl.col("close_time") > arrived_at - timeframe.duration
    arrived = closed.with_columns(
        known_at=pl.when(pl.col("known_at") > pl.col("close_time"))
        .then("known_at")
        .when(live)
        .then(pl.lit(arrived_at, TIME))
        .otherwise("close_time")
    )
    if stored is None:
        return arrived
    noted = stored.select("open_time", noted="known_at")
    joined = arrived.join(noted, on="open_time", how="left", maintain_order="left")
    return joined.with_columns(known_at=pl.coalesce("noted", "known_at")).drop("noted")


def violations(candles: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    """Find every broken invariant as (open_time, rule, detail), by open_time; a row can break several.

    Only open_time, open, high, low, close and volume are read.
    """
    rules = {**_value_rules(), "open not on the grid": off_grid(timeframe), **_order_rules()}
    detail = pl.concat_str(
        [pl.format(f"{name} {{}}", pl.col(name).cast(pl.String).fill_null("null")) for name in NUMBERS],
        separator=", ",
    )
    columns = [pl.col(name).cast(pl.Float64) for name in NUMBERS]
    marked = candles.with_columns(columns).with_columns(detail=detail, **rules)
    found = [
        marked.filter(pl.col(rule)).select(
            pl.col("open_time").cast(TIME), pl.lit(rule).alias("rule"), "detail"
        )
        for rule in rules
    ]
    return pl.concat(found).sort("open_time", "rule", nulls_last=True)


def broken_value_rule() -> pl.Expr:
    """Name the first rule that a row's own numbers break; null for a possible candle."""
    return pl.coalesce([pl.when(broken).then(pl.lit(rule)) for rule, broken in _value_rules().items()])


def off_grid(timeframe: Timeframe) -> pl.Expr:
    """Mark candles that do not open on a multiple of the timeframe since midnight UTC."""
    step = timeframe.duration // timedelta(microseconds=1)
    return (pl.col("open_time").dt.epoch("us") % step != 0).fill_null(False)


def _value_rules() -> dict[str, pl.Expr]:
    number = {name: _finite(name) for name in NUMBERS}
    high, low = number["high"], number["low"]
    return {
        "no open time": pl.col("open_time").is_null(),
        "not a finite number": pl.any_horizontal(value.is_null() for value in number.values()),
        "price not positive": pl.any_horizontal(number[name] <= 0 for name in PRICES).fill_null(False),
        "negative volume": (number["volume"] < 0).fill_null(False),
        "high below low": (high < low).fill_null(False),
        "high below open or close": (high < pl.max_horizontal(number["open"], number["close"])).fill_null(
            False
        ),
        "low above open or close": (low > pl.min_horizontal(number["open"], number["close"])).fill_null(
            False
        ),
    }


def _order_rules() -> dict[str, pl.Expr]:
    opens = pl.col("open_time")
    return {
        "not ascending": (opens < opens.shift()).fill_null(False),
        "duplicate": opens.is_first_distinct().not_() & opens.is_not_null(),
    }


def _finite(name: str) -> pl.Expr:
    """Null in place of NaN and infinities: Polars orders NaN above every number, which would hide it."""
    return pl.when(pl.col(name).is_finite()).then(pl.col(name))


def gaps(candles: pl.DataFrame, timeframe: Timeframe, origin: str) -> list[Gap]:
    """Find the gaps of a sorted table on the grid, oldest first."""
    step = timeframe.duration
    opens = candles.select("open_time", apart=pl.col("open_time").diff()).filter(pl.col("apart") > step)
    return [
        Gap(open_time - apart + step, apart // step - 1, _kind(apart - step, origin))
        for open_time, apart in opens.iter_rows()
    ]


def _kind(silence: timedelta, origin: str) -> GapKind:
    quiet = origin.partition("-")[0] in TRADED_CANDLES_ONLY and silence <= QUIET_LIMIT
    return GapKind.NO_TRADE if quiet else GapKind.OUTAGE


def quality(candles: pl.DataFrame, timeframe: Timeframe, origin: str) -> Quality:
    """Count what is there and what is missing in a sorted table on the grid."""
    found = gaps(candles, timeframe, origin)
    return Quality(
        rows=candles.height,
        missing=sum(gap.candles for gap in found),
        gaps=len(found),
        longest_gap=max((gap.candles for gap in found), default=0),
        zero_volume=candles.filter(pl.col("volume") == 0).height,
        unchanged=candles.filter(
            pl.col("high") == pl.col("low"), pl.col("close") == pl.col("close").shift()
        ).height,
    )


def dead_market_warnings(rows: int, zero_volume: int, unchanged: int) -> tuple[str, ...]:
    """Say what a person should know of candles before computing or trading on them; empty for a living market."""
    return tuple(
        f"{count} of {rows} candles {words}: the market was dead or its recording was filled up; "
        "decisions refuse entries while nothing is traded"
        for count, words in ((zero_volume, "have no volume"), (unchanged, "stand at the price before"))
        if count > MAX_DEAD * rows
    )


def closed_by(candles: pl.DataFrame, until: datetime | None) -> pl.DataFrame:
    """Select the candles of a sorted table that are closed at `until`; all of them for None."""
    return candles if until is None else candles.filter(pl.col("close_time") <= until)


def opening_between(candles: pl.DataFrame, start: datetime, end: datetime) -> pl.DataFrame:
    """Select the candles with start <= open_time < end."""
    return candles.filter(pl.col("open_time") >= start, pl.col("open_time") < end)


def first_quote(candles: pl.DataFrame, time: datetime) -> Quote | None:
    """Return the first open price at or after `time` in a sorted table; None after its last open."""
    opens = candles["open_time"]
    row = opens.search_sorted(pl.Series([time], dtype=TIME))[0]
    return Quote(candles["open"][row], opens[row]) if row < candles.height else None
