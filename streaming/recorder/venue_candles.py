"""The venue's own committed candles, read again where ours seem to differ."""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from streaming.bars.venue_comparison import CONFIRM_AGE
from streaming.events import Candle
from trading.market import EPOCH, Pair, Timeframe
from trading.venues.kraken import KrakenClient

PAUSE = CONFIRM_AGE.total_seconds() + 1  # between two readings of a pair: the second one decides


class VenueCandles:
    """Reads 1-minute candles over REST; used by one thread at a time."""

    def __init__(self, client: KrakenClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._read_at: dict[Pair, float] = {}

    def read(self, suspects: Mapping[Pair, Collection[datetime]]) -> list[Candle]:
        """Return the committed candles of these open times, of the pairs that were not read a moment ago."""
        found: list[Candle] = []
        for pair, opens in suspects.items():
            now = self._monotonic()
            if now >= self._read_at.get(pair, -PAUSE) + PAUSE:
                self._read_at[pair] = now
                found += [each for each in self._committed(pair) if each.open_time in opens]
        return found

    def _committed(self, pair: Pair) -> list[Candle]:
        """Return the venue's newest 1-minute candles without the last one, which may still change."""
        return [
            Candle(
                pair=pair,
                timeframe=Timeframe.M1,
                open_time=EPOCH + timedelta(seconds=row.open_time),
                open=float(row.open),
                high=float(row.high),
                low=float(row.low),
                close=float(row.close),
                volume=float(row.volume),
                trades=row.trades,
            )
            for row in self._client.ohlc(pair, Timeframe.M1)[:-1]
        ]
