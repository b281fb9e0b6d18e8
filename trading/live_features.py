"""The features of every candle as it closes: the rows of the batch table, one by one.

Some features compare a pair with others (docs/decisions/0008). Their candles of the same close come a moment earlier
or later, so a row waits until they are there, but no longer than `wait`: then it is computed with what is known, and
again, as a new revision, once they come. A restated candle gives new revisions of every row that it is part of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading.closed_candles import ClosedCandle
from trading.feature_rows import FeatureRow
from trading.fills import Costs
from trading.indicators.companions import STALE_AFTER, companion_pairs, companions_of
from trading.indicators.formulas import newest_values
from trading.indicators.live_window import LiveWindow, window_rows
from trading.indicators.other_pairs import CORRELATION
from trading.indicators.price_arrays import PriceArrays, candle_length
from trading.indicators.regimes import newest_label
from trading.market import EPOCH, Pair, Timeframe, Universe

WAIT = timedelta(seconds=5)  # for the other pairs' candles of the same close
# Rows of another pair that a restated candle is part of: its return is in so many correlations.
_COMPARED = CORRELATION + STALE_AFTER + 1
_MICROSECOND = timedelta(microseconds=1)
READ_AGAIN = timedelta(minutes=2)  # while candles are missing that somebody may have stored since

Series = tuple[Pair, Timeframe]
# The newest candles of a pair that have a trade, at most so many, sorted, with the columns of CANDLE_SCHEMA.
CandleHistory = Callable[[Pair, Timeframe, int], pl.DataFrame]
# The close of the newest row that is stored, None without one.
StoredUntil = Callable[[Pair, Timeframe], datetime | None]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """A pair and timeframe whose features are not known yet."""

    pair: Pair
    timeframe: Timeframe
    missing: int  # candles


class LiveFeatures:
    """Windows of all pairs and timeframes of a universe, for one thread. Nothing is read before `start` or `add`."""

    def __init__(
        self,
        universe: Universe,
        timeframes: Iterable[Timeframe],
        costs: Mapping[Pair, Costs],
        history: Callable[[], CandleHistory],
        stored_until: StoredUntil,
        wait: timedelta = WAIT,
    ) -> None:
        self._universe = universe
        self._timeframes = tuple(dict.fromkeys([*timeframes, universe.timeframe]))
        self._costs = costs
        self._history = history
        self._stored_until = stored_until
        self._wait = wait
        self._windows: dict[Series, LiveWindow] = {}
        self._closed: dict[Series, datetime] = {}  # newest candle that has come, one without a trade included
        # Rows by close, and when they were first wanted.
        self._wanted: dict[Series, dict[datetime, datetime]] = {}
        self._read_at = EPOCH
        self._compared_with = {pair: companion_pairs(pair, universe) for pair in universe.pairs}

    @property
    def warming_up(self) -> list[WarmUp]:
        """Return what has no features yet for lack of candles, once windows are there."""
        return [WarmUp(*key, window.missing) for key, window in self._windows.items() if window.missing]

    def start(self, now: datetime) -> None:
        """Fill the windows, unless they are: rows that were not stored any more before the last stop are wanted then.

        Windows that lack candles are filled again from time to time: history may be stored while the stream runs. What
        the history raises leaves nothing behind.
        """
        if self._windows:
            if self.warming_up and now - self._read_at >= READ_AGAIN:
                self._fill_up(now)
            return
        history = self._history()
        windows = {
            (pair, timeframe): LiveWindow(timeframe, history(pair, timeframe, window_rows(timeframe)))
            for pair in self._universe.pairs
            for timeframe in self._timeframes
        }
        wanted = {}
        for key, window in windows.items():
            stored, newest = self._stored_until(*key), window.newest_close
            closes = window.closes_since(stored + timedelta.resolution) if stored else []
            wanted[key] = dict.fromkeys(closes, now)
            if newest is not None:
                self._closed[key] = newest
        self._windows, self._wanted, self._read_at = windows, wanted, now

    def _fill_up(self, now: datetime) -> None:
        """Replace the windows of which more is known by now; the newest row of each is wanted."""
        history = self._history()
        for lacking in self.warming_up:
            key = (lacking.pair, lacking.timeframe)
            filled = LiveWindow(key[1], history(*key, window_rows(key[1])))
            if filled.missing < lacking.missing and filled.newest_close is not None:
                self._windows[key] = filled
                self._closed[key] = max(filled.newest_close, self._closed.get(key, EPOCH))
                self._want(key, filled.closes_since(filled.newest_close), now)
        self._read_at = now

    def add(self, candles: Sequence[ClosedCandle], now: datetime) -> list[FeatureRow]:
        """Take revisions of candles and return the rows that are known now; other pairs and timeframes are passed over.

        The row of each candle is returned again when the candle comes again. InvalidCandles for an impossible candle:
        those before it were taken.
        """
        self.start(now)
        for candle in candles:
            if (candle.pair, candle.timeframe) in self._windows and candle.origin == self._universe.origin:
                self._take(candle, now)
        return self.due(now)

    def due(self, now: datetime) -> list[FeatureRow]:
        """Return the rows that wait no longer: their companions have come, or will not be waited for."""
        rows = []
        for key, wanted in self._wanted.items():
            for close in sorted(
                close for close, since in wanted.items() if self._is_due(key, close, now - since)
            ):
                del wanted[close]
                row = self._row(key, close)
                if row is not None:
                    rows.append(row)
        return sorted(rows, key=lambda row: row.close_time)

    def _take(self, candle: ClosedCandle, now: datetime) -> None:
        key, close = (candle.pair, candle.timeframe), candle.close_time
        window = self._windows[key]
        is_newest = close >= self._closed.get(key, EPOCH)
        changed = window.put(candle)
        self._closed[key] = max(close, self._closed.get(key, close))
        own = window.closes_since(close, 1 if is_newest or not changed else None)
        self._want(key, own if changed else [each for each in own if each == close], now)
        if changed:
            for pair in self._universe.pairs:
                if candle.pair in self._compared_with[pair]:
                    other = (pair, candle.timeframe)
                    self._want(other, self._windows[other].closes_since(close, _COMPARED), now)

    def _want(self, key: Series, closes: Iterable[datetime], now: datetime) -> None:
        for close in closes:
            self._wanted[key].setdefault(close, now)

    def _is_due(self, key: Series, close: datetime, waited: timedelta) -> bool:
        pair, timeframe = key
        if waited >= self._wait:
            return True
        seen = [self._closed.get((other, timeframe), EPOCH) for other in self._compared_with[pair]]
        # One that also lacks the candle before is late for a reason: a gap, or a pair that is not traded any more.
        return all(newest >= close or newest < close - timeframe.duration for newest in seen)

    def _row(self, key: Series, close: datetime) -> FeatureRow | None:
        pair, timeframe = key
        window = self._windows[key]
        prices = window.prices(close)
        if prices is None:
            return None
        tables: dict[Pair, pl.DataFrame] = {}

        def read(other: Pair) -> pl.DataFrame:
            tables[other] = self._companion(other, prices)
            return tables[other]

        compared = companions_of(pair, self._universe, self._costs, read)
        values = newest_values(prices, compared)
        return FeatureRow(
            origin=self._universe.origin,
            pair=pair,
            timeframe=timeframe,
            close_time=close,
            values=values,
            regime=newest_label(values),
            known_at=self._known_at(window, close, prices, tables),
        )

    def _companion(self, other: Pair, prices: PriceArrays) -> pl.DataFrame:
        """Return the other pair's candles that the newest row sees."""
        oldest = prices.last(CORRELATION + 1).close_time[0]
        margin = (STALE_AFTER + 1) * candle_length(prices.timeframe)
        window = self._windows[other, prices.timeframe]
        return window.companion(int(oldest) - margin, int(prices.close_time[-1]))

    def _known_at(
        self, window: LiveWindow, close: datetime, prices: PriceArrays, others: Iterable[Pair]
    ) -> datetime:
        """Return the latest among the candles that the row is made of, as `feature_table` does."""
        latest = int(window.known_at(close).max())
        for other in others:
            latest = max(latest, self._windows[other, prices.timeframe].known_as_companion(prices, latest))
        return EPOCH + latest * _MICROSECOND
