"""Words of headlines and texts as they are compared: what a paper adds for itself does not count.

Wire services mark their updates ("UPDATE 1-", "BREAKING:"), papers write their name behind a headline, and each has
its own quotation marks, case and way to write a number.
"""

import re
import unicodedata
from decimal import Decimal

# What only says that something is new. "CORRECTED" is none of them: it says that something was wrong.
_MARK = re.compile(
    r"^(?:\W*(?:update|wrap-?up|rpt|repeat|refile|brief|graphic|breaking(?: news)?|just in|exclusive|urgent|"
    r"developing|flash|(?:news )?alert|news ?flash)(?:\s+\d+)?\W{0,2}?[-–—:|\]]\s*|"
    r"(?-i:(?:BREAKING(?: NEWS)?|JUST IN|URGENT)\s+(?=.*[a-z])))+",
    re.IGNORECASE,
)
# A name behind a bar, or behind a dash where it is known to be a paper's.
_BAR = re.compile(r"\s*\|\s*[^|]{1,40}$")
_PAPER = re.compile(
    r"\s+[-–—]\s+(?:(?:[A-Z][\w.&'’]*\s+){0,3}(?:News|Times|Post|Paper|Journal|Herald|Tribune|Magazine|Gazette)|Reuters|"
    r"Bloomberg|AP|Associated Press|AFP|dpa|CNBC|CNN|BBC|CoinDesk|Cointelegraph|Decrypt|The Block|Forbes|WSJ|Fortune|"
    r"MarketWatch|Benzinga|Yahoo Finance)(?:\.com)?\s*$",
    re.IGNORECASE,
)
# In a headline that is not written Like This, four words or fewer that are: a paper that nobody has heard of.
_CAPITALISED = re.compile(r"\s+[-–—]\s+[A-Z][\w.&'’]*+(?:\s+[A-Z][\w.&'’]*+){0,3}\s*$")
_SMALL_WORD = re.compile(r"\s[a-z]{4,}")
_DENIAL = re.compile(
    r"no|not|never|none|neither|nor|cannot|without|false(?:ly)?|fake[ds]?|hoax(?:es)?|untrue|unfounded|debunk\w*|"
    r"den(?:y|ies|ied|ying|ials?)|retract\w*|correct(?:s|ed|ions?)?|clarif\w+|refut\w+|rebut\w*|disput\w+|dismiss\w*|"
    r"revers(?:e[ds]?|al)|overturn\w*|rescind\w*|revok\w+|cancel\w*|withdr(?:aws?|awn|ew)|hack(?:ed|ers?)|"
    r"compromised|misreport\w*|mistake\w*|wrong(?:ly)?|errors?|unconfirmed|erroneous\w*|apologi[sz]\w+|confirm\w*|rumou?rs?|alleg\w+"
)
_GOOD = re.compile(
    r"up|higher|safe(?:ly)?|r[io]s(?:es?|en|ing)|gain\w*|jump\w*|surg\w+|soar\w*|rall(?:y|ies|ied|ying)|climb\w*|"
    r"rebound\w*|recover\w*|advanc\w+|approv\w+|accept\w*|allow\w*|legal\w*|win|wins|won|winning|favou?r\w*|back(?:s|ed)|"
    r"support\w*|secur\w+|bull\w*|buy\w*|bought|adopt\w*|resum\w+|opens?|reopen\w*|launch\w*|lift\w*|solvent|returns?|"
    r"returned|lists?|listed|adds?|added|profit\w*|beat\w*|strong\w*"
)
_BAD = re.compile(
    r"down|lower|unsafe|fall\w*|fell|drop\w*|plung\w+|slump\w*|slid\w*|sinks?|sank|tumbl\w+|crash\w*|plummet\w*|dip\w*|"
    r"declin\w+|reject\w*|refus\w+|block\w*|ban|bans|banned|illegal\w*|los[et]\w*|loss\w*|against|su(?:es?|ed|ing)|"
    r"stolen|steal\w*|stole|hack\w*|exploit\w*|drain\w*|attack\w*|bear\w*|sell\w*|sold|abandon\w*|halt\w*|suspend\w*|"
    r"clos(?:es?|ed|ing)|delay\w*|insolven\w+|bankrupt\w*|collaps\w+|fail\w*|freez\w+|froze\w*|seiz\w+|delist\w*|"
    r"drops?|removes?|removed|miss(?:es|ed)?|weak\w*|fraud\w*|fine[sd]|charg(?:es|ed)|gone"
)
_SHORT_NOT = re.compile(r"n['’]t\b")
_TOKEN = re.compile(
    r"(?<!\w)(\d+(?:[.,]\d+){0,8})(?:\s?(thousand|k|million|mln|mn|m|billion|bln|bn|b|trillion|tn))?(?!\w)|\w+"
)
_GROUPED = re.compile(r"[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")
_UNITS = {"t": 10**3, "k": 10**3, "m": 10**6, "b": 10**9, "tr": 10**12, "tn": 10**12, "": 1}
_SPELLED = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_IN_WORDS = {word: str(number) for number, word in enumerate(_SPELLED)}
_MINOR = frozenset({"a", "an", "the", "s", "and", "percent", "pct"})
_MAX_DIGITS = 25  # more is no quantity


