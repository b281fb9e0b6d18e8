"""The memory that the compiled kernel and Python share: the account, its fills and its trades."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]


class Reason(IntEnum):
    """Why a fill or the end of a trade happened."""

    SIGNAL = 0
    STOP = 1
    TAKE_PROFIT = 2
    TRAILING = 3
    LIQUIDATION = 4
    END = 5  # still open: marked at the last close, not sold


class Refusal(IntEnum):
    """Which rule refused to open, the first of this order that did."""

    INSOLVENT = 0
    SHORTS = 1
    LEVERAGE = 2
    DRAWDOWN_PAUSE = 3
    DAILY_LOSS = 4
    COOL_DOWN = 5


def _fields(kinds: Mapping[str, str]) -> np.dtype[np.void]:
    return np.dtype([(name, kind) for kind, names in kinds.items() for name in names.split()], align=True)


FILL = _fields({"f8": "quantity price fee held", "i8": "time candle reason"})
"""`quantity` is signed, `held` what the account holds afterwards; `time` opens the candle that it happened in."""

TRADE = _fields(
    {
        "f8": "quantity entry_price exit_price entry_fee exit_fee margin_cost pnl",
        "i8": "entry_time exit_time direction reason",
    }
)

TERMS = _fields(
    {
        "f8": "taker_fee half_spread slippage drawdown_pause daily_loss trailing_after leverage "
        "opening_fee rollover_fee liquidation_level",
        "i8": "losing_streak cool_down shorts margin rollover_period candle_length row_length by_side",
    }
)
"""AccountRules, and how a plan is read, as plain numbers: switches are 0 or 1, times in microseconds."""

ACCOUNT = _fields(
    {
        # the account
        "f8": "cash quantity equity peak trough drawdown day_opening carried fees turnover margin_costs gross_profit "
        "gross_loss "
        # the position
        "entered entry_price left exit_price entry_fee exit_fee margin_cost lent stop take_profit trail "
        "trail_distance trail_from best",
        "i8": "fills trades winners candles_held days paused day_closed streak resumes "
        "entry_time borrowed_at rollovers "
        # one counter for each Refusal
        + " ".join(f"refused_{refusal.name.lower()}" for refusal in Refusal),
    }
)
"""Everything that changes while a back-test walks. `paused` is the candle of the drawdown pause, -1 before it."""


def single(kind: np.dtype[np.void], **values: Any) -> Records:
    """One record, zero but for `values`."""
    record = np.zeros(1, kind)
    for name, value in values.items():
        record[name] = value
    return record
