"""The market as it was known at a moment: candles, prices, features, correlation and the tone of the news."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import polars as pl

from ml.decision.inputs import OpenGap
from ml.decision.remembered_candles import RememberedCandles
from ml.decision.valuation import LastClose
from ml.news.entities import quote_is_crypto
from ml.sentiment.pair import PairSentiment, pair_sentiment
from ml.sentiment.pair_history import pair_sentiments
from trading.correlation import correlation
from trading.errors import NotStored
from trading.feed_gaps import FeedGap, GapState
from trading.fills import Costs
from trading.indicators import live_row, lookback
from trading.indicators.companions import companion_pairs, companions_of
from trading.market import CANDLE_SCHEMA, Pair, Universe
from trading.ports import NewsStore, TableStore
from trading.ports.market_data import SeenBook

NEWS_HORIZON = timedelta(days=400)  # long enough to say how old the newest article is
CORRELATION_RETURNS = 100  # as many as the feature `btc_correlation`
END_OF_TIME = datetime(2200, 1, 1, tzinfo=UTC)  # later than every candle
UNKNOWN_ROWS = 1  # a candle becomes known before the next one closes (trading/candles.py, `with_arrival`)


@dataclass(frozen=True, slots=True)
class MarketReader:
    """Candles and news of one data set; no method returns anything that became known after the time it is given."""

    universe: Universe
    candles: TableStore
    news: NewsStore
    costs: Mapping[Pair, Costs]
    sentiment_half_life_hours: float
    # Feed gaps that touch [start, end), oldest first, also those that were repaired since.
    feed_gaps: Callable[[Pair, datetime, datetime], Sequence[FeedGap]] = lambda pair, start, end: ()
    newest_book: Callable[[Pair], SeenBook | None] = lambda pair: (
        None
    )  # as it is now; None: nobody has watched it

    def remembering(self, at: datetime) -> "MarketReader":
        """Return a reader of the same market that reads the newest candles of each pair at `at` once."""
        rows = self.feature_rows + UNKNOWN_ROWS
        return replace(self, candles=RememberedCandles(self.candles, at, rows))

    def newest_close_time(self, pair: Pair) -> datetime:
        """Return the close time of the newest stored candle."""
        return self._newest(pair)[0]

    def last_close_time(self, pair: Pair, at: datetime) -> datetime:
        """Return the close time of the newest candle that had closed by `at`."""
        time: datetime = self.window(pair, at, 1)["close_time"][-1]
        return time

    def newest_known_at(self, pair: Pair) -> datetime:
        """Return when the newest stored candle of the pair became known, by no clock but its own. NotStored without."""
        return self._newest(pair)[1]

    def newest_known_of_all(self) -> datetime:
        """Return when the newest stored candle of any pair became known; an unreadable pair is passed over.

        One clock for all pairs: a pair that lags behind, or has no candle, is late; it does not turn time back.
        """
        times = []
        for pair in self.universe.pairs:
            with suppress(Exception):  # an unreadable pair stops whoever needs it, not the clock
                times.append(self.newest_known_at(pair))
        return max(times) if times else self.newest_known_at(self.universe.pairs[0])

    def last_close(self, pair: Pair, at: datetime) -> LastClose:
        """Return the last close known at `at`. NotStored without one."""
        row = self.window(pair, at, 1).row(-1, named=True)
        return LastClose(Decimal(str(row["close"])), row["close_time"])

    def price(self, pair: Pair, at: datetime) -> Decimal:
        """Return the last close known at `at`."""
        return self.last_close(pair, at).price

    def prices(self, at: datetime) -> dict[Pair, Decimal]:
        """Return the last close of every pair known at `at`."""
        return {pair: self.price(pair, at) for pair in self.universe.pairs}

    def readable_closes(self, pairs: Iterable[Pair], at: datetime) -> dict[Pair, LastClose]:
        """Return the last closes of `pairs` that can be read and are above zero; the other pairs are left out."""
        closes = {}
        for pair in pairs:
            with suppress(Exception):  # whatever is wrong with one pair, another must be closed
                close = self.last_close(pair, at)
                if close.price.is_finite() and close.price > 0:
                    closes[pair] = close
        return closes

    def feature_window(self, pair: Pair, at: datetime) -> pl.DataFrame:
        """Return the candles that the features at `at` are computed from."""
        return self.window(pair, at, self.feature_rows)

    def companion_windows(self, pair: Pair, at: datetime) -> dict[Pair, pl.DataFrame]:
        """Return the candles of the other pairs that features compare with, empty where there are none."""
        return {
            other: self.window_or_empty(other, at, self.feature_rows)
            for other in companion_pairs(pair, self.universe)
        }

    def features(
        self, pair: Pair, window: pl.DataFrame, companions: Mapping[Pair, pl.DataFrame]
    ) -> dict[str, float | None]:
        """Compute the features of the window's newest candle; None where one is not known."""
        return features_of(pair, self.universe, self.costs, window, companions)

    def candles_after(self, pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
        """Return the candles with since < close_time <= `until`, ascending; empty where none is stored.

        The candle that `since` lies in is among them, also where it opened in the month before.
        """
        try:
            found = self.candles.between(pair, since - self.universe.timeframe.duration, until)
        except NotStored:
            return CANDLE_SCHEMA.to_frame()
        return found.filter(pl.col("close_time") > since, pl.col("close_time") <= until)

    def correlations(self, pair: Pair, others: Iterable[Pair], at: datetime) -> dict[Pair, float | None]:
        """Compute the correlation of the pair with each other one; None where it is not known."""
        found: dict[Pair, float | None] = {}
        for other in others:
            try:
                found[other] = self.correlation(pair, other, at)
            except NotStored:
                found[other] = None
        return found

    def correlation(self, pair: Pair, other: Pair, at: datetime) -> float | None:
        """Compute the correlation of the newest common log returns of both pairs; None while there are too few."""
        own, others = (self.window(each, at, CORRELATION_RETURNS + 1) for each in (pair, other))
        both = own.join(others, on="close_time", suffix="_other").sort("close_time")
        if both.height <= CORRELATION_RETURNS // 2:
            return None
        return correlation(both["close"].to_numpy(), both["close_other"].to_numpy())

    def news_of(self, pair: Pair, at: datetime) -> pl.DataFrame:
        """Read how the news of the pair's assets were judged (SENTIMENT_SCHEMA), sorted; empty without news."""
        assets = (pair.base, pair.quote) if quote_is_crypto(pair) else (pair.base,)
        rows = [self.news.sentiment(asset, at - NEWS_HORIZON, at) for asset in assets]
        return pl.concat(rows).sort("known_at", "article_id", "asset", "model")

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        """Return what `sentiment` says at each of `times` (ascending) as SENTIMENT_AT_SCHEMA; news are read once."""
        first, last = times[0] - NEWS_HORIZON, times[-1]
        base, quote = (self.news.sentiment(asset, first, last) for asset in (pair.base, pair.quote))
        rows_quote = quote if quote_is_crypto(pair) else None
        return pair_sentiments(base, rows_quote, times, NEWS_HORIZON, self.sentiment_half_life_hours)

    def open_gap(self, pair: Pair, since: datetime, at: datetime) -> OpenGap | None:
        """Return the newest stretch after `since` whose trades were missing as far as was known at `at`."""
        noted = self.feed_gaps(pair, since, at)
        known = [each for each in noted if each.found_at <= at and not _repaired_by(each, at)]
        if not known:
            return None
        newest = max(known, key=lambda gap: gap.until or at)
        return OpenGap(newest.since, newest.until, newest.reason)

    def tone(self, pair: Pair, news: pl.DataFrame, at: datetime) -> PairSentiment | None:
        """Weigh what `news_of` returned; None when there is no news."""
        return tone_of_news(pair, news, at, self.sentiment_half_life_hours)

    def _newest(self, pair: Pair) -> tuple[datetime, datetime]:
        """Return when the newest stored candle closed, and when it became known, which is later."""
        with suppress(NotStored):
            if (newest := self.candles.tail(pair, END_OF_TIME, 1)).height:
                return newest["close_time"].item(), newest["known_at"].item()
        raise NotStored(f"no candles of {pair} in {self.universe.dataset}: materialise `ohlcv` first")

    def window(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        """Return up to `rows` of the newest candles that were known at `until`. Raises NotStored without one."""
        window = self.window_or_empty(pair, until, rows)
        if window.is_empty():
            raise NotStored(
                f"no candle of {pair} in {self.universe.dataset} had closed by {until:%Y-%m-%d %H:%M} UTC: "
                "materialise the months of `ohlcv` before it"
            )
        return window

    def window_or_empty(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        """Return up to `rows` of the newest candles that were known at `until`; an empty table without one."""
        try:
            closed = self.candles.tail(pair, until, rows + UNKNOWN_ROWS)
        except NotStored:
            return CANDLE_SCHEMA.to_frame()
        newest = cast("datetime | None", closed["known_at"].max())
        if newest is None or newest > until:  # hardly ever: looking is cheaper than filtering
            closed = closed.filter(pl.col("known_at") <= until)
        return closed.tail(rows)

    @property
    def feature_rows(self) -> int:
        """Return how many candles the features of one are computed from."""
        return lookback(self.universe.timeframe) + 1


def _repaired_by(gap: FeedGap, at: datetime) -> bool:
    return gap.state is GapState.REPAIRED and (gap.repaired_at is None or gap.repaired_at <= at)


def tone_of_news(
    pair: Pair, news: pl.DataFrame, at: datetime, half_life_hours: float
) -> PairSentiment | None:
    """Weigh judged news of the pair's assets (SENTIMENT_SCHEMA) that was known at `at`; None without any."""
    base, quote = (news.filter(pl.col("asset") == asset) for asset in (pair.base, pair.quote))
    return pair_sentiment(base, quote if quote_is_crypto(pair) else None, at, half_life_hours)


def features_of(
    pair: Pair,
    universe: Universe,
    costs: Mapping[Pair, Costs],
    window: pl.DataFrame,
    companions: Mapping[Pair, pl.DataFrame],
) -> dict[str, float | None]:
    """Compute the features of the window's newest candle; None where one is not known."""
    compared = companions_of(pair, universe, costs, companions.__getitem__)
    return live_row(window, universe.timeframe, compared)
