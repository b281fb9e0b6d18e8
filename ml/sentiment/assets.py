"""The crypto assets that news names, with the names and tickers that newspapers use."""

import re

from trading.market import Pair

# Names and tickers as newspapers write them. Tickers that are English words count in capitals only.
_ANY_CASE = {
    "BTC": r"bitcoins?|btc|xbt",
    "XRP": r"xrp|ripple",
    "ETH": r"ethereum|ethers?|eth",
    "LTC": r"litecoins?|ltc",
    "BCH": r"bitcoin cash|bch",
    "DOGE": r"dogecoins?|doge",
    "ADA": r"cardano",
    "DOT": r"polkadot",
    "BNB": r"bnb|binance coin",
    "XLM": r"xlm|stellar lumens",
    "XMR": r"monero|xmr",
    "TRX": r"tron|trx",
    "AVAX": r"avax",
    "LINK": r"chainlink",
    "USDT": r"usdt|tether",
    "USDC": r"usdc|usd coin",
}
_IN_CAPITALS = {"SOL": r"SOL|Solana", "ADA": r"ADA", "DOT": r"DOT", "AVAX": r"Avalanche", "LINK": r"LINK"}
_OTHER_COINS = re.compile(r"\bbitcoin (?:cash|gold|sv|diamond)\b", re.IGNORECASE)  # not Bitcoin
# A plural or possessive s may follow; feeds that strip apostrophes write "Bitcoins rally".
_NAMES = [
    (asset, re.compile(rf"(?<![\w-])(?:{words})(?:['’]?s)?(?!\w)", flags))
    for table, flags in ((_ANY_CASE, re.IGNORECASE), (_IN_CAPITALS, re.NOFLAG))
    for asset, words in table.items()
]


def find_assets(text: str) -> set[str]:
    """Find the tickers of the assets that the text names as whole words; empty for crypto news in general."""
    without_forks = _OTHER_COINS.sub(" ", text)
    return {asset for asset, name in _NAMES if name.search(text if asset == "BCH" else without_forks)}


def quote_is_crypto(pair: Pair) -> bool:
    """Return whether news of the quote asset counts: not for a currency or a coin that is pegged to one."""
    return pair.quote in (_ANY_CASE.keys() | _IN_CAPITALS.keys()) - {"USDT", "USDC"}
