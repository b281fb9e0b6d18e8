"""The identity of an article, and the part of it that models read."""

import hashlib
import re
from datetime import datetime

import polars as pl

_UNIT_SEPARATOR = "\x1f"  # cannot occur in a title: two fields never run into one
_OPENING = 300  # characters: the packaged model reads 256 tokens, and news says what matters first
# A full stop before the 25th character is an abbreviation: "U.S. Senator ..."
_FIRST_SENTENCE = re.compile(r".{25,}?[.!?…](?=\s|$)", re.DOTALL)


def article_id(source: str, published_at: datetime, title: str, text: str) -> str:
    """Compute 32 hexadecimal digits; the same article always has the same id."""
    return digest_fields(source, published_at.isoformat(), title, text)


def digest_fields(*fields: str) -> str:
    """Compute 32 hexadecimal digits of the fields; text that is no Unicode counts as what replaces it."""
    joined = _UNIT_SEPARATOR.join(fields)
    return hashlib.blake2b(joined.encode(errors="replace"), digest_size=16).hexdigest()


def language_code(tag: pl.Expr) -> pl.Expr:
    """Reduce language tags such as en-US or EN to en; empty where there is none."""
    return tag.str.strip_chars().str.to_lowercase().str.extract(r"^([a-z]{2,3})(?:[-_]|$)").fill_null("")


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
