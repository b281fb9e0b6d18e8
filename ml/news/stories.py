"""Which articles tell the same story: a wire story that four newspapers print is one piece of news, not four.

An article belongs to the story of the first one that it is a copy of (`copies.py`), of those that were known at most
`WINDOW` earlier. A source that prints the same words again under another address repeats itself. One without addresses
cannot be told from a column that always begins alike: its articles are compared with those of other sources alone.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from ml.news.copies import MIN_SHINGLES, Telling, is_copy, resembles
from ml.news.headlines import spelled

WINDOW = timedelta(hours=48)
MAX_COMMON = (
    50  # a run of words of more stories is passed over when stories are looked for: it tells none apart
)


def story_ids(tellings: Iterable[Telling]) -> dict[str, str]:
    """Return the id of the article that told each one's story first; `tellings` sorted by their `order`."""
    stories = _Stories()
    return {each.article_id: stories.first_of(each) for each in tellings}


@dataclass(slots=True)
class _Stories:
    """The first tellings of the last `WINDOW`, by what a copy has in common with them."""

    firsts: deque[Telling] = field(default_factory=deque)
    by_words: dict[str, list[Telling]] = field(default_factory=lambda: defaultdict(list))
    by_shingle: dict[str, list[Telling]] = field(default_factory=lambda: defaultdict(list))

    def first_of(self, article: Telling) -> str:
        while self.firsts and self.firsts[0].known_at < article.known_at - WINDOW:
            self._forget(self.firsts.popleft())
        for first in sorted(self._alike(article), key=lambda each: each.order):
            if _may_be_copy(article, first) and is_copy(article, first):
                return first.article_id
        self._remember(article)
        return article.article_id

    def _alike(self, article: Telling) -> set[Telling]:
        """Return the first tellings that have the same words, the same headline, or runs of words in common."""
        same = {first for key in _same(article) for first in self.by_words.get(key, ())}
        if len(article.shingles) < MIN_SHINGLES:
            return same
        sharing: set[Telling] = set()
        for shingle in article.shingles:
            found = self.by_shingle.get(shingle, ())
            if len(found) <= MAX_COMMON:
                sharing.update(found)
        return same | {first for first in sharing if resembles(article, first)}

    def _keys(self, article: Telling) -> Iterator[tuple[dict[str, list[Telling]], str]]:
        yield from ((self.by_words, key) for key in _same(article))
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


def _same(article: Telling) -> Iterator[str]:
    yield article.content_hash
    if article.headline:
        yield " ".join(spelled(article.headline))


def _may_be_copy(article: Telling, first: Telling) -> bool:
    return article.source != first.source or bool(article.url and first.url)
