"""The part of an article that models read."""

import re

_OPENING = 300  # characters: the packaged model reads 256 tokens, and news says what matters first
# A full stop before the 25th character is an abbreviation: "U.S. Senator ..."
_FIRST_SENTENCE = re.compile(r".{25,}?[.!?…](?=\s|$)", re.DOTALL)


def embedded_text(title: str, text: str) -> str:
    """Title and the opening of the text, cut at a word; no title where the text begins with it."""
    opening = text if len(text) <= _OPENING else text[:_OPENING].rsplit(" ", 1)[0]
    if not title or opening.startswith(title):
        return opening
    return f"{title.rstrip('.')}. {opening}".strip()


def first_sentence(text: str) -> str:
    """What stands in for a missing title; the whole text when no sentence ends in it."""
    found = _FIRST_SENTENCE.match(text.strip())
    return found[0] if found else text.strip()
