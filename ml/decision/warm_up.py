"""Loads what the first decision of a process would otherwise wait for."""

import importlib
from datetime import UTC, datetime

import numpy as np
import polars as pl

from ml.decision.market_reader import features_of
from ml.decision.recorded_tables import record_table
from ml.decision.recording import CANDLES_OF_A_PART, code_version
from trading.candles import complete
from trading.fills import Costs
from trading.indicators import lookback
from trading.indicators.companions import companion_pairs
from trading.market import Universe

_START = datetime(2024, 1, 1, tzinfo=UTC)
_LAZY = ("trading.bus_messages", "psycopg", "msgspec")  # imported where they are first needed


def warm_up(universe: Universe) -> None:
    """Compute the features of made-up candles once, so that TA-Lib and the compiled functions are loaded.

    It takes about two seconds and reads no store and no clock; a process that decides calls it before the first candle.
    """
    for name in _LAZY:
        importlib.import_module(name)
    code_version()
    candles = _candles(universe)
    costs = dict.fromkeys(universe.pairs, Costs(taker_fee=0.001, half_spread=0.0, slippage=0.0))
    for pair in universe.pairs:
        features_of(pair, universe, costs, candles, dict.fromkeys(companion_pairs(pair, universe), candles))
    record_table(candles, "open_time", CANDLES_OF_A_PART * universe.timeframe.duration)


def _candles(universe: Universe) -> pl.DataFrame:
    """Make as many candles as the slowest feature needs, on a price that swings."""
    rows, length = lookback(universe.timeframe) + 1, universe.timeframe.duration
    close = 100.0 + np.sin(np.arange(rows) / 7.0)
    opened = np.append(100.0, close[:-1])
    table = pl.DataFrame(
        {
            "open_time": pl.datetime_range(
                _START, _START + (rows - 1) * length, length, time_unit="us", eager=True
            ),
            "open": opened,
            "high": np.maximum(opened, close) + 0.1,
            "low": np.minimum(opened, close) - 0.1,
            "close": close,
            "volume": np.full(rows, 1.0),
        }
    )
    return complete(table, universe.timeframe, "made up")
