"""The sink of the operational store: closed candles, every revision, into `market_data`."""

from collections.abc import Sequence

from streaming.messages import OHLCV_RAW
from streaming.sinks.closed_candles import closed_candle
from trading.ports import MarketData, Record


class OperationalSink:
    """Each batch is one transaction; what comes again is known to the store."""

    group = "operational"
    topics = (OHLCV_RAW,)

    def __init__(self, store: MarketData) -> None:
        self._store = store

    def write(self, records: Sequence[Record]) -> None:
        self._store.store([closed_candle(record) for record in records])
