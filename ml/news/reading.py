"""What a source on the network has said, as articles (ARTICLE_SCHEMA).

What a source says of an article is known when it was read, not when it was published. Of an article whose text changes
later the first version stays; a new title is a new article of the same story.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import polars as pl

from ml.news.articles import digest_fields, first_sentence
from trading.errors import NewsUnreachable
from trading.ports import ARTICLE_SCHEMA

MAX_TITLE = 500  # characters
MAX_TEXT = 20_000
_DAY = timedelta(days=1)
MAX_AHEAD = timedelta(days=2)  # a clock of another zone that goes wrong; a date beyond it is none

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class ReadingRules:
    languages: frozenset[
        str
    ]  # an article in none of them is left out; one whose language nobody knows is not
    max_age: timedelta  # what was published longer ago is no news any more


@dataclass(frozen=True, slots=True)
class Entry:
    """What a source says of one article; times in UTC."""

    guid: str
    source: str
    title: str
    text: str
    url: str
    language: str
    published_at: datetime | None
    date_only: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The articles of one source, and how many of its entries were left out by reason."""

    articles: pl.DataFrame = field(default_factory=ARTICLE_SCHEMA.to_frame)  # by published_at
    left_out: Counter[str] = field(default_factory=Counter)


class Reader(Protocol):
    """A source on the network."""

    @property
    def name(self) -> str: ...

    def read(self) -> Reading:
        """Read what it has now. NewsUnreachable or NotAuthorised where it cannot be read."""


def reading(entries: Iterable[Entry], known_at: datetime, rules: ReadingRules, name: str) -> Reading:
    """Select what is news at `known_at`. NewsUnreachable where none of the entries can be used."""
    left_out: Counter[str] = Counter()
    rows, count = [], 0
    for entry in entries:
        count += 1
        why = _why_not(entry, known_at, rules)
        if why:
            left_out[why] += 1
        else:
            rows.append(_row(entry, known_at))
    unusable = left_out["undated"] + left_out["dated in the future"] + left_out["without text"]
    if count and unusable == count:
        raise NewsUnreachable(f"{name}: none of its {count} entries has a date and a text")
    table = pl.DataFrame(rows, ARTICLE_SCHEMA, orient="row").unique(
        "article_id", keep="first", maintain_order=True
    )
    return Reading(table.sort("published_at", "article_id"), left_out)


def _why_not(entry: Entry, known_at: datetime, rules: ReadingRules) -> str:
    if entry.published_at is None:
        return "undated"
    if entry.published_at > known_at + MAX_AHEAD:
        return "dated in the future"
    if not (entry.title or entry.text):
        return "without text"
    if entry.language and entry.language not in rules.languages:
        return "in another language"
    ends = entry.published_at + (_DAY if entry.date_only else timedelta(0))
    return "old" if known_at - ends > rules.max_age else ""


def _row(entry: Entry, known_at: datetime) -> tuple[Any, ...]:
    assert entry.published_at is not None
    # What is here was published: a later stamp is the mistake of the source's clock.
    published = min(entry.published_at, known_at)
    if entry.date_only:
        published = published.replace(hour=0, minute=0, second=0, microsecond=0)
    title = entry.title or first_sentence(entry.text)[:MAX_TITLE]
    made = digest_fields("feed", entry.source, entry.guid or entry.url, title)
    return (
        made, published, known_at, entry.source, title, entry.text, entry.url, entry.language, entry.date_only,
    )  # fmt: skip
