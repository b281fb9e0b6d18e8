"""Candles of other pairs that some features compare with: which pairs, and what was known at each candle."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from trading.errors import InvalidCandles
from trading.fills import Costs
from trading.indicators.arithmetic import Array, Flags, Times
from trading.indicators.price_arrays import PriceArrays, candle_length, microseconds
from trading.market import Pair, Universe
from trading.triangle import LegCost, Triangle, triangle_of

REFERENCE_ASSET = "BTC"  # what the market as a whole is measured by
STALE_AFTER = 3  # candle lengths


@dataclass(frozen=True, slots=True, eq=False)
class TriangleCandles:
    """The two other pairs of a triangle with their candles, and what a trade costs on each of the three."""

    triangle: Triangle
    first: pl.DataFrame
    second: pl.DataFrame
    costs: Mapping[Pair, LegCost]


@dataclass(frozen=True, slots=True, eq=False)
class Companions:
    """Tables with CANDLE_SCHEMA, of the pair's timeframe.

    `reference` None: there is no other pair to compare with, the pair is its own reference. `triangle` None: no
    two other pairs imply its price. An empty table is another thing: the pair is there and nothing is known of it.
    """

    reference: pl.DataFrame | None
    triangle: TriangleCandles | None


NO_COMPANIONS = Companions(None, None)


def reference_of(pair: Pair, universe: Universe) -> Pair | None:
    """Return the pair that prices BTC, in the counting asset where possible; None for itself and where none does."""
    priced = [each for each in universe.pairs if each.base == REFERENCE_ASSET]
    chosen = universe.direct_pair(REFERENCE_ASSET) or next(iter(priced), None)
    return None if chosen == pair else chosen


def companions_of(
    pair: Pair, universe: Universe, costs: Mapping[Pair, Costs], read: Callable[[Pair], pl.DataFrame]
) -> Companions:
    """Return what the pair is compared with; `read` gives the candles of another pair, empty while there are none."""
    reference, triangle = reference_of(pair, universe), triangle_of(pair, universe.pairs)
    tables = {each: read(each) for each in companion_pairs(pair, universe)}
    return Companions(
        reference=tables[reference] if reference else None,
        triangle=_triangle_candles(triangle, tables, costs) if triangle else None,
    )


def _triangle_candles(
    triangle: Triangle, tables: Mapping[Pair, pl.DataFrame], costs: Mapping[Pair, Costs]
) -> TriangleCandles:
    return TriangleCandles(
        triangle,
        tables[triangle.first.pair],
        tables[triangle.second.pair],
        {each: leg_cost(costs[each]) for each in triangle.pairs},
    )


def companion_pairs(pair: Pair, universe: Universe) -> tuple[Pair, ...]:
    """Return the other pairs whose candles are read, each once."""
    reference, triangle = reference_of(pair, universe), triangle_of(pair, universe.pairs)
    legs = triangle.pairs[1:] if triangle else ()
    return tuple(dict.fromkeys((*((reference,) if reference else ()), *legs)))


def leg_cost(costs: Costs) -> LegCost:
    """Return what a market order gives away; slippage adds to the half spread."""
    return LegCost(costs.taker_fee, costs.half_spread + costs.slippage)


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A companion's newest closed candle at each candle: (n,) close, NaN where unknown, and row in its table."""

    close: Array
    row: Times  # -1 where unknown


def align(prices: PriceArrays, companion: pl.DataFrame) -> Aligned:
    """Return the companion as of each candle's close.

    InvalidCandles names a companion's candle that is out of order or impossible.
    """
    closes = microseconds(companion, "close_time")
    companion_close = np.ascontiguousarray(companion["close"].to_numpy(), dtype=np.float64)
    _refuse(companion, np.diff(closes, prepend=closes[:1] - 1) <= 0, "does not come after the one before")
    _refuse(companion, ~((companion_close > 0) & (companion_close < np.inf)), "has no close above zero")
    row = np.searchsorted(closes, prices.close_time, side="right") - 1
    age = prices.close_time - closes[np.maximum(row, 0)] if closes.size else np.zeros_like(prices.close_time)
    known = (row >= 0) & (age <= STALE_AFTER * candle_length(prices.timeframe))
    close = np.full(prices.size, np.nan)
    close[known] = companion_close[row[known]]
    return Aligned(close, np.where(known, row, -1))


def companion_known_at(companion: pl.DataFrame, seen: Aligned) -> pl.Series:
    """Return (n,) when the candle that each row sees could first be acted upon; null where it sees none."""
    rows = pl.Series(seen.row, dtype=pl.Int64)
    return companion["known_at"].gather(pl.select(pl.when(rows >= 0).then(rows)).to_series())


def _refuse(companion: pl.DataFrame, wrong: Flags, fault: str) -> None:
    if wrong.any():
        raise InvalidCandles(
            f"the companion's candle of {companion['open_time'][int(wrong.argmax())]} {fault}"
        )
