"""Rewrites news so that a scorer that knows single words sees phrases and endings.

Each becomes one made-up word that `VALENCES` knows.
"""

import re

from ml.sentiment import endings
from ml.sentiment.finance_lexicon import PHRASES

_PHRASE = re.compile(
    r"\b(?:"
    + "|".join(
        r"[\s-]+".join(map(re.escape, phrase.split())) for phrase in sorted(PHRASES, key=len, reverse=True)
    )
    + r")\b",
    re.IGNORECASE,
)

VALENCES = endings.VALENCES | {phrase.replace(" ", "_"): valence for phrase, valence in PHRASES.items()}


def mark_phrases(text: str) -> str:
    """Join phrases and replace endings by words of `VALENCES`."""
    return _PHRASE.sub(lambda found: re.sub(r"[\s-]+", "_", found[0]).lower(), endings.mark_endings(text))
