"""What an account would have become: plans through candles, with every rule of the account on.

Importing this package compiles nothing: `run` and `sweep` load Numba when they are first called.
"""

from trading.backtest.exposure import BacktestResult, holding_prices, run_exposures, step

__all__ = ["BacktestResult", "holding_prices", "run_exposures", "step"]
