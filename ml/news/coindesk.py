"""The news interface of CoinDesk Data (before: CCData, CryptoCompare): the newest articles of many papers.

Needs a key of a subscription since May 2026. Known of its answers: an envelope of `Data` and `Err`, where an error may
come with HTTP 200; `PUBLISHED_ON` in seconds since 1970; `LANG` such as EN. It was not asked from here.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from ml.news.feed_text import plain_text
from ml.news.feeds import MAX_ADDRESS, plain_language, web_address
from ml.news.fetch import FetchLimits, fetch
from ml.news.reading import MAX_TEXT, MAX_TITLE, Clock, Entry, Reading, ReadingRules, reading
from trading.errors import NewsUnreachable, NotAuthorised

URL = "https://data-api.coindesk.com"
PATH = "/news/v1/article/list"
KEY = "CRYPTOCOMPARE_API_KEY"  # of the same vendor: candles use it too
MAX_ARTICLES = 100  # of one answer


class _Source(msgspec.Struct):
    NAME: str = ""
    SOURCE_KEY: str = ""


class _Article(msgspec.Struct):
    PUBLISHED_ON: int
    TITLE: str
    ID: int = 0
    GUID: str = ""
    URL: str = ""
    LANG: str = ""
    STATUS: str = "ACTIVE"
    BODY: str | None = None
    SOURCE_DATA: _Source | None = None


class _Error(msgspec.Struct):
    type: int | None = None
    message: str = ""


class _Answer(msgspec.Struct):
    Data: list[msgspec.Raw] | dict[str, Any] | None = None
    Err: _Error = msgspec.field(default_factory=_Error)


class CoinDeskReader:
    """Never shows its key."""

    name = "CoinDesk Data"

    def __init__(
        self, key: str, rules: ReadingRules, limits: FetchLimits, clock: Clock, url: str = URL
    ) -> None:
        self._key = key
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self._url = url

    def read(self) -> Reading:
        """Read the newest articles of every language that the rules name."""
        if not self._key:
            raise NotAuthorised(
                f"{self.name}: [news] coindesk = true needs a key of a subscription in the environment variable {KEY}"
            )
        entries = [entry for language in sorted(self._rules.languages) for entry in self._newest(language)]
        return reading(entries, self._clock(), self._rules, self.name)

    def _newest(self, language: str) -> list[Entry]:
        query = urlencode({"lang": language.upper(), "limit": MAX_ARTICLES})
        page = fetch(f"{self._url}{PATH}?{query}", self._limits, {"Authorization": f"Apikey {self._key}"})
        return parse_articles(page.body)


def parse_articles(body: bytes) -> list[Entry]:
    """Parse an answer. NewsUnreachable for an error in it, and for one whose articles are all of another form."""
    name = CoinDeskReader.name
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NewsUnreachable(f"{name}: the answer is not as documented: {error}") from error
    if answer.Err.message or answer.Err.type is not None:
        raise NewsUnreachable(f"{name}: {answer.Err.message[:300]!r} (type {answer.Err.type})")
    if not isinstance(answer.Data, list):
        raise NewsUnreachable(f"{name}: the answer has neither articles nor an error")
    articles = [article for each in answer.Data if (article := _decoded(each))]
    if answer.Data and not articles:
        raise NewsUnreachable(f"{name}: none of {len(answer.Data)} articles is as documented")
    return [_entry(article) for article in articles if article.STATUS == "ACTIVE"]


def _decoded(raw: msgspec.Raw) -> _Article | None:
    try:
        return msgspec.json.decode(raw, type=_Article)
    except msgspec.DecodeError:
        return None


def _entry(article: _Article) -> Entry:
    source = article.SOURCE_DATA or _Source()
    try:
        published = datetime.fromtimestamp(article.PUBLISHED_ON, UTC)
    except (OverflowError, ValueError, OSError):
        published = None
    return Entry(
        guid=(article.GUID or str(article.ID))[:MAX_ADDRESS],
        source=plain_text(source.NAME or source.SOURCE_KEY, 100) or CoinDeskReader.name,
        title=plain_text(article.TITLE, MAX_TITLE),
        text=plain_text(article.BODY or "", MAX_TEXT),
        url=web_address(article.URL),
        language=plain_language(article.LANG),
        published_at=published,
        date_only=published is not None and article.PUBLISHED_ON % 86_400 == 0,
    )
