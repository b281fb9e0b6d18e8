"""How much of a model's judgement of old news is memory: the same articles with and without names, before and after.

A model that has read how a story ended is better where it recognises the story. So what names and dates add before its
knowledge ends, beyond what they add after it, is an estimate of the leak. It cleans no record: a model may know a story
without its names.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl

from ml.news.articles import article_excerpt
from ml.news.entities import news_assets
from ml.sentiment.masking import mask_assets
from ml.sentiment.pair import Sentiment, SentimentModel
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports import NewsStore, TableStore

HOURS = 24  # over which an article is judged by the price
SEED = 7
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATES = re.compile(
    rf"\b(?:(?:{_MONTHS})\.? \d{{1,2}}(?:st|nd|rd|th)?,? )?(?:19|20)\d\d(?:-\d\d-\d\d)?\b|\b(?:{_MONTHS}) \d{{1,2}}\b"
)


@dataclass(frozen=True, slots=True)
class Side:
    """Articles of one side of the day on which a model's knowledge ends. An answer without a side counts half."""

    articles: int
    named: float  # share that was right with names and dates
    masked: float  # ... and without
    variance: float  # of the difference, over articles

    @property
    def gain(self) -> float:
        return self.named - self.masked


@dataclass(frozen=True, slots=True)
class Leak:
    model: str
    cut_off: date
    before: Side
    after: Side

    @property
    def estimate(self) -> float:
        """Return what names add before the day beyond what they add after it, as a share of articles."""
        return self.before.gain - self.after.gain

    @property
    def error(self) -> float:
        """Return the standard error of the estimate."""
        sides = (self.before, self.after)
        return math.sqrt(sum(each.variance / each.articles for each in sides))


@dataclass(frozen=True, slots=True)
class _Told:
    """An article, whether the price of its asset rose over the hours after it, and which side of the day it is on."""

    text: str
    rose: bool
    before: bool


@dataclass(frozen=True, slots=True)
class LeakTest:
    news: NewsStore
    candles: TableStore
    pairs: Sequence[Pair]

    def measure(
        self, model: SentimentModel, cut_off: date, start: datetime, until: datetime, articles: int
    ) -> Leak:
        """Ask the model twice about at most so many articles of each side that became known in [start, until).

        InvalidValue where a side has no article whose outcome is stored. What the model raises is raised.
        """
        ends = datetime.combine(cut_off, time.max, UTC)
        found = list(self._told(start, until, ends))
        chance = np.random.default_rng(SEED)
        chosen = [
            each
            for before in (True, False)
            for each in _some([told for told in found if told.before is before], articles, chance)
        ]
        for before, word in ((True, "up to"), (False, "after")):
            if not any(each.before is before for each in chosen):
                raise InvalidValue(
                    f"no article {word} {cut_off} names one asset of [market] pairs and has candles for {HOURS} hours "
                    "after it: import news and candles of both sides of that day"
                )
        named = model.score([each.text for each in chosen])
        masked = model.score([mask(each.text) for each in chosen])
        right = {
            before: [
                (_right(plain, told.rose), _right(hidden, told.rose))
                for told, plain, hidden in zip(chosen, named, masked, strict=True)
                if told.before is before
            ]
            for before in (True, False)
        }
        return Leak(model.name, cut_off, _side(right[True]), _side(right[False]))

    def _told(self, start: datetime, until: datetime, ends: datetime) -> Iterator[_Told]:
        """Return the stories that name one asset alone, with what its price did."""
        opens = {pair: self._opens(pair, start, until) for pair in self.pairs}
        stories = self.news.articles(start, until).filter(pl.col("story_id") == pl.col("article_id"))
        for row in stories.iter_rows(named=True):
            about = [pair for pair in self.pairs if set(row["assets"] or ()) == news_assets(pair)]
            if about and (rose := _rose(opens[about[0]], row["known_at"])) is not None:
                text = article_excerpt(row["title"], row["text"])
                yield _Told(text, rose, row["known_at"] <= ends)

    def _opens(self, pair: Pair, start: datetime, until: datetime) -> Mapping[datetime, float]:
        last = until + timedelta(hours=HOURS + 1)
        table = self.candles.between(pair, start, last, ["open_time", "open"])
        return dict(zip(table["open_time"], table["open"], strict=True))


def mask(text: str) -> str:
    """Take out what tells a story from others of its kind: names of assets, days and years."""
    return _DATES.sub("that day", mask_assets(text))


def _rose(opens: Mapping[datetime, float], at: datetime) -> bool | None:
    """Return whether the price was higher after HOURS, from the first full hour on; None where it is not known."""
    first = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    entry, end = opens.get(first), opens.get(first + timedelta(hours=HOURS))
    return None if entry is None or end is None else end > entry


def _right(sentiment: Sentiment | None, rose: bool) -> float:
    if sentiment is None or sentiment.score == 0:
        return 0.5
    return float((sentiment.score > 0) is rose)


def _some(told: list[_Told], most: int, chance: np.random.Generator) -> list[_Told]:
    if len(told) <= most:
        return told
    return [told[place] for place in np.sort(chance.choice(len(told), most, replace=False))]


def _side(right: Sequence[tuple[float, float]]) -> Side:
    values = np.array(right)
    difference = values[:, 0] - values[:, 1]
    spread = float(difference.var(ddof=1)) if len(right) > 1 else 0.25
    return Side(len(right), float(values[:, 0].mean()), float(values[:, 1].mean()), spread)
