"""How orders are carried out: numbers from the settings, and the candles that move stops."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import polars as pl

from trading.market import Pair


class Candles(Protocol):
    """Closed candles with since < close_time <= until, ascending: open_time, close_time, open, high, low, close.

    Empty, never an error, when none is stored.
    """

    def __call__(self, pair: Pair, since: datetime, until: datetime) -> pl.DataFrame: ...


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """Times of the machine's clock, unless said otherwise."""

    entry_age: timedelta  # an entry that was decided longer ago, by the account's clock, is not sent any more
    # A position whose stop has been missing for longer, by the account's clock, is closed.
    protected_within: timedelta = timedelta(seconds=60)
    patience: timedelta = timedelta(seconds=5)  # without news for as long, orders are left to the next call
    lease_seconds: float = 15.0  # after a kill nobody sends for as long; renewed while working
    wait_for_holder: timedelta = timedelta(seconds=20)  # how long another sender's work is waited for
    poll_seconds: float = 0.1  # how often new orders of other processes are looked for
    # False for a venue without a clock of its own (paper): it lives by the candles up to the account's clock, so that
    # nothing is waited for, and its stops are moved candle by candle.
    real_time: bool = True
