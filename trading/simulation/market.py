"""A seeded market that behaves like a venue, for demonstrations without recorded candles."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl

from trading.candles import closed_by, complete, first_quote, opening_between
from trading.errors import InvalidValue, NotStored
from trading.market import EPOCH, TIME, Pair, Timeframe
from trading.ports import Quote
from trading.simulation.price_paths import (
    BLOCK_LENGTH,
    STEPS_PER_CANDLE,
    YEAR,
    BlockConditions,
    Floats,
    asset_path,
    build_bars,
    draw_conditions,
    random_stream,
    volumes,
)

ORIGIN = "simulated"
NUMERAIRE = "USDT"
CROSS_NOISE, CROSS_LIMIT = 0.5e-4, 1.5e-4  # how far a cross trades beside the ratio of its two prices


@dataclass(frozen=True, slots=True)
class SimulatedAsset:
    """Start price in USDT, volatility against the market's, traded USDT per day."""

    price: float
    volatility: float
    turnover: float


ASSETS = {
    NUMERAIRE: SimulatedAsset(1.0, 0.0, 4e6),
    "USDC": SimulatedAsset(1.0, 0.002, 4e6),
    "USD": SimulatedAsset(1.0, 0.002, 4e6),
    "EUR": SimulatedAsset(1.1, 0.1, 4e6),
    "BTC": SimulatedAsset(30_000.0, 1.0, 4e6),
    "ETH": SimulatedAsset(2_000.0, 1.2, 2e6),
    "XRP": SimulatedAsset(0.5, 1.4, 1e6),
}
OTHER_ASSET = SimulatedAsset(10.0, 1.5, 2e5)


class SimulatedMarket:
    """A CandleSource. The same arguments give the same candles in any process; `end` only hides later ones.

    Every asset moves against USDT and each pair is the ratio of its two, so three pairs agree at each close
    within a few basis points. Prices have no drift and no edge: their direction cannot be learned.
    """

    def __init__(
        self, pairs: tuple[Pair, ...], timeframe: Timeframe, seed: int, start: datetime, end: datetime
    ) -> None:
        _check_arguments(pairs, timeframe, seed, start, end)
        self._pairs = pairs
        self._timeframe = timeframe
        self._seed = seed
        self._start = start
        self._end = end
        self._blocks: list[dict[Pair, pl.DataFrame]] = []
        self._conditions: BlockConditions | None = None
        self._log_prices = {
            asset: math.log(_asset(asset).price) for pair in pairs for asset in (pair.base, pair.quote)
        }
        self._lock = Lock()

    @property
    def origin(self) -> str:
        return ORIGIN

    def pairs(self) -> tuple[Pair, ...]:
        return self._pairs

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        closed = self.candles(pair, self._start, self._end)
        if closed.is_empty():
            raise NotStored(f"no simulated candle of {pair} closes by {self._end}")
        return closed["open_time"][0], closed["close_time"][-1]

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        last = min(end, self._end)
        blocks = self._blocks_between(pair, min(start, last), last)
        inside = pl.concat([opening_between(block, start, last) for block in blocks])
        return closed_by(inside, self._end)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        """Return the first open at or after `time`; never None, as this market has no last candle."""
        number = self._block_number(time)
        while (quote := first_quote(self._block(pair, number), time)) is None:
            number += 1
        return quote

    def _blocks_between(self, pair: Pair, start: datetime, end: datetime) -> Iterator[pl.DataFrame]:
        """At least one block, whatever is asked: what is outside is filtered away."""
        for number in range(self._block_number(start), self._block_number(end) + 1):
            yield self._block(pair, number)

    def _block_number(self, time: datetime) -> int:
        return max((time - self._start) // self._timeframe.duration, 0) // BLOCK_LENGTH

    def _block(self, pair: Pair, number: int) -> pl.DataFrame:
        if pair not in self._pairs:
            raise NotStored(f"{pair} is not simulated: known are {', '.join(map(str, self._pairs))}")
        with self._lock:
            while len(self._blocks) <= number:
                self._blocks.append(self._next_block())
        return self._blocks[number][pair]

    def _next_block(self) -> dict[Pair, pl.DataFrame]:
        number = len(self._blocks)
        self._conditions = draw_conditions(self._seed, number, self._timeframe.duration, self._conditions)
        paths = {asset: self._path(asset, number, self._conditions) for asset in self._log_prices}
        self._log_prices = {asset: float(path[-1, -1]) for asset, path in paths.items()}
        return {pair: self._table(pair, number, self._conditions, paths) for pair in self._pairs}

    def _path(self, asset: str, number: int, shared: BlockConditions) -> Floats:
        rng = random_stream(self._seed, number, asset)
        return asset_path(shared, rng, self._log_prices[asset], _asset(asset).volatility)

    def _table(
        self, pair: Pair, number: int, shared: BlockConditions, paths: dict[str, Floats]
    ) -> pl.DataFrame:
        rng = random_stream(self._seed, number, pair.key)
        ratio = paths[pair.base] - paths[pair.quote]
        if NUMERAIRE not in (pair.base, pair.quote):
            ratio += np.clip(
                CROSS_NOISE * rng.standard_normal((BLOCK_LENGTH, STEPS_PER_CANDLE)), -CROSS_LIMIT, CROSS_LIMIT
            )
        candles = build_bars(ratio, shared.idle)
        share_of_year = self._timeframe.duration / YEAR
        volume = volumes(candles, shared, rng, _turnover(pair), share_of_year)
        first = self._start + number * BLOCK_LENGTH * self._timeframe.duration
        frame = pl.DataFrame(
            {
                "open_time": _open_times(first, self._timeframe.duration),
                "open": candles.open,
                "high": candles.high,
                "low": candles.low,
                "close": candles.close,
                "volume": volume,
            }
        )
        return complete(frame.filter(~shared.missing), self._timeframe, ORIGIN)


def _check_arguments(
    pairs: tuple[Pair, ...], timeframe: Timeframe, seed: int, start: datetime, end: datetime
) -> None:
    if not pairs:
        raise InvalidValue("pairs is empty: name at least one")
    if seed < 0:
        raise InvalidValue(f"seed is {seed}: allowed are whole numbers from 0")
    if start.tzinfo is None or end.tzinfo is None:
        raise InvalidValue("start and end need a time zone: give them in UTC")
    if (start - EPOCH) % timeframe.duration:
        raise InvalidValue(f"start is {start}: it must open a candle of {timeframe.value}")
    if end < start + timeframe.duration:
        raise InvalidValue(f"end is {end}: the first candle closes at {start + timeframe.duration}")


def _asset(asset: str) -> SimulatedAsset:
    return ASSETS.get(asset, OTHER_ASSET)


def _turnover(pair: Pair) -> float:
    """Quote currency per year; a pair trades as much as the smaller of its assets."""
    in_numeraire = min(_asset(pair.base).turnover, _asset(pair.quote).turnover)
    return in_numeraire * 365 / _asset(pair.quote).price


def _open_times(first: datetime, step: timedelta) -> pl.Series:
    return pl.datetime_range(first, first + (BLOCK_LENGTH - 1) * step, step, time_unit="us", eager=True).cast(
        TIME
    )
