"""Tables of candles as a stream brings them: one by one, of several pairs, with revisions."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from tests.trading.indicators.candle_walks import candles
from trading.closed_candles import Basis, ClosedCandle
from trading.feature_rows import FeatureRow
from trading.fills import Costs
from trading.indicators import Companions, companions_of
from trading.live_features import LiveFeatures
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
ORIGIN = "simulated"
USUAL = Costs(0.0026, 0.0001, 0.0002)
Tables = dict[Pair, pl.DataFrame]


def universe(timeframe: Timeframe = Timeframe.H1, *pairs: Pair) -> Universe:
    return Universe(pairs or (BTC, XRP, CROSS), "USDT", timeframe, ORIGIN)


def three(count: int, timeframe: Timeframe = Timeframe.H1) -> Tables:
    return {pair: candles(count, seed, timeframe=timeframe) for seed, pair in enumerate((BTC, XRP, CROSS))}


def closed(pair: Pair, timeframe: Timeframe, row: Mapping[str, Any], **changes: Any) -> ClosedCandle:
    values = {
        "origin": ORIGIN, "pair": pair, "timeframe": timeframe, "trades": 3, "first_trade_id": 1, "last_trade_id": 3,
        "basis": Basis.TRADES, **{name: row[name] for name in row if name not in ("close_time", "origin", "trades")},
    }  # fmt: skip
    return ClosedCandle(**values | changes)


def stream(pair: Pair, timeframe: Timeframe, table: pl.DataFrame) -> Iterator[ClosedCandle]:
    for row in table.iter_rows(named=True):
        yield closed(pair, timeframe, row)


def quiet(pair: Pair, timeframe: Timeframe, open_time: datetime) -> ClosedCandle:
    """A candle in which nothing traded."""
    close = open_time + timeframe.duration
    row = {
        "open_time": open_time,
        "open": 1.0,
        "high": 1.0,
        "low": 1.0,
        "close": 1.0,
        "volume": 0.0,
        "known_at": close,
    }
    return closed(pair, timeframe, row, trades=0, first_trade_id=None, last_trade_id=None)


def beside(pair: Pair, tables: Tables, timeframe: Timeframe = Timeframe.H1) -> Companions:
    market = universe(timeframe, *tables)
    return companions_of(pair, market, dict.fromkeys(tables, USUAL), tables.__getitem__)


def live(
    history: Tables | None = None,
    timeframe: Timeframe = Timeframe.H1,
    pairs: Iterable[Pair] = (BTC, XRP, CROSS),
    stored: Mapping[Pair, datetime] | None = None,
    wait: timedelta = timedelta(seconds=5),
) -> LiveFeatures:
    """Live features of one timeframe whose windows begin with `history`."""
    market, known = universe(timeframe, *pairs), history or {}

    def read(pair: Pair, of: Timeframe, rows: int) -> pl.DataFrame:
        assert of is timeframe
        return known.get(pair, CANDLE_SCHEMA.to_frame()).tail(rows)

    return LiveFeatures(
        market,
        [timeframe],
        dict.fromkeys(market.pairs, USUAL),
        history=lambda: read,
        stored_until=lambda pair, _: (stored or {}).get(pair),
        wait=wait,
    )


class Rows:
    """The newest revision of each row, as a store keeps it."""

    def __init__(self) -> None:
        self.newest: dict[tuple[Pair, datetime], FeatureRow] = {}
        self.revisions = 0

    def put(self, rows: Iterable[FeatureRow]) -> None:
        for row in rows:
            stored = self.newest.get((row.pair, row.close_time))
            if stored is None or stored.values != row.values or stored.known_at != row.known_at:
                self.newest[row.pair, row.close_time] = row
                self.revisions += 1
