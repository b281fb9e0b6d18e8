"""Whether an article says what an earlier one said: nearly the same words, and nothing else.

An article is a copy where both have the same words, the same headline and no two texts that differ, or nearly the same
words: of the runs of three words (shingles) in title and opening most are common to both. Broder, "On the resemblance
and containment of documents", 1997: resemblance is the common share of both together, containment that of the shorter
one, which finds a text that was cut.

Nearly the same words may say the opposite. Another number, a denial, a correction, or good that became bad is a new
story, and so is a headline of which a word was replaced, unless another paper printed it over the same text. An address
makes no copy: live pages and home pages are the address of many stories.
"""

from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher

from ml.news.articles import article_excerpt, digest_fields
from ml.news.entities import find_assets
from ml.news.headlines import (
    bare_headline,
    content_words,
    loses_tone,
    numbers,
    says_otherwise,
    spelled,
    turns,
    words,
)

SHINGLE = 3  # words
MIN_RESEMBLANCE = 0.6
MIN_CONTAINMENT = 0.8
MIN_SHINGLES = 5  # fewer: only the same words are the same story
MIN_TEXT = SHINGLE + MIN_SHINGLES - 1  # words: fewer say nothing that the headline does not
_OPENING = 60  # words of a text that are compared one by one
_MAX_TURN = 3  # words: a longer passage was written anew, and its tone is no answer to the old one's


@dataclass(frozen=True, slots=True, eq=False)
class Telling:
    """What of an article tells stories apart; an empty `opening` where the text says no more than the title."""

    article_id: str
    known_at: datetime
    published_at: datetime
    source: str
    url: str
    content_hash: str
    shingles: frozenset[str]
    headline: list[str]
    opening: list[str]
    excerpt: str

    @property
    def order(self) -> tuple[datetime, datetime, str]:
        """Sort key: of what became known in one reading, that comes first which was published first."""
        return self.known_at, self.published_at, self.article_id


def telling(
    article_id: str,
    known_at: datetime,
    source: str,
    title: str,
    text: str,
    url: str,
    published_at: datetime | None = None,
) -> Telling:
    bare = bare_headline(title, source)
    excerpt = article_excerpt(bare, text)
    told = words(excerpt)
    beyond = content_words(text.removeprefix(title).removeprefix(bare)[: _OPENING * 10])
    return Telling(
        article_id=article_id,
        known_at=known_at,
        published_at=published_at or known_at,
        source=source,
        url=url,
        content_hash=content_hash(title, text, source),
        shingles=frozenset(
            " ".join(told[at : at + SHINGLE]) for at in range(max(len(told) - SHINGLE + 1, 0))
        ),
        headline=content_words(bare),
        opening=beyond[:_OPENING] if len(beyond) >= MIN_TEXT else [],
        excerpt=excerpt,
    )


def content_hash(title: str, text: str, source: str) -> str:
    """Compute a digest of the words: case, punctuation, width, and what a paper adds to a headline do not count."""
    return digest_fields(" ".join(words(bare_headline(title, source))), " ".join(words(text)))


def is_copy(article: Telling, first: Telling) -> bool:
    """Return whether the later article says what the first one said."""
    if article.content_hash == first.content_hash:
        return True
    removed, added = _changes(first.headline, article.headline)
    return _is_alike(article, first, removed, added) and not _contradicts(article, first, removed, added)


def _is_alike(article: Telling, first: Telling, removed: list[str], added: list[str]) -> bool:
    both_have_texts = bool(article.opening and first.opening)
    if not (removed or added):
        return not both_have_texts or resembles(article, first)
    if both_have_texts and (article.source != first.source or not (removed and added)):
        return resembles(article, first)
    common = len(article.headline) - len(added)
    return not (removed and added) and common >= MIN_CONTAINMENT * (common + len(removed) + len(added))


def _contradicts(article: Telling, first: Telling, removed: list[str], added: list[str]) -> bool:
    """Return whether the later article says something else, in nearly the same words."""
    if says_otherwise(article.headline) != says_otherwise(first.headline) or turns(removed, added):
        return True
    new, old = numbers(added), numbers(removed)
    # A number of one headline alone may stand in the other's text; two different ones are two statements.
    if (new and old) or new - set(words(first.excerpt)) or old - set(words(article.excerpt)):
        return True
    if _opening_contradicts(first.opening, article.opening):
        return True
    now, was = find_assets(article.excerpt), find_assets(first.excerpt)
    return bool(now - was and was - now)


def _opening_contradicts(old: list[str], new: list[str]) -> bool:
    """Compare texts word by word where they overlap: one may begin earlier than the other, or be cut."""
    shorter = min(len(old), len(new))
    if abs(len(old) - len(new)) >= SHINGLE:  # the last words of what was cut may be broken
        old, new = (each[:-2] if len(each) == shorter else each for each in (old, new))
    for tag, old_at, old_end, new_at, new_end in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if tag == "equal":
            continue
        was, now = old[old_at:old_end], new[new_at:new_end]
        at_the_end = old_end == len(old) and new_end == len(new)
        if not at_the_end and says_otherwise(was) != says_otherwise(now):
            return True
        if max(len(was), len(now)) <= _MAX_TURN and (
            loses_tone(was, now) or (numbers(was) and numbers(now) and numbers(was) != numbers(now))
        ):
            return True
    return False


def _changes(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Return the words that were taken out and put in; none where one of both has no headline."""
    removed: list[str] = []
    added: list[str] = []
    if old and new and old != new:
        for tag, old_at, old_end, new_at, new_end in SequenceMatcher(
            None, spelled(old), spelled(new), autojunk=False
        ).get_opcodes():
            if tag != "equal":
                removed += old[old_at:old_end]
                added += new[new_at:new_end]
    return removed, added


def resembles(article: Telling, first: Telling) -> bool:
    """Return whether most runs of words of both, or of the shorter one, are common to both."""
    shorter = min(len(article.shingles), len(first.shingles))
    if shorter < MIN_SHINGLES:
        return False
    both = len(article.shingles & first.shingles)
    resemblance = both / (len(article.shingles) + len(first.shingles) - both)
    return resemblance >= MIN_RESEMBLANCE or both / shorter >= MIN_CONTAINMENT
