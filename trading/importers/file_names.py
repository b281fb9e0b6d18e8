"""Venue, pair and timeframe as far as a file's name, folder and symbols give them."""

import re
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from trading.market import ALIASES, Pair, Timeframe

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
# Kraken's long names: XXBTZUSD, XETHXXBT. X stands before a coin, Z before a currency.
KRAKEN_LONG_NAME = re.compile(r"X([A-Z]{3})[XZ]([A-Z]{3})")
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
MIN_BASE_LENGTH = 2  # letters

KRAKEN_TIMEFRAMES = {str(frame.duration // timedelta(minutes=1)): frame for frame in Timeframe}  # 60: 1h
# Spelled as CryptoDataDownload (1hr, minute, d) and others (1min, 1day) do; a capital M is a month.
SPELLED_TIMEFRAME = re.compile(r"(\d*)(m|min|minute|h|H|hr|hour|d|D|day)")
MINUTES = {"m": 1, "h": 60, "d": 1440}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class PartialIdentity:
    """The parts of a FileIdentity that a flag or a name gives; the others are None."""

    venue: str | None
    pair: Pair | None
    timeframe: Timeframe | None


def identity_from_name(path: Path) -> PartialIdentity:
    """Read the file's name alone; several different pairs in one name are none."""
    words = re.split(r"[-_. ]+", path.stem)
    venues = {word.lower() for word in words} & VENUES
    pairs = _pairs(words)
    frames = _timeframes(words)
    return PartialIdentity(_single(venues), _single(pairs), _single(frames))


def venue_from_folder(path: Path) -> str | None:
    """Return the venue that the folder is named after, as freqtrade's folders are."""
    folder = path.absolute().parent.name.lower()
    return folder if folder in VENUES else None


def pair_from_symbol(symbol: str) -> Pair | None:
    """Parse `BTC/USD`, `BTC-USD`, `BTC_USD`, `XBTUSD`, `XXBTZUSD`; None when it cannot be split without a guess."""
    parts = re.split(r"[-_/]", symbol.strip().upper())
    long_name = KRAKEN_LONG_NAME.fullmatch(symbol.strip().upper())
    if long_name and long_name[2] in QUOTES:
        return _pair(*long_name.groups())
    if len(parts) == 2:
        return _pair(*parts)
    return _split_symbol(parts[0]) if len(parts) == 1 else None


def _split_symbol(word: str) -> Pair | None:
    """XBTUSD is BTC/USD or XB/TUSD: a well-known base decides; without one it is None."""
    ends = [quote for quote in QUOTES if word.endswith(quote) and len(word) >= len(quote) + MIN_BASE_LENGTH]
    known = [quote for quote in ends if word.removesuffix(quote) in WELL_KNOWN]
    quote = _single(set(known or ends))
    return _pair(word.removesuffix(quote), quote) if quote else None


def _pair(base: str, quote: str) -> Pair | None:
    base, quote = (ALIASES.get(asset, asset) for asset in (base, quote))
    return Pair(base, quote) if base.isalnum() and quote.isalnum() and base != quote else None


def _pairs(words: list[str]) -> set[Pair]:
    apart = [f"{a}/{b}" for a, b in pairwise(words) if b.upper() in QUOTES and _is_symbol(a)]
    found = {pair_from_symbol(text) for text in apart} or {
        pair_from_symbol(word) for word in words if _is_symbol(word)
    }
    pairs = {pair for pair in found if pair is not None}
    return {pair for pair in pairs if pair.base in WELL_KNOWN} or pairs


def _is_symbol(word: str) -> bool:
    if word.lower() in VENUES:
        return False
    if word == word.upper():
        return word.isalnum() and not word.isdigit()
    known = pair_from_symbol(word)
    return word.upper() in WELL_KNOWN or (known is not None and known.base in WELL_KNOWN)


def _timeframes(words: list[str]) -> set[Timeframe]:
    found = {frame for word in words if (frame := _spelled_timeframe(word))}
    if found or len(words) < 2:
        return found
    return {KRAKEN_TIMEFRAMES[words[-1]]} if words[-1] in KRAKEN_TIMEFRAMES else set()


def _spelled_timeframe(word: str) -> Timeframe | None:
    spelled = SPELLED_TIMEFRAME.fullmatch(word)
    if not spelled:
        return None
    return KRAKEN_TIMEFRAMES.get(str(int(spelled[1] or 1) * MINUTES[spelled[2][0].lower()]))


def _single(found: set[Value]) -> Value | None:
    return next(iter(found)) if len(found) == 1 else None
