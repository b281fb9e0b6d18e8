"""What a file's name and symbols say about venue, pair and timeframe."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from trading.market import Pair, Timeframe

VENUES = frozenset(
    {
        "binance",
        "binanceus",
        "bitfinex",
        "bitget",
        "bitstamp",
        "bittrex",
        "bybit",
        "cexio",
        "coinbase",
        "exmo",
        "ftx",
        "gateio",
        "gemini",
        "htx",
        "huobi",
        "kraken",
        "kucoin",
        "mexc",
        "okex",
        "okx",
        "poloniex",
    }
)
QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USD", "EUR", "GBP", "JPY", "BTC", "XBT", "ETH", "BNB")
KRAKEN_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
# A lower-case word is taken for a symbol only when its base is well known: names hold ordinary words too.
WELL_KNOWN = frozenset(
    {
        "ADA",
        "ATOM",
        "AVAX",
        "BCH",
        "BNB",
        "BTC",
        "DOGE",
        "DOT",
        "EOS",
        "ETC",
        "ETH",
        "LINK",
        "LTC",
        "MATIC",
        "SOL",
        "TRX",
        "UNI",
        "USDC",
        "USDT",
        "XBT",
        "XDG",
        "XLM",
        "XMR",
        "XRP",
    }
)
SHORTEST_BASE = 2  # letters

MINUTES = {
    "1": "1m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "240": "4h",
    "1440": "1d",
}  # as Kraken names
TIMEFRAMES = {frame.value: frame for frame in Timeframe}

Word = TypeVar("Word")


@dataclass(frozen=True, slots=True)
class Claims:
    """What one witness says; None where it says nothing."""

    venue: str | None
    pair: Pair | None
    timeframe: Timeframe | None


def claims_of_name(path: Path) -> Claims:
    """From the file's name alone; several different pairs in one name are none."""
    words = re.split(r"[-_. ]+", path.stem)
    venues = {word.lower() for word in words} & VENUES
    pairs = _pairs(words)
    frames = _timeframes(words)
    return Claims(_only(venues), _only(pairs), _only(frames))


def venue_of_folder(path: Path) -> str | None:
    """freqtrade keeps each venue's files in a folder of that name."""
    folder = path.absolute().parent.name.lower()
    return folder if folder in VENUES else None


def pair_of_symbol(symbol: str) -> Pair | None:
    """`BTC/USD`, `BTC-USD`, `BTC_USD` or `XBTUSD`; None when it cannot be split without a guess."""
    parts = re.split(r"[-_/]", symbol.strip().upper())
    if len(parts) == 2:
        return _pair(*parts)
    return _split(parts[0]) if len(parts) == 1 else None


def _split(word: str) -> Pair | None:
    """XBTUSD is BTC/USD or XB/TUSD: a well-known base decides, and without one nobody guesses."""
    ends = [quote for quote in QUOTES if word.endswith(quote) and len(word) >= len(quote) + SHORTEST_BASE]
    known = [quote for quote in ends if word.removesuffix(quote) in WELL_KNOWN]
    quote = _only(set(known or ends))
    return _pair(word.removesuffix(quote), quote) if quote else None


def _pair(base: str, quote: str) -> Pair | None:
    base, quote = (KRAKEN_NAMES.get(asset, asset) for asset in (base, quote))
    return Pair(base, quote) if base.isalnum() and quote.isalnum() and base != quote else None


def _pairs(words: list[str]) -> set[Pair]:
    apart = [f"{a}/{b}" for a, b in pairwise(words) if b.upper() in QUOTES and _is_symbol(a)]
    found = {pair_of_symbol(text) for text in apart} or {
        pair_of_symbol(word) for word in words if _is_symbol(word)
    }
    pairs = {pair for pair in found if pair is not None}
    return {pair for pair in pairs if pair.base in WELL_KNOWN} or pairs


def _is_symbol(word: str) -> bool:
    if word.lower() in VENUES:
        return False
    if word == word.upper():
        return word.isalnum() and not word.isdigit()
    known = pair_of_symbol(word)
    return word.upper() in WELL_KNOWN or (known is not None and known.base in WELL_KNOWN)


def _timeframes(words: list[str]) -> set[Timeframe]:
    # 1M is a month, so only hours and days may be written in capitals.
    spelled = {word.lower() if word.endswith(("H", "D")) else word for word in words}
    found = {TIMEFRAMES[word] for word in spelled if word in TIMEFRAMES}
    return found or ({TIMEFRAMES[MINUTES[words[-1]]]} if words[-1] in MINUTES and len(words) > 1 else set())


def _only(found: set[Word]) -> Word | None:
    return next(iter(found)) if len(found) == 1 else None
