"""Kraken's names: XXBT and ZUSD, XBTUSDT and XXBTZUSD, XBT/USDT; any of its spellings is understood.

Facts from the recorded AssetPairs answer of 2021-04-17 and the recorded instrument snapshot of WebSocket v2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from streaming.sandbox.model import Listing, Refused
from trading.market import Pair


@dataclass(frozen=True, slots=True)
class AssetName:
    """How Kraken writes one asset, and with how many decimals it keeps and shows amounts."""

    key: str
    altname: str
    decimals: int
    display_decimals: int


# The first assets that Kraken had begin with X (crypto) or Z (money); later ones are plain.
_CRYPTO = {"BTC": "XBT", "DOGE": "XDG"} | {
    name: name for name in ("ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC")
}
_MONEY = ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")
_DECIMALS = {"BTC": (10, 5), "ETH": (10, 5), "XRP": (8, 5), "USDT": (8, 4)}  # crypto; else 8 and 5

# Pairs whose key is made of those keys, by base; all others are called by their short name.
_LEGACY_QUOTES = {
    "ETC": ("ETH", "XBT", "EUR", "USD"),
    "ETH": ("XBT", "CAD", "EUR", "GBP", "JPY", "USD"),
    "EUR": ("USD",),
    "GBP": ("USD",),
    "LTC": ("XBT", "EUR", "JPY", "USD"),
    "MLN": ("ETH", "XBT", "EUR", "USD"),
    "REP": ("ETH", "XBT", "EUR", "USD"),
    "USD": ("CAD", "JPY"),
    "USDT": ("USD",),
    "XBT": ("CAD", "EUR", "GBP", "JPY", "USD"),
    "XDG": ("XBT",),
    "XLM": ("XBT", "AUD", "EUR", "GBP", "USD"),
    "XMR": ("XBT", "EUR", "USD"),
    "XRP": ("XBT", "CAD", "EUR", "JPY", "USD"),
    "ZEC": ("XBT", "EUR", "USD"),
}


def asset_name(asset: str) -> AssetName:
    traded, dot, wallet = asset.partition(".")
    if dot:  # staked or earning: XBT.F
        plain = asset_name(traded)
        return replace(plain, key=f"{plain.altname}.{wallet}", altname=f"{plain.altname}.{wallet}")
    if asset in _MONEY:
        return AssetName(f"Z{asset}", asset, 4, 2)
    decimals, display_decimals = _DECIMALS.get(asset, (8, 5))
    altname = _CRYPTO.get(asset, asset)
    return AssetName(f"X{altname}" if asset in _CRYPTO else asset, altname, decimals, display_decimals)


def altname(pair: Pair) -> str:
    return asset_name(pair.base).altname + asset_name(pair.quote).altname


def wsname(pair: Pair) -> str:
    return f"{asset_name(pair.base).altname}/{asset_name(pair.quote).altname}"


def pair_key(pair: Pair) -> str:
    """Return the key that results have: XXBTZUSD, but XBTUSDT."""
    base, quote = asset_name(pair.base), asset_name(pair.quote)
    legacy = quote.altname in _LEGACY_QUOTES.get(base.altname, ())
    return base.key + quote.key if legacy else base.altname + quote.altname


class Names:
    """The listed pairs and their assets by every name that Kraken would understand, in any case."""

    def __init__(self, listings: Mapping[Pair, Listing]) -> None:
        self._pairs = {name: pair for pair in listings for name in _spellings(pair)}
        self.assets = tuple(sorted({asset for pair in listings for asset in (pair.base, pair.quote)}))
        self._assets = {name: asset for asset in self.assets for name in _asset_spellings(asset)}

    def pair(self, text: str) -> Pair:
        try:
            return self._pairs[text.strip().upper()]
        except KeyError:
            raise Refused("EQuery:Unknown asset pair") from None

    def pairs(self, text: str) -> tuple[Pair, ...]:
        """Split pairs at commas; each comes once, in the order given."""
        return tuple(dict.fromkeys(self.pair(name) for name in text.split(",")))

    def asset(self, text: str) -> str:
        try:
            return self._assets[text.strip().upper()]
        except KeyError:
            raise Refused("EQuery:Unknown asset") from None


def _spellings(pair: Pair) -> Iterable[str]:
    for base in _asset_spellings(pair.base):
        for quote in _asset_spellings(pair.quote):
            yield f"{base}{quote}"
            yield f"{base}/{quote}"


def _asset_spellings(asset: str) -> tuple[str, ...]:
    name = asset_name(asset)
    return (asset, name.altname, name.key)
