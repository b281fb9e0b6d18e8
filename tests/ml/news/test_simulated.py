from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from ml.news.entities import find_assets
from ml.news.simulated import _HEADLINES, LABEL, SOURCE, SimulatedNews, returns_of_candles
from ml.sentiment.lexicon import LexiconSentiment
from trading.errors import InvalidValue
from trading.market import Pair, Timeframe
from trading.ports import ARTICLE_SCHEMA, CandleSource, Quote

DAY = timedelta(days=1)
START = datetime(2023, 1, 1, tzinfo=UTC)
PAIR = Pair("BTC", "USDT")


def rising(asset: str, midnight: datetime) -> float | None:
    return 0.03


def falling(asset: str, midnight: datetime) -> float | None:
    return -0.03


class HourlyCandles:
    """Closes rise by one every hour from 100; candles are known half an hour late when `late`."""

    origin = "simulated"

    def __init__(self, first: datetime, late: bool = False) -> None:
        self._first = first
        self._delay = timedelta(minutes=30 if late else 0)

    def span(self, pair: Pair) -> tuple[datetime, datetime]:
        return self._first, self._first + 10 * DAY

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        hours = [self._first + number * timedelta(hours=1) for number in range(240)]
        table = pl.DataFrame({"open_time": hours, "open": [100.0 + number for number in range(240)]})
        closes = pl.col("open_time") + Timeframe.H1.duration
        table = table.with_columns(close=pl.col("open") + 1, known_at=closes + self._delay)
        return table.filter(pl.col("open_time") >= start, pl.col("open_time") < end)

    def quote_after(self, pair: Pair, time: datetime) -> Quote | None:
        return None


def mean_score(articles: pl.DataFrame) -> float:
    scores = [answer.score for answer in LexiconSentiment().score(articles["title"].to_list())]
    return sum(scores) / len(scores)


def test_every_article_says_that_it_is_simulated() -> None:
    articles = SimulatedNews(1, ["BTC", "XRP"], rising).articles(START, START + 20 * DAY)
    assert set(articles["source"]) == {SOURCE}
    assert articles["title"].str.starts_with(LABEL).all()
    assert articles.schema == ARTICLE_SCHEMA


def test_any_range_gives_the_same_articles() -> None:
    news = SimulatedNews(1, ["BTC", "XRP"], rising)
    whole = news.articles(START, START + 6 * DAY)
    middle = START + timedelta(days=2, hours=11, minutes=7)
    parts = pl.concat([news.articles(START, middle), news.articles(middle, START + 6 * DAY)])
    assert parts.equals(whole)


def test_another_seed_gives_other_articles() -> None:
    stories = [SimulatedNews(seed, ["BTC"], rising).articles(START, START + 5 * DAY) for seed in (1, 2)]
    assert not stories[0].equals(stories[1])


def test_an_article_names_its_asset_and_every_day_has_some() -> None:
    articles = SimulatedNews(1, ["XRP"], rising).articles(START, START + 10 * DAY)
    assert all(find_assets(title) == {"XRP"} for title in articles["title"])
    assert articles["known_at"].dt.date().n_unique() == 10


def test_no_article_falls_on_midnight_which_would_read_as_a_missing_clock_time() -> None:
    articles = SimulatedNews(1, ["BTC"], rising).articles(START, START + 100 * DAY)
    assert articles.filter(pl.col("known_at") == pl.col("known_at").dt.truncate("1d")).is_empty()


def test_the_tone_follows_the_past_day_loosely() -> None:
    good = SimulatedNews(3, ["BTC"], rising).articles(START, START + 60 * DAY)
    bad = SimulatedNews(3, ["BTC"], falling).articles(START, START + 60 * DAY)
    assert mean_score(good) > 0.2
    assert mean_score(bad) < -0.2
    assert mean_score(good[:1]) != mean_score(good)


def test_the_lexicon_scores_every_headline_with_its_tone() -> None:
    signs = {"good": 1, "bad": -1, "dull": 0}
    for tone, headlines in _HEADLINES.items():
        for headline, answer in zip(headlines, LexiconSentiment().score(headlines), strict=True):
            assert (answer.score > 0) - (answer.score < 0) == signs[tone], headline


def test_a_day_without_a_past_return_has_no_articles() -> None:
    assert SimulatedNews(1, ["BTC"], lambda asset, midnight: None).articles(START, START + DAY).is_empty()


def test_only_returns_up_to_the_midnight_before_are_asked_for() -> None:
    asked: list[datetime] = []

    def recorded(asset: str, midnight: datetime) -> float | None:
        asked.append(midnight)
        return 0.0

    articles = SimulatedNews(1, ["BTC"], recorded).articles(START + timedelta(hours=9), START + 2 * DAY)
    assert asked == [START, START + DAY]
    assert articles["known_at"].min() >= START  # type: ignore[operator]


def test_the_return_of_the_past_day_ends_at_the_midnight_asked_for() -> None:
    source: CandleSource = HourlyCandles(START)
    assert returns_of_candles(source, {"BTC": PAIR})("BTC", START + 2 * DAY) == pytest.approx(148 / 124 - 1)


def test_candles_that_become_known_after_midnight_are_not_used() -> None:
    source: CandleSource = HourlyCandles(START, late=True)
    assert returns_of_candles(source, {"BTC": PAIR})("BTC", START + 2 * DAY) == pytest.approx(147 / 124 - 1)


def test_there_is_no_return_before_there_are_candles() -> None:
    assert returns_of_candles(HourlyCandles(START), {"BTC": PAIR})("BTC", START) is None


def test_nothing_to_write_about_is_refused() -> None:
    with pytest.raises(InvalidValue, match="at least one asset"):
        SimulatedNews(1, [], rising)
