"""Signs that a file holds no spot candles but those of a future, a perpetual, a mark price or an index.

Such a file looks like a spot file, with prices close to spot and a volume that may count contracts: only names tell.
"""

import re
from pathlib import Path

from trading.errors import InvalidCandles
from trading.importers.file_names import QUOTES, VENUES, WELL_KNOWN, pair_from_symbol

WORDS = frozenset(
    {
        "coinm", "delivery", "funding", "fundingrate", "future", "futures", "index", "indexprice", "indexpriceklines",
        "inverse", "linear", "mark", "markprice", "markpriceklines", "perp", "perpetual", "premiumindex",
        "premiumindexklines", "swap", "umcbl", "dmcbl", "cmcbl", "usdm",
    }
)  # fmt: skip
# Folders of data.binance.vision (futures/um/monthly/klines), freqtrade and ccxt. Not `mark`: people are called that.
FOLDERS = frozenset(
    {
        "cm", "futures", "indexpriceklines", "inverse", "linear", "markpriceklines", "perp", "perpetual",
        "premiumindexklines", "swap", "um",
    }
)  # fmt: skip
KRAKEN_PREFIXES = frozenset({"PF", "PI", "PV", "FF", "FI"})  # PF_XBTUSD
DELIVERY_DAY = re.compile(r"\d{6}")  # yymmdd right behind the pair: BTCUSDT_230630
EXPIRY = re.compile(r"\d{1,2}(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d{2}")  # BTC-29DEC23
MONTH_CODE = re.compile(r"([A-Z]+?)[FGHJKMNQUVXZ]\d{2}")  # XBTZ23
CONTRACT = re.compile(r"[A-Z0-9]{2,}(PERP|USDTM|USDM)|[A-Z]+F0|.*:.*")  # BTCPERP, XBTUSDTM, USTF0, USDT:USDT


def refuse_derivative(path: Path, symbols: tuple[str, ...]) -> None:
    """Raise InvalidCandles where the file's name, its folder or a symbol names a derivative or a computed price."""
    sign = _sign_of_symbols(symbols) or _sign_of_name(path.stem) or _sign_of_folder(path)
    if sign:
        raise InvalidCandles(
            f"{sign} means a derivative, a mark price or an index, and only spot candles are imported: "
            "fetch the spot file; if this is one all the same, rename it"
        )


def _sign_of_symbols(symbols: tuple[str, ...]) -> str | None:
    return next((f"the symbol {text}" for text in symbols if _sign_of_name(text.replace("/", "-"))), None)


def _sign_of_name(name: str) -> str | None:
    words = [word for word in re.split(r"[-_. ]+", name) if word]
    marked = next((at for at in range(len(words)) if _is_marked(words, at)), None)
    return None if marked is None else f"{words[marked]!r} in the name {name}"


def _sign_of_folder(path: Path) -> str | None:
    """Look from the file outwards: `spot` within `futures` is spot."""
    names = (folder.name.lower() for folder in path.absolute().parents)
    first = next((name for name in names if name == "spot" or name in FOLDERS), "spot")
    return None if first == "spot" else f"the folder {first!r}"


def _is_marked(words: list[str], at: int) -> bool:
    word = words[at]
    if word.lower() in WORDS:
        return not _is_base(words, at)
    if word in KRAKEN_PREFIXES:
        return at + 1 < len(words) and pair_from_symbol(words[at + 1]) is not None
    if DELIVERY_DAY.fullmatch(word):
        return _follows_pair(words, at)
    return _is_contract(word.upper()) or _is_settlement(words, at)


def _is_base(words: list[str], at: int) -> bool:
    """Return whether the word is an asset of that name: PERP_USDT, kraken_INDEX-USD."""
    is_first = at == 0 or words[at - 1].lower() in VENUES
    return is_first and at + 1 < len(words) and words[at + 1].upper() in QUOTES


def _is_contract(word: str) -> bool:
    month = MONTH_CODE.fullmatch(word)
    return bool(CONTRACT.fullmatch(word) or EXPIRY.fullmatch(word) or (month and _is_known(month[1])))


def _is_known(symbol: str) -> bool:
    pair = pair_from_symbol(symbol)
    return symbol in WELL_KNOWN or (pair is not None and pair.base in WELL_KNOWN)


def _follows_pair(words: list[str], at: int) -> bool:
    """Return whether a pair ends right before `at`: BTCUSDT, or BTC and USDT."""
    apart = at > 1 and words[at - 1].upper() in QUOTES
    return at > 0 and (apart or pair_from_symbol(words[at - 1]) is not None)


def _is_settlement(words: list[str], at: int) -> bool:
    """Return whether the word repeats an asset of the pair before it, as freqtrade writes BTC/USDT:USDT."""
    if at < 2 or words[at - 1].upper() not in QUOTES:
        return False
    return words[at].upper() in (words[at - 1].upper(), words[at - 2].upper())
