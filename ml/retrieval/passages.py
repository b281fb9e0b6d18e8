"""An article as passages short enough for an embedding model to read whole."""

import re

CHUNKING = "sentences-600"  # a part of the embedding version: other rules need another name, and a back-fill
MAX_CHARACTERS = (
    600  # of a passage, beside its title; 256 tokens, which the packaged model reads, are about 1,000
)
MAX_REPEATED = (
    200  # a sentence up to this length ends one passage and begins the next: who "it" is stays known
)
MAX_PASSAGES = 32  # of an article; what stands behind them is found by its words alone
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")


def passages(title: str, text: str) -> tuple[str, ...]:
    """Cut the text between sentences; each passage begins with the title. An article without text is its title."""
    body = text.strip().removeprefix(title).lstrip(" .:–—-\n")
    heading = f"{title.rstrip('.')}. " if title.strip() else ""
    return tuple(f"{heading}{each}".strip() for each in _bodies(body)[:MAX_PASSAGES])


def _bodies(text: str) -> list[str]:
    bodies: list[str] = []
    current: list[str] = []
    for sentence in _short_sentences(text):
        if current and len(" ".join([*current, sentence])) > MAX_CHARACTERS:
            bodies.append(" ".join(current))
            fits = len(current[-1]) <= MAX_REPEATED and len(current) > 1
            current = [current[-1]] if fits and len(current[-1]) + len(sentence) < MAX_CHARACTERS else []
        current.append(sentence)
    return [*bodies, " ".join(current)]


def _short_sentences(text: str) -> list[str]:
    """Split into sentences; one that is longer than a passage, or has no end, is cut between words."""
    found = []
    for sentence in filter(None, _SENTENCE_END.split(text)):
        while len(sentence) > MAX_CHARACTERS:
            cut = sentence.rfind(" ", 1, MAX_CHARACTERS + 1)
            cut = cut if cut > 0 else MAX_CHARACTERS
            found.append(sentence[:cut].strip())
            sentence = sentence[cut:].strip()
        found.append(sentence)
    return list(filter(None, found))
