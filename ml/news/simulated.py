"""Made-up headlines for a simulated market: the same seed gives the same articles, and none knows the future.

Nothing here happened. Every article says so: its source is `simulated`, its title begins with `[simulated]`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import polars as pl

from ml.news.articles import article_id
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports import ARTICLE_SCHEMA, CandleSource

SOURCE = "simulated"
LABEL = "[simulated]"

ReturnsOf = Callable[[str, datetime], float | None]  # asset, midnight -> return over the 24 hours before it

_DAY = timedelta(days=1)
_QUIET_MOVE = 0.01  # after a smaller daily move the headlines are neutral
_FOLLOWS_PRICE = 0.7  # share of headlines with the tone of the past day; the others are drawn at random
_MIN_HEADLINES, _MAX_HEADLINES = 2, 4  # headlines per asset and day
_TONES = ("good", "bad", "dull")
_HEADLINES = {
    "good": (
        "{asset} rallies as buyers return",
        "{asset} climbs after strong inflows into funds",
        "Payments company partners with bank to support {asset}",
        "Analysts turn bullish on {asset} after the breakout",
        "{asset} adoption grows, survey of merchants shows",
    ),
    "bad": (
        "{asset} slumps as sellers dump holdings",
        "{asset} falls after hack of a lending platform",
        "Regulator sues exchange over {asset} products",
        "Analysts turn bearish on {asset} after the breakdown",
        "Outflows from {asset} funds continue as fears persist",
    ),
    "dull": (
        "{asset} trades sideways in a narrow range",
        "Five charts of {asset} to look at this week",
        "How miners and validators spent the day: {asset} edition",
        "{asset} developers publish notes of their meeting",
        "What the calendar holds for {asset} holders",
    ),
}


class SimulatedNews:
    """A few headlines per asset and UTC day whose tone follows the return of the day before, loosely.

    A day's articles depend on the seed, the asset, the day and that return alone: any range gives the same.
    An asset whose past return is not known yet (None) has no articles that day.
    """

    def __init__(self, seed: int, assets: Sequence[str], returns_of: ReturnsOf) -> None:
        if not assets:
            raise InvalidValue("assets must name at least one asset to write about")
        self._seed = seed
        self._assets = tuple(assets)
        self._returns_of = cache(returns_of)

    refused: tuple[str, ...] = ()

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Generate ARTICLE_SCHEMA with start <= known_at < end, by known_at; known when published."""
        rows = [
            row for day in _days(start, end) for asset in self._assets for row in self._daily_rows(asset, day)
        ]
        table = pl.DataFrame(rows, schema=ARTICLE_SCHEMA, orient="row")
        return table.filter(pl.col("known_at") >= start, pl.col("known_at") < end).sort(
            "known_at", "article_id"
        )

    def _daily_rows(
        self, asset: str, day: datetime
    ) -> Iterator[tuple[str, datetime, datetime, str, str, str, str, str, bool]]:
        past = self._returns_of(asset, day)
        if past is None:
            return
        random = Random(_seed_of(self._seed, asset, day))
        minutes = sorted(random.sample(range(1, 24 * 60), random.randint(_MIN_HEADLINES, _MAX_HEADLINES)))
        for minute in minutes:
            headline = random.choice(_HEADLINES[_tone(random, past)]).format(asset=asset)
            title = f"{LABEL} {headline}"
            text = f"{headline}. This article was generated for a simulated market."
            published = day + timedelta(minutes=minute)
            made = article_id(SOURCE, published, title, text)
            yield made, published, published, SOURCE, title, text, "", "en", False


def returns_of_candles(source: CandleSource, pairs: Mapping[str, Pair]) -> ReturnsOf:
    """Compute past returns from candles; `pairs` names the pair whose price is the asset's.

    Only candles that were known at that midnight are used. None while there are fewer than two.
    """

    def past_return(asset: str, midnight: datetime) -> float | None:
        candles = source.candles(pairs[asset], midnight - _DAY, midnight).filter(
            pl.col("known_at") <= midnight
        )
        if candles.height < 2:
            return None
        return float(candles["close"][-1] / candles["open"][0] - 1)

    return past_return


def _tone(random: Random, past: float) -> str:
    drawn = random.choice(_TONES)
    if random.random() >= _FOLLOWS_PRICE:
        return drawn
    if abs(past) < _QUIET_MOVE:
        return "dull"
    return "good" if past > 0 else "bad"


def _seed_of(seed: int, asset: str, day: datetime) -> int:
    """Random's own seeding of a tuple would differ between processes."""
    return int.from_bytes(hashlib.blake2b(f"{seed}|{asset}|{day:%Y-%m-%d}".encode(), digest_size=8).digest())


def _days(start: datetime, end: datetime) -> Iterator[datetime]:
    day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < end:
        yield day
        day += _DAY
