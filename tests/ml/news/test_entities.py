"""Which assets a text names: an idiom, a common word or a ticker inside a word is none."""

import pytest

from ml.news.entities import find_assets, pairs_named
from trading.market import Pair

BTC, XRP, XRP_BTC = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("Ripple wins on appeal; XRP jumps", {"XRP"}),
        ("gains in bitcoin, ethereum and ripple", {"BTC", "ETH", "XRP"}),
        ("The Ripple ruling helps exchanges", {"XRP"}),
        ("ripple labs and one Ripple executive", {"XRP"}),
        ("$XRP and #BTC lead", {"XRP", "BTC"}),
        ("The ETH/BTC ratio falls", {"ETH", "BTC"}),
        ("ether slides as funds pour into the ether ETF", {"ETH"}),
        ("Tether mints a billion", {"USDT"}),
        ("Avalanche Foundation buys its own token", {"AVAX"}),
        ("DOGE jumps after a tweet", {"DOGE"}),
        ("BREAKING: RIPPLE WINS CASE AGAINST THE SEC", {"XRP"}),
        ("Bitcoin-friendly bank fails", {"BTC"}),
    ],
)
def test_names_tickers_and_aliases_are_found(text: str, assets: set[str]) -> None:
    assert find_assets(text) == assets


@pytest.mark.parametrize(
    "text",
    [
        "The ripple effect of the rate cut",
        "Ripple Effects: what the halving does to miners",
        "Losses Ripple Through Markets",
        "The market closed without a ripple",
        "Ripples from the collapse reach banks",
        "His savings were lost in the ether.",
        "ETH Zurich opens a chair for cryptography",
        "They tether the boat",
        "Avalanche of liquidations hits traders",
        "An avalanche of selling",
        "Musk's DOGE cuts a thousand jobs",
        "Department of Government Efficiency (DOGE) audits the SEC",
        "US DOT rule on charging",
        "ADA compliance of web pages",
        "CLICK THE LINK BELOW TO SEE ALL OF IT",
        "Airbnb accepts cards",
        "Tron: Ares opens in cinemas",
        "A method to soothe, with solace and a linked doge",
        "Read more at https://example.com/bitcoin-ripple-eth",
        "Written for Bitcoin Magazine",
        "An anti-bitcoin law",
    ],
)
def test_what_only_looks_like_an_asset_is_none(text: str) -> None:
    assert find_assets(text) == set()


def test_an_idiom_beside_the_asset_hides_it_not() -> None:
    assert find_assets("The ripple effect of Ripple's case") == {"XRP"}


def test_a_pair_is_named_by_its_base_and_by_a_quote_that_is_a_coin() -> None:
    pairs = [BTC, XRP, XRP_BTC]
    assert pairs_named(["BTC"], pairs) == [BTC, XRP_BTC]
    assert pairs_named(["XRP"], pairs) == [XRP, XRP_BTC]
    assert pairs_named(["USDT", "ETH"], pairs) == []
