import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.kraken import PAIRS, listed
from trading.errors import InvalidMessage, NotStored
from trading.market import Pair, PairStatus
from trading.venues.kraken.decoding import decode_envelope, decode_result
from trading.venues.kraken.instruments import Listings, from_kraken_asset, to_kraken_asset
from trading.venues.kraken.market_responses import AssetPair

RECORDED = Path(__file__).parents[5] / "shared" / "data" / "rest"
BTC, CROSS = Pair("BTC", "USDT"), Pair("XRP", "BTC")


def listings(pairs: dict[str, Any]) -> Listings:
    return Listings(decode_result("AssetPairs", json.dumps(pairs).encode(), dict[str, AssetPair]))


def recorded(name: str) -> Listings:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"no recorded answer {file}")
    return Listings(
        decode_result("AssetPairs", decode_envelope(name, file.read_bytes()).result, dict[str, AssetPair])
    )


def test_pairs_are_found_by_our_names() -> None:
    found = listings(PAIRS)
    assert (found.key(BTC), found.listing(CROSS).altname) == ("XBTUSDT", "XRPXBT")
    assert found.names(CROSS) == {"XXRPXXBT", "XRPXBT", "XRP/XBT"}


def test_a_pair_that_is_not_listed_is_named() -> None:
    with pytest.raises(NotStored, match="does not trade ETH/USDT"):
        listings(PAIRS).instrument(Pair("ETH", "USDT"))


def test_an_instrument_has_krakens_rules_and_its_dearest_fees() -> None:
    found = listings(PAIRS).instrument(BTC)
    assert (found.price_increment, found.quantity_increment) == (Decimal("0.1"), Decimal("1E-8"))
    assert (found.minimum_quantity, found.minimum_cost) == (Decimal("0.00005"), Decimal("0.5"))
    assert (found.taker_fee, found.maker_fee) == (Decimal("0.004"), Decimal("0.0025"))
    assert (found.status, found.maximum_leverage) == (PairStatus.ONLINE, Decimal(3))


def test_what_is_lent_on_one_side_only_is_not_lent() -> None:
    one_side = listings({"XBTUSDT": listed("XBTUSDT", "XBT/USDT", "XXBT", "USDT", 1, leverage_sell=[])})
    assert one_side.instrument(BTC).maximum_leverage == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"status": "dreaming"}, "unknown status 'dreaming'"), ({"fees": []}, "no fees"),
        ({"tick_size": "0"}, "tick_size is 0"), ({"ordermin": "-1"}, "ordermin is -1"),
        ({"costmin": "-0.5"}, "costmin is -0.5"), ({"fees": [[0, -0.1]]}, "fees is -0.1"),
        ({"lot_decimals": 4000}, "lot_decimals is 4000"), ({"pair_decimals": -1}, "pair_decimals is -1"),
    ],
)  # fmt: skip
def test_impossible_trading_rules_are_refused_for_that_pair_alone(
    changes: dict[str, Any], named: str
) -> None:
    wrong = listed("XBTUSDT", "XBT/USDT", "XXBT", "USDT", 1, **changes)
    found = listings({**PAIRS, "XBTUSDT": wrong})
    with pytest.raises(InvalidMessage, match=named):
        found.instrument(BTC)
    assert found.instrument(CROSS).pair == CROSS


def test_a_pair_that_is_listed_twice_has_its_first_name() -> None:
    assert listings({**PAIRS, "XBTUSDT2": PAIRS["XBTUSDT"]}).key(BTC) == "XBTUSDT"


@pytest.mark.parametrize(
    ("alternative", "ours"),
    [("XBT", "BTC"), ("XDG", "DOGE"), ("USD", "USD"), ("XBT.F", "BTC.F"), ("XBTX", "XBTX")],
)
def test_assets_have_everybodys_names(alternative: str, ours: str) -> None:
    assert from_kraken_asset(alternative) == ours


def test_asking_kraken_for_an_asset_uses_its_name() -> None:
    assert (to_kraken_asset("BTC"), to_kraken_asset("USD")) == ("XBT", "USD")


def test_every_recorded_pair_has_an_instrument() -> None:
    found = recorded("kraken_AssetPairs_2021-04-17.json")
    instruments = [found.instrument(pair) for pair in found.pairs]
    assert len(instruments) == 293  # 304 less the dark pools
    assert found.key(Pair("BTC", "USD")) == "XXBTZUSD"
    assert found.key(Pair("DOGE", "BTC")) == "XXDGXXBT"
    assert all(each.taker_fee > 0 for each in instruments)


def test_the_recorded_pair_of_2025_has_its_newer_fields() -> None:
    found = recorded("kraken_http_asset_pairs.json").instrument(BTC)
    assert (found.minimum_cost, found.maximum_leverage) == (Decimal("0.5"), Decimal(10))
