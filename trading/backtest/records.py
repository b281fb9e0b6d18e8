"""The memory that Python and the compiled kernel share: everything that a back-test reads and writes."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
Records = npt.NDArray[np.void]
Record = Any  # one element of Records: compiled code reads and writes its fields as attributes


class Reason(IntEnum):
    """Why a fill or the end of a trade happened."""

    SIGNAL = 0
    STOP = 1
    TAKE_PROFIT = 2
    TRAILING = 3
    LIQUIDATION = 4
    END = 5  # still open: marked at the last close, not sold


LEAVE_LONG, LEAVE_SHORT = 1, 2  # which open side a vote leaves; 3: either


class EntryRefusal(IntEnum):
    """The rule that refused to open: the first one of this order that did.

    EARLIER_EXIT: protection has ended the position of this very target, which stays closed until another one comes.
    """

    INSOLVENT = 0
    SHORTS = 1
    LEVERAGE = 2
    DRAWDOWN_PAUSE = 3
    DAILY_LOSS = 4
    COOL_DOWN = 5
    EARLIER_EXIT = 6


def _fields(kinds: Mapping[str, str]) -> np.dtype[np.void]:
    return np.dtype([(name, kind) for kind, names in kinds.items() for name in names.split()], align=True)


FILL = _fields({"f8": "quantity price fee held", "i8": "time candle reason"})
"""`quantity` is signed, `held` the position afterwards; `time` opens the candle that it happened in."""

TRADE = _fields(
    {
        "f8": "quantity entry_price exit_price entry_fee exit_fee margin_cost pnl",
        "i8": "entry_time exit_time direction reason",
    }
)

TERMS = _fields(
    {
        "f8": "half_spread slippage drawdown_pause daily_loss trailing_after leverage "
        "opening_fee rollover_fee liquidation_level",
        "i8": "losing_streak cool_down cool_down_candles shorts margin rollover_period candle_length row_length "
        "votes",
    }
)
"""AccountRules, and how a plan is read, as plain numbers: switches are 0 or 1, times in microseconds."""

ACCOUNT = _fields(
    {
        # the account
        "f8": "cash quantity equity peak trough drawdown day_opening last_target fees turnover margin_costs "
        "gross_profit gross_loss "
        # the position
        "entered entry_price exited exit_price entry_fee exit_fee margin_cost lent stop take_profit "
        "trailing_stop trailing_distance trailing_start best_price floor ceiling",
        # the account; `paused` is the candle of the drawdown pause, -1 before it
        "i8": "fills trades winners candles_held days paused day_closed streak resumes "
        # the position
        "entry_time borrowed_at rollovers "
        # the walk: the run of equal targets that comes next, and the candles of the next events
        "decision next_order next_day next_rollover "
        # one counter for each EntryRefusal
        + " ".join(f"refused_{refusal.name.lower()}" for refusal in EntryRefusal),
    }
)
"""Everything that changes while a back-test walks."""


class Arrays(NamedTuple):
    """Every array of one back-test: n candles, r rows that protection is checked along, m runs of equal targets."""

    open_time: Integers  # (n,)
    open: Numbers
    close: Numbers
    row_time: Integers  # (r,)
    row_open: Numbers
    row_high: Numbers
    row_low: Numbers
    first_row: Integers  # (n + 1,) of each candle; empty: the candles are the rows
    decided: Integers  # (m,) first and last candle of each run, and its target
    until: Integers
    target: Numbers
    leaves: Integers  # (m,) which side each of them leaves; empty for a plan of exposures
    stop: Numbers  # (n,) or (1,) for all, as the two below
    take_profit: Numbers
    trailing: Numbers
    fee_from: Integers  # (f,) when each taker fee begins; the first holds before that too
    taker_fee: Numbers  # (f,)
    terms: Any  # (1,) TERMS
    account: Any  # (1,) ACCOUNT: from here on they are written
    fills: Any  # FILL; as many of them as there is room for
    trades: Any  # TRADE; likewise
    equity: Numbers  # (n,) or empty: not wanted
    daily_equity: Numbers  # (d,) at least one for each UTC day


def new_record(kind: np.dtype[np.void], **values: Any) -> Records:
    """Return one record, zero but for `values`."""
    record = np.zeros(1, kind)
    for name, value in values.items():
        record[name] = value
    return record
