"""TA-Lib on arrays, imported when one of its functions is first used.

Its functions come without the wrapper around each that looks for Polars and pandas series: on a window of a
thousand candles that takes as long as an average. And importing TA-Lib imports pandas where that is installed,
a quarter of a second that a process that only reads the registry should not pay.
"""

from collections.abc import Callable
from inspect import unwrap
from typing import Any


def __getattr__(name: str) -> Callable[..., Any]:
    import talib

    function: Callable[..., Any] = unwrap(getattr(talib, name))
    globals()[name] = function
    return function
