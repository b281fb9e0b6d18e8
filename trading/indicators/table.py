"""The features of closed candles: one definition for training, back-test, paper and live.

A row uses its own candle and those before it, nothing later. What each feature makes of gaps is its GapRule.
"""

import polars as pl

from trading.errors import NotStored
from trading.indicators import regimes
from trading.indicators.companions import NO_COMPANIONS, Companions, align, companion_known_at
from trading.indicators.formulas import all_values, newest_values
from trading.indicators.price_arrays import PriceArrays, price_arrays
from trading.indicators.registry import FEATURE_NAMES, FEATURES, REGIME_WEIGHTS, lookback, slowest
from trading.market import Timeframe


def feature_table(
    candles: pl.DataFrame, timeframe: Timeframe, companions: Companions = NO_COMPANIONS
) -> pl.DataFrame:
    """Return one row per candle with FEATURE_SCHEMA: times, every feature, and `regime` in words.

    A feature is null inside its warm-up and where a companion that it needs is unknown, nowhere else. `candles`
    has CANDLE_SCHEMA and is sorted; InvalidCandles names the first open time that is out of order or has an
    impossible number. `known_at` is the latest among the candles that the row is made of, companions' included.
    """
    prices = price_arrays(candles, timeframe)
    values = all_values(prices, companions)
    columns = _with_nulls(pl.DataFrame(dict(zip(FEATURE_NAMES, values, strict=True))), timeframe)
    times = candles.select("open_time", "close_time").with_columns(_known_at(candles, prices, companions))
    return times.hstack([*columns.get_columns(), regimes.label(values[REGIME_WEIGHTS])])


def live_row(
    candles: pl.DataFrame, timeframe: Timeframe, companions: Companions = NO_COMPANIONS
) -> dict[str, float | None]:
    """Return the newest candle's features, from the last `lookback` + 1 candles: the same as its row in the table.

    None where a companion is unknown. Raises NotStored, naming the feature that needs most, while there are too
    few candles.
    """
    longest = slowest(timeframe)
    needed = longest.warm_up_for(timeframe) + 1
    if candles.height < needed:
        raise NotStored(
            f"{longest.name} needs {needed} candles and there are {candles.height}: "
            "store more history before this one"
        )
    return newest_values(price_arrays(candles.tail(lookback(timeframe) + 1), timeframe), companions)


def _with_nulls(columns: pl.DataFrame, timeframe: Timeframe) -> pl.DataFrame:
    """Write null inside each warm-up, and for NaN, sought only where it may be: in what compares pairs."""
    warm_up = slowest(timeframe).warm_up_for(timeframe)
    compared = [feature.name for feature in FEATURES if feature.needs_companions]
    warm = columns[warm_up:].with_columns(pl.col(compared).fill_nan(None))
    row = pl.int_range(pl.len())
    cold = columns[:warm_up].with_columns(
        pl.when(row >= feature.warm_up_for(timeframe)).then(pl.col(feature.name)) for feature in FEATURES
    )
    return pl.concat([cold.fill_nan(None), warm], rechunk=False)


def _known_at(candles: pl.DataFrame, prices: PriceArrays, companions: Companions) -> pl.Series:
    known = [candles["known_at"]]
    if companions.reference is not None:
        known.append(companion_known_at(companions.reference, align(prices, companions.reference)))
    if (detour := companions.triangle) is not None:
        known += [companion_known_at(leg, align(prices, leg)) for leg in (detour.first, detour.second)]
    latest = pl.select(pl.max_horizontal(known)).to_series() if len(known) > 1 else known[0]
    if not latest.null_count() and latest.is_sorted():
        return latest.alias("known_at")
    return latest.rolling_max(lookback(prices.timeframe) + 1, min_samples=1).alias("known_at")
