"""Feature rows as a stream makes them: revisions, never overwritten. Times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from trading.market import Pair, Timeframe


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One revision of the features of a closed candle. (origin, pair, timeframe, close_time, known_at) names it."""

    origin: str
    pair: Pair
    timeframe: Timeframe
    close_time: datetime
    values: Mapping[str, float | None]  # every feature by its name; None where it is not known
    regime: str | None  # in words
    known_at: datetime  # when the last of the candles that it is made of became known
