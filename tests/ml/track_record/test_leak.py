"""A model that remembers how stories ended gives itself away where the names are; one that does not shows nothing."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from rich.console import Console

from ml.news.description import describe
from ml.sentiment.pair import Sentiment
from ml.track_record.leak import LeakTest, mask
from orchestration.commands.leak import facts, show
from tests.doubles.stores import MemoryNews, MemoryTable
from tests.ml.track_record.voted import BTC, FIRST, HOUR
from trading.errors import InvalidValue
from trading.market import month_of
from trading.ports import ARTICLE_SCHEMA

DAYS = 200
CUT_OFF = date(2024, 5, 31)
END = FIRST + timedelta(days=DAYS)


def rises(day: int) -> bool:
    return bool((day * 7919) % 5 < 2 or day % 3 == 0)


@pytest.fixture(scope="module")
def test() -> LeakTest:
    """A story each noon, in candles that go up or down over the day behind it."""
    news, prices = MemoryNews(), MemoryTable(None)
    at = [FIRST + timedelta(days=day, hours=12, minutes=20) for day in range(DAYS)]
    titles = [
        f"Bitcoin case {day * 37} is heard on {each:%B} {each.day}, {each.year}"
        for day, each in enumerate(at)
    ]
    columns = {
        "article_id": [f"{day:016d}" for day in range(DAYS)], "published_at": at, "known_at": at, "title": titles,
        "source": ["wire"] * DAYS, "text": [""] * DAYS, "url": [""] * DAYS, "language": ["en"] * DAYS,
        "date_only": [False] * DAYS,
    }  # fmt: skip
    news.put_articles(describe(pl.DataFrame(columns, ARTICLE_SCHEMA)))
    price, rows = 100.0, []
    for hour in range((DAYS + 3) * 24):
        day = (hour - 13) // 24
        rows.append((FIRST + hour * HOUR, price))
        price *= 1.001 if rises(day) else 0.999
    table = pl.DataFrame(rows, {"open_time": pl.Datetime("us", "UTC"), "open": pl.Float64()}, orient="row")
    for (month,), part in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
        prices.write(BTC, month_of(month), part.with_columns(close_time=pl.col("open_time") + HOUR))  # type: ignore[arg-type]
    return LeakTest(news, prices, (BTC,))


@dataclass
class Model:
    side: Callable[[str], float | None]
    name: str = "openai/remembers"

    def score(self, texts: Sequence[str]) -> list[Sentiment | None]:
        said = [self.side(text) for text in texts]
        return [None if each is None else Sentiment(each, 1.0) for each in said]


def remembers(text: str) -> float:
    """It was trained until the cut-off: it knows a day by its date; otherwise it goes by the number of letters."""
    for day in range(DAYS):
        at = FIRST + timedelta(days=day, hours=12)
        if at.date() <= CUT_OFF and text.startswith("Bitcoin") and f"{at:%B} {at.day}, {at.year}" in text:
            return 1.0 if rises(day) else -1.0
    return 1.0 if len(text) % 2 else -1.0


def test_memory_shows_before_the_day_and_nowhere_else(test: LeakTest) -> None:
    leak = test.measure(Model(remembers), CUT_OFF, FIRST, END, 500)
    assert (leak.before.articles, leak.after.articles) == (92, 108)
    assert leak.before.named == 1.0
    assert leak.before.masked < 0.75
    assert leak.estimate > 3 * leak.error > 0
    assert facts(leak)["estimate"] == leak.estimate


@pytest.mark.parametrize("side", [lambda text: 0.0, lambda text: None, lambda text: 1.0])
def test_who_reads_no_names_leaks_nothing(test: LeakTest, side: Callable[[str], float | None]) -> None:
    leak = test.measure(Model(side), CUT_OFF, FIRST, END, 500)
    assert leak.estimate == leak.error == 0.0


def test_no_more_articles_are_asked_about_than_allowed_and_always_the_same(test: LeakTest) -> None:
    asked: list[str] = []

    def note(text: str) -> float:
        asked.append(text)
        return 1.0

    first = test.measure(Model(note), CUT_OFF, FIRST, END, 10)
    assert (first.before.articles, first.after.articles, len(asked)) == (10, 10, 40)
    before, asked[:] = list(asked), []
    test.measure(Model(note), CUT_OFF, FIRST, END, 10)
    assert asked == before


def test_a_side_without_articles_is_said(test: LeakTest) -> None:
    with pytest.raises(InvalidValue, match="no article after 2024-05-31"):
        test.measure(Model(remembers), CUT_OFF, FIRST, datetime(2024, 5, 31, tzinfo=UTC), 10)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("XRP rises after May 9, 2024 ruling", "Bitcoin rises after that day ruling"),
        ("In 2022 Ether fell", "In that day Bitcoin fell"),
        ("Ripple wins on 2023-07-13", "Bitcoin wins on that day"),
    ],
)
def test_names_and_days_are_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_it_is_printed_with_its_error(test: LeakTest) -> None:
    show(
        test.measure(Model(remembers), CUT_OFF, FIRST, END, 500),
        Console(file=(out := io.StringIO()), width=200),
    )
    assert "up to 2024-05-31" in out.getvalue()
    assert "standard error" in out.getvalue()