def bare_headline(title: str, source: str) -> str:
    """Take marks of novelty from the front and the name of a paper from the end; `source` is the article's own."""
    plain = unicodedata.normalize("NFKC", title)
    own = (
        re.sub(rf"\s*[-–—|:]\s*{re.escape(source)}\s*$", "", plain, flags=re.IGNORECASE) if source else plain
    )
    bare = _MARK.sub("", own or plain)
    for name in (_BAR, _PAPER, _CAPITALISED):
        found = name.search(bare)
        if not found or (name is _CAPITALISED and not _SMALL_WORD.search(bare[: found.start()])):
            continue
        if not _says_something(words(found[0])):
            bare = bare[: found.start()]
    return bare.strip() or title


def _says_something(found: list[str]) -> bool:
    return any(_tones(found)) or bool(numbers(found) or says_otherwise(found))


def words(text: str) -> list[str]:
    """Return the words in one case and width; a number is its value, however it is written."""
    plain = _SHORT_NOT.sub(" not", unicodedata.normalize("NFKC", text).casefold())
    return [
        _value(each[1], each[2] or "") if each[1] else _IN_WORDS.get(each[0], each[0])
        for each in _TOKEN.finditer(plain)
    ]


def content_words(text: str) -> list[str]:
    """Return the words without articles and signs."""
    return [word for word in words(text) if word not in _MINOR]


def spelled(found: list[str]) -> list[str]:
    """Return the words without a plural or third person's s, and British ones in American spelling."""
    return [
        re.sub(r"our(?=s?$|[eia])", "or", word).removesuffix("s") if len(word) > 4 else word for word in found
    ]


def numbers(found: list[str]) -> frozenset[str]:
    """Return the numbers among the words."""
    return frozenset(word for word in found if word[0].isdecimal())


def says_otherwise(found: list[str]) -> frozenset[str]:
    """Return the words that deny, correct or confirm, by their beginning: "denies" and "denied" are one."""
    return frozenset(word[:3] for word in found if _DENIAL.fullmatch(word))


def turns(removed: list[str], added: list[str]) -> bool:
    """Return whether good became bad or bad became good: "safe" and "stolen"."""
    was, now = _tones(removed), _tones(added)
    return (was[0] and now[1]) or (was[1] and now[0])


def loses_tone(removed: list[str], added: list[str]) -> bool:
    """Return whether other words stand where good or bad was said, or say it where nothing was: "safe" and "gone"."""
    return bool(removed and added) and _tones(removed) != _tones(added)


def _tones(found: list[str]) -> tuple[bool, bool]:
    good, bad = (any(tone.fullmatch(word) for word in found) for tone in (_GOOD, _BAD))
    return good, bad


def _value(digits: str, unit: str) -> str:
    if len(digits) > _MAX_DIGITS:
        return digits
    if _GROUPED.fullmatch(digits):
        plain = re.sub(r"[.,]", "", digits)
    else:
        whole, point, rest = digits.replace(",", ".").rpartition(".")
        plain = f"{whole.replace('.', '')}{point}{rest}"
    scale = _UNITS[unit[:2] if unit.startswith(("tr", "tn")) else unit[:1]]
    return f"{(Decimal(plain) * scale).normalize():f}"
