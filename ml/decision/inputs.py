"""The inputs of one decision, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.market import Instrument, Pair, Timeframe
from trading.portfolio import Position
from trading.risk import AccountState, MarketState


@dataclass(frozen=True, slots=True)
class OldestPrice:
    """The pair with the oldest of the prices that the account and the order are valued with."""

    pair: Pair
    close_time: datetime


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """Everything that one decision may see. All of it was known at `decided_at`."""

    account: str
    dataset: str
    pair: Pair
    timeframe: Timeframe
    decided_at: datetime  # the clock: wall time live, the newest candle's close on history
    candles: pl.DataFrame  # the window that the features come from, CANDLE_SCHEMA
    companions: Mapping[
        Pair, pl.DataFrame
    ]  # other pairs that features compare with; an empty table: nothing known
    reference: Pair | None  # the companion that the size depends on, None for BTC itself
    features: Mapping[str, float | None]  # of the newest candle; None: not known
    policy: Policy | None  # the champion
    policy_age_days: float | None
    sentiment: PairSentiment | None
    position: Position | None
    candles_since_opening: pl.DataFrame  # of the position, CANDLE_SCHEMA; empty without one
    state: AccountState
    oldest_unsettled_age: timedelta  # since the oldest order without an outcome was decided; zero without one
    oldest_price: OldestPrice | None  # None: nothing in the account needs a price
    instrument: Instrument

    @property
    def candle_close_time(self) -> datetime:
        time: datetime = self.candles["close_time"][-1]
        return time

    @property
    def close(self) -> float:
        return float(self.candles["close"][-1])

    @property
    def last_trade_time(self) -> datetime:
        """Return the close time of the newest candle with a volume; where none has any, when the window began."""
        traded: pl.Series = self.candles.filter(pl.col("volume") > 0)["close_time"]
        time: datetime = traded[-1] if traded.len() else self.candles["open_time"][0]
        return time

    @property
    def oldest_market_time(self) -> datetime:
        """Return the newest close time of the pair, or of the reference where that lags and its correlation counts.

        Another companion that lags makes features unknown and no more: a quiet cross rate must not halt trading.
        """
        times: list[datetime] = [self.candles["close_time"][-1]]
        if self.reference is not None and self.features.get("btc_correlation") is not None:
            times.append(self.companions[self.reference]["close_time"][-1])
        return min(times)

    @property
    def newest_input_time(self) -> datetime:
        """Return when the last of the inputs became known; after `decided_at` where clocks disagree."""
        tables = [self.candles, *(table for table in self.companions.values() if not table.is_empty())]
        times: list[datetime] = [table["known_at"][-1] for table in tables]
        return max([*times, self.sentiment.newest_known_at] if self.sentiment else times)

    @property
    def market(self) -> MarketState:
        """Return what the size depends on beside prices."""
        return MarketState(btc_correlation=self.features.get("btc_correlation"))
