"""What a hot tier without memory is filled with: the bus and the stored feature rows."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from streaming.messages import BOOK, TICKER, TRADES
from trading.feature_rows import FeatureRow
from trading.market import Pair, Timeframe
from trading.ports import Event, EventLog, Record
from trading.stores.hot_memory import WINDOW
from trading.stores.postgres.market_features import PostgresMarketFeatures

NEVER = datetime.max.replace(tzinfo=UTC)


class StoredRefill:
    """Reads an origin's newest record per topic and pair from the outbox, and the windows from `market_features`."""

    def __init__(
        self,
        outbox: EventLog,
        features: PostgresMarketFeatures,
        origin: str,
        pairs: Sequence[Pair],
        timeframes: Sequence[Timeframe],
        window: int = WINDOW,
    ) -> None:
        self._outbox = outbox
        self._features = features
        self._origin = origin
        self._pairs = pairs
        self._timeframes = timeframes
        self._window = window

    def records(self) -> Iterator[Record]:
        for topic in (TRADES, TICKER, BOOK):
            for pair in self._pairs:
                event = self._outbox.newest(topic, pair.key, self._origin)
                if event is not None:
                    yield record_of(event)

    def rows(self) -> Iterator[FeatureRow]:
        for pair in self._pairs:
            for timeframe in self._timeframes:
                yield from self._features.tail(pair, timeframe, NEVER, self._window)


def record_of(event: Event) -> Record:
    """Return an event of the outbox as a consumer gets it."""
    value = msgspec.json.encode(event.payload)
    return Record(event.topic, event.key, value, partition=0, offset=event.offset, at=event.at)
