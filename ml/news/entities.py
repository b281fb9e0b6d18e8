"""Which crypto assets a text names: names and tickers as newspapers write them, and what only looks like one.

Three kinds. A name or ticker that means nothing else counts in any spelling. One that is a word too, or a name of
something else, counts in the spelling that newspapers use for the asset, and not in a text all in capitals. Idioms,
names of companies and magazines, and addresses are taken out before anything is looked for.
"""

import re
from collections.abc import Iterable

from trading.market import Pair

_ANY_CASE = {
    "BTC": r"bitcoins?|btc|xbt",
    "XRP": r"xrp|ripple",
    "ETH": r"ethereum|ethers?",
    "LTC": r"litecoins?",
    "BCH": r"bitcoin cash|bch",
    "DOGE": r"dogecoins?",
    "ADA": r"cardano",
    "DOT": r"polkadot",
    "BNB": r"binance coin",
    "XLM": r"stellar lumens",
    "XMR": r"monero|xmr",
    "TRX": r"trx",
    "SOL": r"solana",
    "AVAX": r"avax",
    "LINK": r"chainlink",
    "USDT": r"usdt",
    "USDC": r"usdc|usd coin",
}
_AS_WRITTEN = {
    "ETH": r"ETH|eth(?=/)",
    "LTC": r"LTC",
    "DOGE": r"DOGE",
    "ADA": r"ADA",
    "DOT": r"DOT",
    "BNB": r"BNB",
    "XLM": r"XLM",
    "TRX": r"Tron|TRON",
    "SOL": r"SOL",
    "AVAX": r"Avalanche",
    "LINK": r"LINK",
    "USDT": r"Tether|TETHER",
}
# In a text all in capitals these are words: "CLICK THE LINK BELOW". The others are no words in any case.
_WORDS_IN_CAPITALS = {"ADA", "DOT", "SOL", "LINK"}
_MAX_CAPITALS = 0.8  # share of the letters; more is a text all in capitals
_MIN_LETTERS = 16  # "SOL, DOT and LINK": a text too short to tell

# What looks like the asset and is not it, by asset. Taken out of the text before the asset is looked for.
_NOT_IT = {
    "BTC": (
        r"bitcoin (?:cash|gold|sv|diamond|magazine|depot|suisse|pizza day)",
        r"bitcoin\.(?:com|org)",
    ),
    "XRP": (
        r"ripple[ -]effects?",
        r"(?:a|the|another|every) ripples? (?=of\b)",
        r"(?-i:(?:a|another|any|hardly|barely|first|every) ripples?)\b",  # "without making a ripple"
        r"ripples?(?= (?:through|across|out|outwards?|beyond)\b)",
        r"ripples(?= (?:of|in|from|on|in|are|were|spread|reach)\b)",
    ),
    "ETH": (
        r"ETH[ -](?:zurich|zürich|lausanne)",
        r"(?:in|into|through|from|out of|to|on) the ether(?=\s*(?:[.,;:!?)\"”]|$|(?:and|as|with|of|for|after)\b))",
        r"ether (?:oil|bunny)",
    ),
    "DOGE": (
        r"department of government efficiency[^.]*",
        r"doge(?:'s|’s)? (?:cuts?|layoffs?|staff(?:ers)?|team|savings|office|checks?|dividends?|employees|agency|"
        r"task force|department|lawsuit|boss|chief|cost-cutting|website|access)",
        r"the doges? of (?:venice|genoa)",
    ),
    "ADA": (r"ADA[ -](?:complian(?:ce|t)|lawsuits?|act|regulations?|accessib\w+|lovelace)",),
    "DOT": (
        r"(?:US|U\.S\.|the) DOT(?! (?:token|price|coin|holders?|staking|ecosystem|blockchain))",
        r"DOT[ -](?:com|plots?|regulat\w+|secretary|inspector|rules?|number|approved)",
    ),
    "TRX": (r"tron[: ]+(?:ares|legacy|uprising|movies?|films?|sequel)",),
    "AVAX": (
        r"avalanches?(?= (?:of|kills?|killed|hits|buries|danger|warnings?|risk|victims?|rescue)\b)",
        r"(?:an|the|snow|colorado|price|sell) avalanches?(?! (?:network|blockchain|foundation|token|ecosystem))",
    ),
    "LINK": (r"LINK[ -](?:in bio|below|to)\b",),
    "SOL": (r"(?:del|el|costa del) sol\b", r"sol (?:peruano|negro)"),
    "USDT": (r"tether (?:ball|line)",),
    "BNB": (r"air ?bnb",),
}
_ADDRESS = re.compile(r"https?://\S+|www\.\S+|\b[\w.+-]+@[\w-]+\.\w+")
# A cashtag or hashtag may stand before, a plural or possessive s behind; feeds that strip apostrophes write
# "Bitcoins rally". Part of a longer word, or behind a hyphen, is another word.
_BEFORE, _BEHIND = r"(?<![\w-])", r"(?:['’]?s)?(?!\w)"


def _pattern(words: str, flags: re.RegexFlag) -> re.Pattern[str]:
    return re.compile(rf"{_BEFORE}(?:{words}){_BEHIND}", flags)


_NAMES = [(asset, _pattern(words, re.IGNORECASE)) for asset, words in _ANY_CASE.items()]
_SPELLINGS = [(asset, _pattern(words, re.NOFLAG)) for asset, words in _AS_WRITTEN.items()]
_MASKS = {
    asset: re.compile(rf"{_BEFORE}(?:{'|'.join(phrases)})", re.IGNORECASE)
    for asset, phrases in _NOT_IT.items()
}
KNOWN_ASSETS = frozenset(_ANY_CASE)
PEGGED = frozenset({"USDT", "USDC"})


def find_assets(text: str) -> set[str]:
    """Find the tickers of the assets that the text names as whole words; empty for crypto news in general."""
    plain = _ADDRESS.sub(" ", text)
    shouted = _is_all_capitals(plain)
    found = {asset for asset, name in _NAMES if name.search(_unmasked(asset, plain))}
    return found | {
        asset
        for asset, spelling in _SPELLINGS
        if not (shouted and asset in _WORDS_IN_CAPITALS) and spelling.search(_unmasked(asset, plain))
    }


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
