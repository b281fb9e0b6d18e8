"""Candles of one length with the quotes of shorter ones: a paper order need not wait for the next long candle."""

from datetime import datetime

import polars as pl

from trading.market import Pair
from trading.ports import CandleSource, Quote


class FinerQuotes:
    """A CandleSource over two of the same market, whose prices are therefore the same."""

    def __init__(self, candles: CandleSource, finer: CandleSource) -> None:
        self._candles = candles
        self._finer = finer

    @property
    def origin(self) -> str:
        return self._candles.origin

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return self._candles.span(pair)

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        return self._candles.candles(pair, start, end)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return self._finer.quote_after(pair, time)
