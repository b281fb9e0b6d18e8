"""Rewrites news so that a scorer that knows single words sees phrases, burdens that shrink, and comparisons.

`net loss narrowed` is good news made of bad words, and `profit was EUR 3 mn, compared to EUR 5 mn` is bad
news made of none. Each finding becomes one made-up word that `VALENCES` knows.
"""

import re

from ml.sentiment import endings
from ml.sentiment.finance_lexicon import PHRASES

_BURDEN = r"(?:loss|losses|costs?|expenses?|debts?|deficit|fees?)"
_FALL = (
    r"(?:fell|falls?|fallen|decreas\w+|declin\w+|narrow\w*|shr[aiu]nk\w*|reduc\w+|lower|lowers|lowered|cut|cuts"
    r"|dropp?\w*)"
)
_RISE = r"(?:rose|rises?|risen|increas\w+|grew|grows?|grown|widen\w+|higher|climb\w+|doubled)"
_GAP = r"(?:\W+\w+){0,3}?\W+"  # up to three words in between: "losses in the quarter narrowed"
_BURDEN_FELL = re.compile(rf"\b{_BURDEN}{_GAP}{_FALL}\b|\b{_FALL}{_GAP}{_BURDEN}\b", re.IGNORECASE)
_BURDEN_ROSE = re.compile(rf"\b{_BURDEN}{_GAP}{_RISE}\b|\b{_RISE}{_GAP}{_BURDEN}\b", re.IGNORECASE)

_SUBJECT = re.compile(
    r"\b(?:profits?|sales|earnings|eps|income|revenues?|turnover|result|margin|loss|cash flow|ebitda"
    r"|orders?|volume)\b",
    re.IGNORECASE,
)
_AGAINST = re.compile(
    r"\b(?:compared (?:to|with)|versus|vs\.?|against|while a year (?:before|ago|earlier))\b", re.IGNORECASE
)
_AMOUNT = re.compile(
    r"(?<![\w.,])(?:EUR|USD|SEK|NOK|DKK|US\$|[$€£])?\s?(\d{1,3}(?:,\d{3})+|\d+)(?:\s?\.\s?(\d+))?(?=[\s%a-z,.)]|$)"
)
_LOSS = re.compile(r"\bloss\b", re.IGNORECASE)
_LOSS_REACH = 30  # characters between the word "loss" and its amount
_PHRASE = re.compile(
    r"\b(?:"
    + "|".join(
        r"[\s-]+".join(map(re.escape, phrase.split())) for phrase in sorted(PHRASES, key=len, reverse=True)
    )
    + r")\b",
    re.IGNORECASE,
)

VALENCES = (
    endings.VALENCES
    | {phrase.replace(" ", "_"): valence for phrase, valence in PHRASES.items()}
    | {
        "burden_fell": 2.4,
        "burden_rose": -2.4,
        "rose_over_the_year": 2.8,
        "fell_over_the_year": -2.8,
    }
)


def mark_phrases(text: str) -> str:
    """Join phrases and replace burdens and comparisons by words of `VALENCES`."""
    comparison = _comparison(text)
    text = endings.mark_endings(text)
    text = _BURDEN_ROSE.sub(" burden_rose ", _BURDEN_FELL.sub(" burden_fell ", text))
    joined = _PHRASE.sub(lambda found: re.sub(r"[\s-]+", "_", found[0]).lower(), text)
    return f"{joined} {comparison}" if comparison else joined


def _comparison(text: str) -> str:
    """Say if the first compared pair of amounts rose or fell; empty when nothing is compared."""
    against = _AGAINST.search(text)
    if against is None or not _SUBJECT.search(text):
        return ""
    now, before = _amounts(text[: against.start()]), _amounts(text[against.end() :])
    if not now or not before or now[-1] == before[0]:
        return ""
    return "rose_over_the_year" if now[-1] > before[0] else "fell_over_the_year"


def _amounts(text: str) -> list[float]:
    """Amounts in order of appearance, losses below zero; whole numbers that look like a year are left out."""
    amounts = []
    for found in _AMOUNT.finditer(text):
        whole, decimals = found[1].replace(",", ""), found[2]
        if decimals is None and 1990 <= int(whole) <= 2030:
            continue
        sign = -1 if _LOSS.search(text, max(0, found.start() - _LOSS_REACH), found.start()) else 1
        amounts.append(sign * float(f"{whole}.{decimals or 0}"))
    return amounts
