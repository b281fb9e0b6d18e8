"""Which crypto assets a text names: names and tickers as newspapers write them, and what only looks like one.

Four kinds. A name or ticker that means nothing else counts in any spelling. One that is a word too, or a name of
something else, counts in the spelling that newspapers use for the asset. A ticker that abbreviates something else too
counts where the text speaks of the market: of another asset or this trade, or beside it of a price. In a text all in
capitals only what stands beside it counts. A market's name such as BTCUSDT names both of its assets.

Idioms, names of companies and magazines, longer names of other coins, and addresses are taken out first.
"""

import re
from collections.abc import Iterable

from ml.news.asset_words import (
    AMBIGUOUS,
    ANY_CASE,
    AS_WRITTEN,
    CRYPTO_WORDS,
    DEALS,
    MOVES,
    NOT_IT,
    OTHER_COINS,
    QUOTES,
)
from trading.market import Pair

_MAX_CAPITALS = 0.8  # share of the letters; more is a text all in capitals
_MIN_LETTERS = 16  # "SOL, DOT and LINK": a text too short to tell
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|\b[\w.+-]+@[\w-]+\.\w+")
# A letter or digit of a word. Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer put no space behind a foreign
# word, so that theirs end it.
_LETTER = (
    r"[^\W\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    r"\uff66-\uffdc\U00020000-\U0003134f]"
)
# A cashtag or hashtag may stand before, a plural or possessive s behind; feeds that strip apostrophes write
# "Bitcoins rally". Part of a longer word, or behind a hyphen, is another word.
_BEFORE, _BEHIND = rf"(?<!{_LETTER})(?<!-)", rf"(?:['’]?s)?(?!{_LETTER})"


def _pattern(words: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(rf"{_BEFORE}(?:{words}){_BEHIND}", flags)


def _beside(ticker: str) -> re.Pattern[str]:
    """Match the ticker as a cashtag, or beside what is done with things that are traded: "ADA and SOL jump"."""
    others = rf"(?:\s*(?:[,/&+]|\b(?i:and)\b)\s*(?:(?i:and) )?\$?(?:{'|'.join([*ANY_CASE, 'XBT'])}))*"
    return re.compile(
        rf"\${ticker}{_BEHIND}|{_BEFORE}{ticker}{others}{_BEHIND}[\s:]+(?:\w+ly\s+)?(?i:{MOVES}|{CRYPTO_WORDS})(?!\w)"
        rf"|(?<!\w)(?i:{DEALS})\s+(?:(?:of|for|in|into)\s+)?{ticker}{_BEHIND}",
    )


_NAMES = [(asset, _pattern(words, re.IGNORECASE)) for asset, words in ANY_CASE.items()]
_SPELLINGS = [(asset, _pattern(words, re.NOFLAG)) for asset, words in AS_WRITTEN.items()]
_BESIDE = {ticker: _beside(ticker) for ticker in AMBIGUOUS}
_AMBIGUOUS = _pattern("|".join(AMBIGUOUS), re.NOFLAG)
_CRYPTO = _pattern(CRYPTO_WORDS, re.IGNORECASE)
_MARKET = re.compile(
    rf"{_BEFORE}({'|'.join([*ANY_CASE, 'XBT'])})[-/_:]?({QUOTES})(?:[-_.]?(?:PERP|SWAP|P))?(?!{_LETTER})"
)
_OTHERS = re.compile(rf"{_BEFORE}(?:{'|'.join(OTHER_COINS)})(?!{_LETTER})", re.IGNORECASE)
_MASKS = {
    asset: re.compile(rf"{_BEFORE}(?:{'|'.join(phrases)})", re.IGNORECASE)
    for asset, phrases in NOT_IT.items()
}
KNOWN_ASSETS = frozenset(ANY_CASE)
PEGGED = frozenset({"USDT", "USDC"})


def find_assets(text: str, around: str = "") -> set[str]:
    """Find the tickers of the assets that the text names as whole words; empty for crypto news in general.

    `around` is the whole of which the text is a part: a ticker that means something else too is understood by it.
    """
    plain = _plain(text)
    markets = {{"XBT": "BTC"}.get(each, each) for market in _MARKET.findall(plain) for each in market}
    found = {asset for asset, name in _NAMES if name.search(_unmasked(asset, plain))} | (
        markets & KNOWN_ASSETS
    )
    spelled = {asset for asset, spelling in _SPELLINGS if spelling.search(_unmasked(asset, plain))} - found
    unclear = {asset for asset in spelled if asset in AMBIGUOUS}
    if not unclear:
        return found | spelled
    sure = found | (spelled - unclear)
    if not _speaks_of_market(_plain(around) or plain, sure, unclear):
        unclear = {asset for asset in unclear if _BESIDE[asset].search(_unmasked(asset, plain))}
    return sure | unclear


def _plain(text: str) -> str:
    return _OTHERS.sub(" ", _ADDRESS.sub(" ", text))


def _speaks_of_market(text: str, sure: set[str], unclear: set[str]) -> bool:
    if _is_all_capitals(text):
        return False
    nothing_else = not any(letter.isalpha() for letter in _AMBIGUOUS.sub("", text))
    return (
        bool(sure) or len(unclear) > 1 or nothing_else or _CRYPTO.search(text) is not None or _names_one(text)
    )


def _names_one(text: str) -> bool:
    return any(name.search(_unmasked(asset, text)) for asset, name in _NAMES)


def replace_names(text: str, word: str) -> str:
    """Write `word` for every name of an asset but those that are pegged to a currency."""
    for asset, name in _NAMES + _SPELLINGS:
        if asset not in PEGGED:
            text = name.sub(word, text)
    return text


def news_assets(pair: Pair) -> set[str]:
    """Return the assets whose news are news of the pair: a currency, or a coin pegged to one, is none."""
    return {pair.base, pair.quote} if quote_is_crypto(pair) else {pair.base}


def pairs_named(assets: Iterable[str], pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs of which one asset is named; a currency, or a coin pegged to one, names no pair."""
    named = set(assets)
    return [pair for pair in pairs if named & news_assets(pair)]


def quote_is_crypto(pair: Pair) -> bool:
    """Return whether news of the quote asset counts: not for a currency or a coin that is pegged to one."""
    return pair.quote in KNOWN_ASSETS - PEGGED


def _unmasked(asset: str, text: str) -> str:
    mask = _MASKS.get(asset)
    return mask.sub(" ", text) if mask else text


def _is_all_capitals(text: str) -> bool:
    letters = [letter for letter in text if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    return len(letters) >= _MIN_LETTERS and capitals > _MAX_CAPITALS * len(letters)
