"""The identity of an article, and the part of it that models read."""

import hashlib
import re
from datetime import datetime

_UNIT_SEPARATOR = "\x1f"  # cannot occur in a title: two fields never run into one
_OPENING = 300  # characters: the packaged model reads 256 tokens, and news says what matters first
# A full stop before the 25th character is an abbreviation: "U.S. Senator ..."
_FIRST_SENTENCE = re.compile(r".{25,}?[.!?…](?=\s|$)", re.DOTALL)


def article_id(source: str, published_at: datetime, title: str, text: str) -> str:
    """Compute 32 hexadecimal digits; the same article always has the same id."""
    fields = _UNIT_SEPARATOR.join((source, published_at.isoformat(), title, text))
    return hashlib.blake2b(fields.encode(), digest_size=16).hexdigest()


def article_excerpt(title: str, text: str) -> str:
    """Return the title and the opening of the text, cut at a word; no title where the text begins with it."""
    opening = text if len(text) <= _OPENING else text[:_OPENING].rsplit(" ", 1)[0]
    if not title or opening.startswith(title):
        return opening
    return f"{title.rstrip('.')}. {opening}".strip()


def first_sentence(text: str) -> str:
    """Return the first sentence, used for a missing title; the whole text when no sentence ends in it."""
    found = _FIRST_SENTENCE.match(text.strip())
    return found[0] if found else text.strip()
