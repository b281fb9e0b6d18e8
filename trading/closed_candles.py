"""Closed candles as a stream knows them: revisions, never overwritten. Times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trading.market import Pair, Timeframe


class Basis(StrEnum):
    """What a candle's numbers were computed from."""

    TRADES = "trades"  # every trade of its time, proven by contiguous ids where the venue has ids
    VENUE = "venue"  # the venue's own candle, where it differs from its trades


@dataclass(frozen=True, slots=True)
class ClosedCandle:
    """One revision of a closed candle. (origin, pair, timeframe, open_time, known_at) names it.

    A candle without a trade has trades = 0, volume 0 and four times the last price before it: it says that nothing
    traded, and is no row of `ohlcv`, as in every venue's own history.
    """

    origin: str
    pair: Pair
    timeframe: Timeframe
    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float  # base currency
    trades: int | None  # None where the venue does not say
    first_trade_id: int | None  # None without a trade, and where the venue has no ids
    last_trade_id: int | None
    basis: Basis
    known_at: datetime  # when this revision became known, never before close_time

    @property
    def close_time(self) -> datetime:
        return self.open_time + self.timeframe.duration


@dataclass(frozen=True, slots=True)
class Restatement:
    """A candle that was known otherwise before: both revisions; `after.known_at` is when the new one became known."""

    before: ClosedCandle
    after: ClosedCandle
