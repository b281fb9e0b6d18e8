"""Which articles tell the same story: a wire story that four newspapers print is one piece of news, not four.

An article is a copy of one that was known before it, at most `WINDOW` earlier, where both have the same address, the
same words, or nearly so: of the runs of three words (shingles) in title and opening most are common to both. Broder,
"On the resemblance and containment of documents", 1997: resemblance is the common share of both together, containment
that of the shorter one, which finds a text that was cut.

A source that prints the same words again under another address repeats itself. One without addresses cannot be told
from a column that always begins alike: its articles are compared with those of other sources alone.
"""

import re
import unicodedata
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ml.news.articles import article_excerpt, digest_fields

WINDOW = timedelta(hours=48)
SHINGLE = 3  # words
MIN_RESEMBLANCE = 0.6
MIN_CONTAINMENT = 0.8
MIN_SHINGLES = 5  # fewer: only the same words are the same story
MAX_COMMON = (
    50  # a run of words of more stories is passed over when stories are looked for: it tells none apart
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Telling:
    """What of an article tells stories apart."""

    article_id: str
    known_at: datetime
    source: str
    url: str
    content_hash: str
    shingles: frozenset[str]


def telling(article_id: str, known_at: datetime, source: str, title: str, text: str, url: str) -> Telling:
    words = _words(article_excerpt(_without_source(title, source), text))
    shingles = frozenset(" ".join(words[at : at + SHINGLE]) for at in range(max(len(words) - SHINGLE + 1, 0)))
    return Telling(article_id, known_at, source, url, content_hash(title, text, source), shingles)


def content_hash(title: str, text: str, source: str) -> str:
    """Compute a digest of the words: case, punctuation, width and a source's own name behind the title do not count."""
    return digest_fields(" ".join(_words(_without_source(title, source))), " ".join(_words(text)))


def story_ids(tellings: Iterable[Telling]) -> dict[str, str]:
    """Return the id of the article that told each one's story first; `tellings` in the order of `known_at`."""
    stories = _Stories()
    return {each.article_id: stories.first_of(each) for each in tellings}


@dataclass(slots=True)
class _Stories:
    """The first tellings of the last `WINDOW`, by what a copy has in common with them."""

    firsts: deque[Telling] = field(default_factory=deque)
    by_content: dict[str, list[Telling]] = field(default_factory=lambda: defaultdict(list))
    by_address: dict[str, list[Telling]] = field(default_factory=lambda: defaultdict(list))
    by_shingle: dict[str, list[Telling]] = field(default_factory=lambda: defaultdict(list))

    def first_of(self, article: Telling) -> str:
        while self.firsts and self.firsts[0].known_at < article.known_at - WINDOW:
            self._forget(self.firsts.popleft())
        for first in self._alike(article):
            if _may_be_copy(article, first):
                return first.article_id
        self._remember(article)
        return article.article_id

    def _alike(self, article: Telling) -> Iterator[Telling]:
        """Yield the first tellings that say the same, the earliest of each kind first."""
        if article.url:
            yield from self.by_address.get(article.url, ())
        yield from self.by_content.get(article.content_hash, ())
        if len(article.shingles) < MIN_SHINGLES:
            return
        sharing: set[Telling] = set()
        for shingle in article.shingles:
            found = self.by_shingle.get(shingle, ())
            if len(found) <= MAX_COMMON:
                sharing.update(found)
        for first in sorted(sharing, key=lambda each: (each.known_at, each.article_id)):
            if _resembles(article, first):
                yield first

    def _keys(self, article: Telling) -> Iterator[tuple[dict[str, list[Telling]], str]]:
        yield self.by_content, article.content_hash
        if article.url:
            yield self.by_address, article.url
        yield from ((self.by_shingle, shingle) for shingle in article.shingles)

    def _remember(self, article: Telling) -> None:
        self.firsts.append(article)
        for index, key in self._keys(article):
            index[key].append(article)

    def _forget(self, article: Telling) -> None:
        for index, key in self._keys(article):
            index[key].remove(article)
            if not index[key]:
                del index[key]


def _may_be_copy(article: Telling, first: Telling) -> bool:
    return article.source != first.source or bool(article.url and first.url)


def _resembles(article: Telling, first: Telling) -> bool:
    shorter = min(len(article.shingles), len(first.shingles))
    if shorter < MIN_SHINGLES:
        return False
    both = len(article.shingles & first.shingles)
    resemblance = both / (len(article.shingles) + len(first.shingles) - both)
    return resemblance >= MIN_RESEMBLANCE or both / shorter >= MIN_CONTAINMENT


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _without_source(title: str, source: str) -> str:
    """Take the source's own name away from the end of a title: "Bank adds bitcoin - The Daily Coin"."""
    bare = re.sub(rf"\s*[-–—|:]\s*{re.escape(source)}\s*$", "", title, flags=re.IGNORECASE) if source else ""
    return bare or title
