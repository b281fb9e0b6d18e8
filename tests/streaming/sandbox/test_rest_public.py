"""Public responses have the shape of Kraken's recorded ones and the content of the market."""

from decimal import Decimal
from pathlib import Path

import pytest

from streaming.sandbox.rates import RateLimit
from tests.streaming.sandbox.recorded import differences, recorded
from tests.streaming.sandbox.rest_rig import BTC, START, XRP, RestApi, serve_rest
from trading.market import PairStatus

pytestmark = pytest.mark.anyio

MINUTES = 800  # more than the 721 rows of one answer


@pytest.mark.parametrize(
    ("method", "file", "fields"),
    [
        ("AssetPairs", "kraken_http_asset_pairs.json", {"pair": "XBTUSDT"}),
        ("Ticker", "kraken_http_ticker.json", {"pair": "XBTUSDT"}),
        ("OHLC", "kraken_http_ohlc.json", {"pair": "XBTUSDT", "interval": 1}),
        ("Trades", "kraken_http_trades.json", {"pair": "XBTUSDT"}),
        ("Depth", "kraken_http_order_book.json", {"pair": "XBTUSDT", "count": 5}),
        ("SystemStatus", "kraken_http_system_status.json", {}),
    ],
)
async def test_an_answer_has_the_shape_of_the_recorded_one(
    tmp_path: Path, method: str, file: str, fields: dict
) -> None:
    real = recorded(file)
    async with serve_rest(tmp_path, minutes=MINUTES) as api:
        ours = await api.get(method, **fields)
        assert differences(real, ours) == []
        if method in ("OHLC", "Depth"):
            assert [len(rows) for rows in _rows(ours)] == [len(rows) for rows in _rows(real)]


def _rows(answer: dict) -> list[list]:
    found = answer["result"]["XBTUSDT"]
    return list(found.values()) if isinstance(found, dict) else [found]


async def test_an_asset_pair_has_every_field_of_the_older_recording(api: RestApi) -> None:
    real = recorded("kraken_AssetPairs_2021-04-17.json")["result"]
    ours = (await api.get("AssetPairs"))["result"]
    assert list(ours) == ["XBTUSDT", "XRPUSDT", "XXRPXXBT"]
    for key, pair in ours.items():
        old = {name: value for name, value in pair.items() if name in real[key]}
        expected = {name: value for name, value in real[key].items() if name != "ordermin"}
        old.pop("ordermin")
        assert differences(expected, old, key) == []


async def test_the_time_is_server_time(api: RestApi) -> None:
    assert await api.get("Time") == {
        "error": [],
        "result": {"unixtime": 1763726400, "rfc1123": "Fri, 21 Nov 25 12:00:00 +0000"},
    }


async def test_assets_have_krakens_names(api: RestApi) -> None:
    everything = (await api.get("Assets"))["result"]
    assert {key: asset["altname"] for key, asset in everything.items()} == {
        "XXBT": "XBT",
        "USDT": "USDT",
        "XXRP": "XRP",
    }
    one = (await api.get("Assets", asset="BTC"))["result"]
    assert one == {
        "XXBT": {
            "aclass": "currency",
            "altname": "XBT",
            "decimals": 10,
            "display_decimals": 5,
            "collateral_value": 1,
            "status": "enabled",
        }
    }
    assert await api.get("Assets", asset="NOPE") == {"error": ["EQuery:Unknown asset"]}


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("leverage", {"leverage_buy", "leverage_sell"}),
        ("fees", {"fees", "fees_maker", "fee_volume_currency"}),
        ("margin", {"margin_call", "margin_stop"}),
    ],
)
async def test_a_part_of_a_pair_can_be_asked_for(api: RestApi, part: str, fields: set[str]) -> None:
    answer = (await api.get("AssetPairs", info=part, pair="XBT/USDT,XXRPXXBT"))["result"]
    assert list(answer) == ["XBTUSDT", "XXRPXXBT"]
    assert all(set(pair) == fields for pair in answer.values())


async def test_a_pair_that_lends_nothing_has_no_leverage_and_no_limits(api: RestApi) -> None:
    pair = (await api.get("AssetPairs", pair="XRPXBT"))["result"]["XXRPXXBT"]
    assert pair["leverage_buy"] == []
    assert "long_position_limit" not in pair
    assert (pair["ordermin"], pair["costmin"], pair["tick_size"]) == ("2", "0.00002", "0.00000001")


async def test_candles_after_the_last_committed_one_are_those_still_to_come(api: RestApi) -> None:
    first = (await api.get("OHLC", pair="XBTUSDT"))["result"]
    rows, last = first["XBTUSDT"], first["last"]
    assert last == rows[-2][0]
    again = (await api.get("OHLC", pair="XBTUSDT", since=last))["result"]["XBTUSDT"]
    assert again == rows[-1:]
    later = (await api.get("OHLC", pair="XBTUSDT", since=2_000_000_000))["result"]["XBTUSDT"]
    assert later == rows[-1:]  # the candle that is not over is always there


async def test_longer_candles_are_made_of_the_shorter_ones(api: RestApi) -> None:
    minutes = (await api.get("OHLC", pair="XRPXBT", interval=1))["result"]["XXRPXXBT"]
    hours = (await api.get("OHLC", pair="XRPXBT", interval=60))["result"]["XXRPXXBT"]
    within = [row for row in minutes if hours[0][0] <= row[0] < hours[0][0] + 3600]
    assert hours[0][1] == within[0][1]
    assert hours[0][4] == within[-1][4]
    assert Decimal(hours[0][2]) == max(Decimal(row[2]) for row in within)
    assert Decimal(hours[0][6]) == sum(Decimal(row[6]) for row in within)
    assert len(hours[0][1].partition(".")[2]) == 8


