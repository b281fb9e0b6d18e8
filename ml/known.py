"""Everything that one decision may see, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ml.policy import Policy
from ml.sentiment import PairSentiment
from trading.market import Instrument, Pair, Timeframe
from trading.portfolio import Position
from trading.risk import AccountState


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that one decision may see. All of it was known at `decided_at`."""

    account: str
    dataset: str
    pair: Pair
    timeframe: Timeframe
    decided_at: datetime  # the clock: wall time live, the newest candle's close on history
    candles: pl.DataFrame  # the window that the features come from, CANDLE_SCHEMA
    features: Mapping[str, float]  # of the newest candle
    policy: Policy | None  # the champion
    policy_age_days: float | None
    sentiment: PairSentiment | None
    position: Position | None
    state: AccountState
    instrument: Instrument

    @property
    def candle_close_time(self) -> datetime:
        time: datetime = self.candles["close_time"][-1]
        return time

    @property
    def close(self) -> float:
        return float(self.candles["close"][-1])
