"""Tells whether a text is English that a model trained on English can judge, and whether it is crypto news."""

import re
from collections.abc import Container

from ml.news.entities import find_assets
from ml.sentiment.finance_lexicon import WORDS

_MIN_LATIN = 0.85  # share of the letters that are plain Latin ones
# Shares of words that the model does not know. Of the labelled crypto headlines 0.5 % have more than half: names.
_MAX_UNKNOWN = 0.6
_MAX_UNKNOWN_WITHOUT_ENGLISH = 0.5  # where no word of _ENGLISH stands among them
_MAX_UNKNOWN_BESIDE_FOREIGN = 0.2  # where words of _FOREIGN stand among them and none of _ENGLISH
_ENGLISH = frozenset(
    re.findall(
        r"\w+",
        """
    the a an of to in on for and is are was were be with as at by from its it that this after over amid
    says said will has have had not but up down into new how why what more than
""",
    )
)
# Words of other languages in Latin script that English does not know: small ones, and those of the trade.
_FOREIGN = frozenset(
    re.findall(
        r"\w+",
        """
    der das und ist nicht ein eine einer mit für auf von dem den zum zur wird sich nach über bei aus
    gegen unter kurs le les une est dans pour sur avec aux du et qui que pas sa ses contre sous prix
    cours el los las una es en con del al se su como más y sus contra bajo precio il lo gli di che della
    nel sono dei alla contro sotto prezzo os uma um em não com da na dos ao preço hoje het een voor niet
    op te zijn naar koers ve bir bu için ile olarak w się jest nie dla przez cena yang dan dari untuk
    dengan pada ini itu harga
""",
    )
)
_INFLECTION = re.compile(r"(?:'s|’s|s|es|ed|d|ing|ly|er|ers)$")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_CRYPTO = re.compile(
    r"(?:crypto|blockchain|block chain|coin(?:base|s)?\b|token|altcoin|stablecoin|defi\b|nfts?\b|web3|dao\b|dapps?\b"
    r"|satoshi|binance|kraken|bitfinex|ftx\b|ledger|wallet|staking|yield farm|metaverse|airdrop|hash ?rate"
    r"|smart contract|\bdex\b|layer[- ]?2|mainnet|testnet|solana|polygon|uniswap|grayscale|gensler"
    r"|(?:multi|cross|on)-?chain|min(?:ing|er)s?\b|protocols?\b|swaps?\b|\bICOs?\b|\bIEO\b|\bSEC\b|\bCFTC\b|\bP2E\b"
    r"|play[- ]to[- ]earn|fintech|\bbit\w+|decentrali[sz]ed|peer-to-peer|opensea|axie|bored ape|ape yacht|microstrategy"
    r"|robinhood|legal tender|el salvador|funding round|series [a-e]\b|\braises \$|hacke(?:r|d)"
    r"|ransomware|liquidity|collectible|on-?ramp|yield"
    r"|memes?\b|whales?\b|digital (?:asset|currenc|dollar|yuan|euro)|cbdc)",
    re.IGNORECASE,
)


def is_english(text: str, vocabulary: Container[str]) -> bool:
    """Return False for other languages and for no language; `vocabulary` holds English words in lower case.

    A judgement of surface: names of assets do not count, and a text that is little but other names may be refused.
    """
    letters = [letter for letter in text if letter.isalpha()]
    if sum(letter.isascii() for letter in letters) < _MIN_LATIN * len(letters):
        return False
    words = [word for word in _WORD.findall(text) if len(word) > 1 and not find_assets(word)]
    known = [_is_known(word.lower(), vocabulary) for word in words]
    # a short word in capitals that nobody knows is a ticker
    counted = [fine for word, fine in zip(words, known, strict=True) if fine or not _is_ticker(word)]
    if not counted:
        return False
    unknown = 1 - sum(counted) / len(counted)
    words = [word.lower() for word in words]
    if any(word in _ENGLISH for word in words):
        foreign = sum(word in _FOREIGN for word in words)
        return unknown <= _MAX_UNKNOWN and foreign <= sum(word in _ENGLISH for word in words)
    if any(word in _FOREIGN or not word.isascii() for word in words):
        return unknown <= _MAX_UNKNOWN_BESIDE_FOREIGN
    return unknown <= _MAX_UNKNOWN_WITHOUT_ENGLISH


def _is_ticker(word: str) -> bool:
    return word.isupper() and len(word) <= 5


def _is_known(word: str, vocabulary: Container[str]) -> bool:
    """Return whether the word, or the word without its ending, is English of the trade or of the vocabulary."""
    stem = _INFLECTION.sub("", word)
    if word in _ENGLISH or word in WORDS or _CRYPTO.match(word):
        return True
    return any(len(each) > 2 and each in vocabulary for each in (word, stem, stem + "e"))


def is_crypto(text: str) -> bool:
    """Return whether the text names a crypto asset or speaks of the trade in them."""
    return bool(find_assets(text)) or _CRYPTO.search(text) is not None