async def test_trades_can_be_read_page_by_page_without_loss(api: RestApi) -> None:
    whole = (await api.get("Trades", pair="XBTUSDT"))["result"]
    pages, since = [], "0"
    while True:
        page = (await api.get("Trades", pair="XBTUSDT", since=since, count=7))["result"]
        pages += page["XBTUSDT"]
        if page["last"] == since:
            break
        since = page["last"]
    assert pages == whole["XBTUSDT"]
    assert since == whole["last"]
    ids = [row[6] for row in pages]
    assert ids == list(range(ids[0], ids[0] + len(ids)))


async def test_trades_since_a_second_are_those_after_it(api: RestApi) -> None:
    second = int(START.timestamp()) + 100 * 60
    rows = (await api.get("Trades", pair="XBTUSDT", since=second))["result"]["XBTUSDT"]
    assert rows[0][2] == second + 10
    assert rows[0][3:6] == ["s", "m", ""]


async def test_the_book_stands_around_the_last_price(api: RestApi) -> None:
    api.trade(BTC, "36500.0")
    book = (await api.get("Depth", pair="XBTUSDT", count=3))["result"]["XBTUSDT"]
    asks, bids = ([Decimal(row[0]) for row in book[side]] for side in ("asks", "bids"))
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
    assert bids[0] < Decimal("36500.0") < asks[0]
    ticker = (await api.get("Ticker", pair="XBTUSDT"))["result"]["XBTUSDT"]
    assert (ticker["a"][0], ticker["b"][0]) == (book["asks"][0][0], book["bids"][0][0])
    assert ticker["c"] == ["36500.00000", "0.50000000"]


async def test_without_a_pair_the_ticker_has_all_pairs(api: RestApi) -> None:
    answer = (await api.get("Ticker"))["result"]
    assert list(answer) == ["XBTUSDT", "XRPUSDT", "XXRPXXBT"]
    assert len(answer["XXRPXXBT"]["c"][0].partition(".")[2]) == 9


@pytest.mark.parametrize(
    ("method", "fields", "error"),
    [
        ("Ticker", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OHLC", {}, "EGeneral:Invalid arguments:pair"),
        ("OHLC", {"pair": "XBTUSDT", "interval": 7}, "EGeneral:Invalid arguments:interval"),
        ("OHLC", {"pair": "XBTUSDT", "since": "yesterday"}, "EGeneral:Invalid arguments:since"),
        ("Trades", {"pair": "XBTUSDT", "count": 1001}, "EGeneral:Invalid arguments:count"),
        ("Trades", {"pair": "XBTUSDT", "since": "-1"}, "EGeneral:Invalid arguments:since"),
        ("Depth", {"pair": "XBTUSDT", "count": 0}, "EGeneral:Invalid arguments:count"),
        ("AssetPairs", {"info": "everything"}, "EGeneral:Invalid arguments:info"),
        ("Spread", {"pair": "XBTUSDT", "since": "later"}, "EGeneral:Invalid arguments:since"),
        ("GroupedBook", {"pair": "XBTUSDT", "grouping": 3}, "EGeneral:Invalid arguments:grouping"),
        ("Level3", {"pair": "XBTUSDT"}, "EGeneral:Unknown method"),
    ],
)
async def test_an_impossible_request_is_refused_in_krakens_words(
    api: RestApi, method: str, fields: dict, error: str
) -> None:
    assert await api.get(method, **fields) == {"error": [error]}


async def test_a_public_request_may_be_posted(api: RestApi) -> None:
    expected = await api.get("Depth", pair="XBTUSDT", count=2)
    async with api.client.post("/0/public/Depth", data={"pair": "XBTUSDT", "count": 2}) as form:
        assert await form.json() == expected
    async with api.client.post("/0/public/Depth", json={"pair": "XBTUSDT", "count": 2}) as body:
        assert await body.json() == expected


async def test_too_many_public_requests_are_refused(tmp_path: Path) -> None:
    async with serve_rest(tmp_path, public=RateLimit(3, 1)) as api:
        answers = [await api.get("Time") for _ in range(4)]
        assert [answer["error"] for answer in answers] == [[], [], [], ["EGeneral:Too many requests"]]


async def test_a_pair_that_is_not_online_has_its_status(api: RestApi) -> None:
    api.exchange.set_status(XRP, PairStatus.CANCEL_ONLY)
    pairs = (await api.get("AssetPairs"))["result"]
    assert {key: pair["status"] for key, pair in pairs.items()} == {
        "XBTUSDT": "online",
        "XRPUSDT": "cancel_only",
        "XXRPXXBT": "online",
    }


async def test_a_market_without_a_trade_has_no_price(tmp_path: Path) -> None:
    async with serve_rest(tmp_path, minutes=0) as api:
        for method in ("Ticker", "OHLC"):
            answer = await api.get(method, pair="XBTUSDT")
            assert answer == {"error": ["EService:Unavailable"]}
        assert (await api.get("Ticker"))["result"] == {}
        assert (await api.get("Trades", pair="XBTUSDT"))["result"] == {"XBTUSDT": [], "last": "0"}
