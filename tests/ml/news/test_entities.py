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
        "A fire in Solana Beach",
        "Gerolamo Cardano wrote on dice",
    ],
)
def test_what_only_looks_like_an_asset_is_none(text: str) -> None:
    assert find_assets(text) == set()


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("ADA/SOL JUMPS", {"ADA", "SOL"}),
        ("ADA AND SOL JUMP 20% AFTER UPGRADE", {"ADA", "SOL"}),
        ("BITCOIN PLUNGES AS TRADERS CLICK THE LINK", {"BTC"}),
        ("LINK SURGES AS FUNDS BUY", {"LINK"}),
        ("DOT rises", {"DOT"}),
        ("Fund buys 5 million ADA", {"ADA"}),
        ("Why $LTC is ahead", {"LTC"}),
        ("Bitcoin and LTC are ahead", {"BTC", "LTC"}),
        ("Staking on SOL opens", {"SOL"}),
        ("LTC", {"LTC"}),
        ("DOT fines airline", set()),
        ("DOT fines airline that took bitcoin", {"BTC"}),
        ("LTC insurance premiums", set()),
        ("Musk's DOGE fires a hundred", set()),
        ("Governor signs ADA reform", set()),
    ],
)
def test_a_ticker_that_abbreviates_something_else_counts_where_the_market_is_spoken_of(
    text: str, assets: set[str]
) -> None:
    assert find_assets(text) == assets


def test_a_part_is_understood_by_the_whole() -> None:
    assert find_assets("SOL halts") == set()
    assert find_assets("SOL halts", "Bitcoin falls while SOL halts") == {"SOL"}


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("Ethereum Classic suffers 51% attack", set()),
        ("Ethereum Classic falls behind Ethereum", {"ETH"}),
        ("Lido Staked Ether loses its peg", set()),
        ("Wrapped Bitcoin is minted", set()),
        ("Investors staked ether worth a billion", {"ETH"}),
        ("Bitcoin SV and Bitcoin Gold are delisted", set()),
        ("Bitcoin gold correlation at a high", {"BTC"}),
        ("The Bitcoin Gold Ratio", {"BTC"}),
        ("Bitcoin Cash and Bitcoin rally", {"BCH", "BTC"}),
        ("ethereum, bitcoin cash and ripple fall", {"ETH", "BCH", "XRP"}),
        ("Company adds to its bitcoin cash holdings", {"BTC"}),
        ("Bitcoin Cash holdings of funds rise", {"BCH"}),
    ],
)
def test_the_longer_name_of_another_coin_wins(text: str, assets: set[str]) -> None:
    assert find_assets(text) == assets


@pytest.mark.parametrize(
    ("text", "assets"),
    [
        ("BTCUSDT", {"BTC", "USDT"}), ("BTC/USD", {"BTC"}), ("BTC-USD", {"BTC"}), ("XBTUSD", {"BTC"}),
        ("ETH-BTC", {"ETH", "BTC"}), ("ADAEUR", {"ADA"}), ("SOLUSDT-PERP", {"SOL", "USDT"}), ("ABTCUSD", set()),
        ("BTCUSDX", set()), ("SOLUTION", set()),
    ],
)  # fmt: skip
def test_a_market_names_its_assets(text: str, assets: set[str]) -> None:
    assert find_assets(text) == assets


@pytest.mark.parametrize("text", ["Bitcoin価格", "BTC가 상승", "価格はBTCで", "ราคาBTCวันนี้", "BTC와 주식"])
def test_a_script_without_spaces_ends_a_word(text: str) -> None:
    assert find_assets(text) == {"BTC"}


@pytest.mark.parametrize("text", ["BTCä", "Bitcoinов", "éther", "BTC1"])
def test_a_letter_of_another_alphabet_does_not(text: str) -> None:
    assert find_assets(text) == set()


def test_an_idiom_beside_the_asset_hides_it_not() -> None:
    assert find_assets("The ripple effect of Ripple's case") == {"XRP"}


def test_a_pair_is_named_by_its_base_and_by_a_quote_that_is_a_coin() -> None:
    pairs = [BTC, XRP, XRP_BTC]
    assert pairs_named(["BTC"], pairs) == [BTC, XRP_BTC]
    assert pairs_named(["XRP"], pairs) == [XRP, XRP_BTC]
    assert pairs_named(["USDT", "ETH"], pairs) == []
