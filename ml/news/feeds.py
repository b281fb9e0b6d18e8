"""RSS and Atom feeds as readings of their articles."""

import calendar
import io
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import feedparser
import polars as pl

from ml.news.articles import language_code
from ml.news.feed_text import feed_document, plain_text
from ml.news.fetch import FetchLimits, Page, fetch
from ml.news.reading import MAX_TEXT, MAX_TITLE, Clock, Entry, Reading, ReadingRules, reading
from trading.errors import NewsUnreachable

MAX_ENTRIES = 300  # of one feed; they are newest first
MAX_ADDRESS = 2000  # characters
_DAY = timedelta(days=1)
# Of an address, behind #: who follows it, or a place that every page has.
_MARK = re.compile(
    r"(?:utm_|at_|xtor|ref|source|echobox|intcmp|ns_)[^=]*=.*|top|comments?|respond|:~:.*",
    re.IGNORECASE | re.DOTALL,
)
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_MIDNIGHT = re.compile(r"(?<![\d:])00:00(?::00(?:\.0+)?)?(?![\d:])")


@dataclass(frozen=True, slots=True)
class Feed:
    """`language` is that of the feed where it states none itself."""

    name: str
    url: str
    language: str = ""


class FeedReader:
    """One RSS or Atom feed."""

    def __init__(self, feed: Feed, rules: ReadingRules, limits: FetchLimits, clock: Clock) -> None:
        self._feed = feed
        self._rules = rules
        self._limits = limits
        self._clock = clock

    @property
    def name(self) -> str:
        return self._feed.name

    def read(self) -> Reading:
        try:
            page = fetch(self._feed.url, self._limits)
            return reading(parse_feed(self._feed, page), self._clock(), self._rules, self.name)
        except NewsUnreachable as error:
            said = str(error)
            raise NewsUnreachable(said if said.startswith(self.name) else f"{self.name}: {said}") from error


def parse_feed(feed: Feed, page: Page) -> list[Entry]:
    """Parse a feed of any kind; NewsUnreachable for what is none. An empty feed is no error."""
    document = feed_document(page.body, page.content_type, feed.name)
    # From memory: a text that looks like an address or a path would be opened. No relative links are resolved and no
    # markup is cleaned, since all of it is reduced to plain words.
    try:
        found = feedparser.parse(
            io.BytesIO(document.encode("utf-8", "replace")),
            response_headers={"content-type": "application/xml; charset=utf-8"},
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except Exception as error:  # its second parser, for broken documents, is not proof against all of them
        raise NewsUnreachable(f"{feed.name}: it cannot be parsed: {type(error).__name__}") from error
    if not found.entries and (found.bozo or not found.version):
        raise NewsUnreachable(
            f"{feed.name}: it cannot be read as RSS or Atom ({found.get('bozo_exception', '')})"
        )
    stated = str(found.feed.get("language") or feed.language)
    return [_entry(each, feed.name, stated) for each in found.entries[:MAX_ENTRIES]]


def _entry(found: Any, source: str, language: str) -> Entry:
    contents = found.get("content") or []
    markup = str(contents[0].get("value") or "") if contents else ""
    published, date_only = _published(found)
    title, url = (
        plain_text(str(found.get("title") or ""), MAX_TITLE),
        web_address(str(found.get("link") or "")),
    )
    return Entry(
        guid=str(found.get("id") or url or title)[:MAX_ADDRESS],
        source=source,
        title=title,
        text=plain_text(markup or str(found.get("summary") or ""), MAX_TEXT),
        url=url,
        language=plain_language(str(found.get("language") or language)),
        published_at=published,
        date_only=date_only,
    )


def _published(found: Any) -> tuple[datetime | None, bool]:
    """Return the time, and whether it is a day: no clock time is written, or midnight wherever the source lies."""
    for name in ("published", "updated", "created"):
        # `dict.get`: feedparser's own answers for `updated` with another date, and warns.
        moment, written = dict.get(found, f"{name}_parsed"), str(dict.get(found, name) or "")
        if isinstance(moment, time.struct_time):
            try:
                at = datetime.fromtimestamp(calendar.timegm(moment), UTC)
            except (OverflowError, ValueError, OSError):
                continue
            return at, not _CLOCK.search(written) or bool(_MIDNIGHT.search(written))
    return None, False


def web_address(link: str) -> str:
    """Return an address without marks of who follows it; empty for what is none.

    Behind # stands the item of a live page, unless it is such a mark or a place that every page has.
    """
    try:
        split = urlsplit(link.strip())
    except ValueError:
        return ""
    if split.scheme not in ("http", "https") or not split.netloc or len(link) > MAX_ADDRESS:
        return ""
    query = [(name, value) for name, value in parse_qsl(split.query) if not name.startswith("utm_")]
    fragment = "" if _MARK.fullmatch(split.fragment) else split.fragment
    return split._replace(query=urlencode(query), fragment=fragment).geturl()


def plain_language(tag: str) -> str:
    """Reduce a language tag such as en-US to en."""
    return str(pl.select(language_code(pl.lit(tag))).item())
