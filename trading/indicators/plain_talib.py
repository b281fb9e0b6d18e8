"""TA-Lib on arrays: its functions without the wrapper around each that looks for Polars and pandas series.

On a window of a thousand candles the wrapper takes as long as an average.
"""

from inspect import unwrap

import talib

AROONOSC = unwrap(talib.AROONOSC)
ATR = unwrap(talib.ATR)
EMA = unwrap(talib.EMA)
MACD = unwrap(talib.MACD)
MAX = unwrap(talib.MAX)
MIN = unwrap(talib.MIN)
RMA = unwrap(talib.RMA)
ROCP = unwrap(talib.ROCP)
RSI = unwrap(talib.RSI)
TRANGE = unwrap(talib.TRANGE)
TRIX = unwrap(talib.TRIX)
WILLR = unwrap(talib.WILLR)
