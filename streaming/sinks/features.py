"""The sink that computes the features of every candle as it closes, stores them and puts them on the bus."""

from collections.abc import Callable, Sequence
from datetime import datetime

from streaming.messages import OHLCV_RAW, FeaturesMessage, encode
from streaming.sinks.closed_candles import closed_candle
from trading.feature_rows import FeatureRow
from trading.live_features import LiveFeatures
from trading.market import Pair, Timeframe
from trading.ports import Message, Record
from trading.stores.postgres.market_features import PostgresMarketFeatures


class FeatureSink:
    """Rows are stored and published in one transaction; a row that is known already is neither.

    The order of the bus does not matter, and nothing is lost with the process: what had not been stored is computed
    again after a restart. `now` is this machine's clock, for how long a row waits for other pairs.
    """

    group = "features"
    topics: tuple[str, ...] = (OHLCV_RAW,)

    def __init__(
        self, live: LiveFeatures, store: PostgresMarketFeatures, now: Callable[[], datetime]
    ) -> None:
        self._live = live
        self._store = store
        self._now = now
        # Each row once, however often tried.
        self._unsaved: dict[tuple[Pair, Timeframe, datetime], FeatureRow] = {}

    def write(self, records: Sequence[Record]) -> None:
        candles = [closed_candle(record) for record in records]
        self._save(self._live.add(candles, self._now()))

    def idle(self) -> None:
        """Compute the rows that have waited long enough, and after a start those that had not been stored."""
        self._live.start(self._now())
        self._save(self._live.due(self._now()))

    def _save(self, rows: Sequence[FeatureRow]) -> None:
        """Store the rows and those of before for which the store was away."""
        self._unsaved |= {(row.pair, row.timeframe, row.close_time): row for row in rows}
        self._store.store(list(self._unsaved.values()), feature_message)
        self._unsaved = {}


def feature_message(row: FeatureRow) -> Message:
    """Return the row as it goes onto the bus."""
    return encode(
        FeaturesMessage(
            origin=row.origin,
            pair=str(row.pair),
            timeframe=row.timeframe.value,
            close_time=row.close_time,
            values=dict(row.values),
            regime=row.regime,
            known_at=row.known_at,
        )
    )
