import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.errors import InvalidMessage
from trading.venues.kraken.account_responses import (
    AddOrderResponse,
    ClosedOrdersResponse,
    OpenOrdersResponse,
    OrderInfo,
    TradeBalanceResponse,
    TradeInfo,
    WebSocketsToken,
)
from trading.venues.kraken.decoding import decode_envelope, decode_result, is_complete_json, to_datetime
from trading.venues.kraken.market_responses import (
    AssetPair,
    DepthResponse,
    OhlcRow,
    ServerTimeResponse,
    SystemStatusResponse,
    TickerResponse,
    TradeRow,
)

RECORDED = Path(__file__).parents[5] / "shared" / "data" / "rest"
ORDER = {
    "refid": None, "userref": None, "cl_ord_id": "1234", "status": "closed", "reason": None,
    "opentm": 1586822919.3342, "closetm": 1586822919.365, "starttm": 0, "expiretm": 0,
    "descr": {"pair": "XBTUSDT", "type": "sell", "ordertype": "market", "price": "0", "price2": "0",
              "leverage": "none", "order": "sell 0.21804000 XBTUSDT @ market", "close": ""},
    "vol": "0.21804000", "vol_exec": "0.21804000", "cost": "1493.9", "fee": "3.8", "price": "6851.5",
    "misc": "", "oflags": "fciq", "trades": ["TT5UC3-GOIRW-6AZZ6R"],
}  # fmt: skip
TRADE = {
    "ordertxid": "OQCLML-BW3P3-BUCMWZ", "postxid": "TKH2SE-M7IF5-CFI7LT", "pair": "XXBTZUSD",
    "time": 1688667796.8802, "type": "buy", "ordertype": "limit", "price": "30010.00000", "cost": "600.20000",
    "fee": "0.00000", "vol": "0.02000000", "margin": "0.00000", "leverage": "0", "misc": "", "trade_id": 40274859,
    "maker": True,
}  # fmt: skip
SAMPLES: list[tuple[Any, Any]] = [
    (OpenOrdersResponse, {"open": {"OTLAS3-RRHUF-NDWH5A": ORDER}}),
    (ClosedOrdersResponse, {"closed": {"OTLAS3-RRHUF-NDWH5A": ORDER}, "count": 1}),
    (dict[str, TradeInfo], {"TT5UC3-GOIRW-6AZZ6R": TRADE}),
    (AddOrderResponse, {"descr": {"order": "buy 1 XBTUSDT @ market"}, "txid": ["OTLAS3-RRHUF-NDWH5A"]}),
    (list[TradeRow], [["105433.60000", "0.00027625", 1762795433.9717445, "b", "l", "", 10218208]]),
    (list[OhlcRow], [[1762777020, "1.5", "2", "1", "1.2", "1.3", "0.5", 3]]),
    (WebSocketsToken, {"token": "secret", "expires": 900}),
]


def recorded(name: str) -> msgspec.Raw:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"no recorded answer {file}")
    return decode_envelope(name, file.read_bytes()).result


@pytest.mark.parametrize(
    ("name", "kind", "fact"),
    [
        ("kraken_http_ticker.json", dict[str, TickerResponse],
         lambda found: str(found["XBTUSDT"].ask[0]) == "105944.30000"),
        ("kraken_http_order_book.json", dict[str, DepthResponse],
         lambda found: (len(found["XBTUSDT"].asks), str(found["XBTUSDT"].bids[0].quantity)) == (5, "0.002")),
        ("kraken_http_system_status.json", SystemStatusResponse,
         lambda found: found.timestamp == datetime(2025, 11, 11, 0, 17, 10, tzinfo=UTC)),
        ("kraken_http_asset_pairs.json", dict[str, AssetPair],
         lambda found: found["XBTUSDT"].fees[0] == (Decimal(0), Decimal("0.4"))),
        ("kraken_AssetPairs_2021-04-17.json", dict[str, AssetPair], lambda found: len(found) == 304),
    ],
)  # fmt: skip
def test_recorded_responses_are_decoded_with_every_digit(
    name: str, kind: Any, fact: Callable[[Any], bool]
) -> None:
    assert fact(decode_result("recorded", recorded(name), kind))


def test_recorded_trades_and_candles_are_decoded_completely() -> None:
    trades = decode_result("Trades", recorded("kraken_http_trades.json"), dict[str, msgspec.Raw])
    rows = decode_result("Trades", trades["XBTUSDT"], list[TradeRow])
    assert (len(rows), rows[0].price, rows[-1].trade_id) == (1000, Decimal("105433.60000"), 10219207)
    candles = decode_result("OHLC", recorded("kraken_http_ohlc.json"), dict[str, msgspec.Raw])
    assert len(decode_result("OHLC", candles["XBTUSDT"], list[OhlcRow])) == 721


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
def test_responses_of_private_calls_are_decoded(kind: Any, sample: Any) -> None:
    assert decode_result("sample", json.dumps(sample).encode(), kind)


def test_a_number_of_a_response_has_every_digit() -> None:
    order = decode_result("QueryOrders", json.dumps(ORDER).encode(), OrderInfo)
    assert (str(order.vol), str(order.opentm)) == ("0.21804000", "1586822919.3342")


def test_the_trade_balance_of_an_open_position_has_its_margin_level() -> None:
    body = (
        b'{"eb":"1101","tb":"392","m":"7.0","n":"-10","c":"21","v":"31","e":"382","mf":"375","ml":"5390.2"}'
    )
    assert decode_result("TradeBalance", body, TradeBalanceResponse).level == Decimal("5390.2")


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "sNaN", "1e400", "1e999999999", "1e-99", "1" * 30, "abc", ""]
)
def test_what_is_no_plain_number_is_refused(number: str) -> None:
    body = json.dumps({**ORDER, "vol": number}).encode()
    with pytest.raises(InvalidMessage, match="QueryOrders"):
        decode_result("QueryOrders", body, OrderInfo)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"status": "strange"}, "status"), ({"vol": None}, "vol"), ({"vol": True}, "vol"),
        ({"descr": []}, "descr"), ({"trades": "TT"}, "trades"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidMessage, match=named):
        decode_result("QueryOrders", json.dumps({**ORDER, **changes}).encode(), OrderInfo)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b'{"error":[', b'{"error":[]} trailing', b"\xff\xfe", b'{"error":["\xff"]}',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_truncated_response_is_recognised(body: bytes) -> None:
    assert not is_complete_json(body)


@pytest.mark.parametrize(
    "body", [b"1", b"[]", b"null", b'{"error":"no"}', b'{"error":[1]}', b'{"result":{}}']
)
def test_json_of_another_shape_is_named(body: bytes) -> None:
    assert is_complete_json(body)
    with pytest.raises(InvalidMessage, match="Kraken Time"):
        decode_envelope("Time", body)


def test_warnings_are_no_errors() -> None:
    said = decode_envelope("Time", b'{"error":["WSomething:odd","EOrder:bad"],"result":{}}')
    assert said.errors == ["EOrder:bad"]


def test_a_response_without_a_result_is_refused() -> None:
    with pytest.raises(InvalidMessage):
        decode_result("Time", decode_envelope("Time", b'{"error":[]}').result, ServerTimeResponse)


def test_a_time_is_cut_to_the_microsecond_that_it_lies_in() -> None:
    assert to_datetime("Trades", Decimal("1762795439.9999998")).microsecond == 999_999
    assert to_datetime("Trades", Decimal("1762795439.9999998")).second == 59


@pytest.mark.parametrize("seconds", ["-1", "1e15", "253402300800"])
def test_a_time_that_no_calendar_has_is_refused(seconds: str) -> None:
    with pytest.raises(InvalidMessage, match="is not a time"):
        to_datetime("Trades", Decimal(seconds))


def test_a_token_does_not_show_itself() -> None:
    assert "secret" not in repr(
        decode_result("GetWebSocketsToken", b'{"token":"secret","expires":900}', WebSocketsToken)
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_a_damaged_response_is_decoded_or_raises_invalid_message(
    sample: tuple[Any, Any], data: st.DataObject
) -> None:
    kind, value = sample
    body = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not body:
            break
    _read_or_refused(bytes(body), kind)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([kind for kind, _ in SAMPLES]), JSON)
def test_any_json_is_read_or_refused(kind: Any, value: Any) -> None:
    _read_or_refused(json.dumps(value).encode(), kind)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_refused(body: bytes) -> None:
    is_complete_json(body)
    _read_or_refused(body, ServerTimeResponse)
    try:
        decode_envelope("fuzz", body)
    except InvalidMessage:
        return


def _read_or_refused(body: bytes, kind: Any) -> None:
    try:
        found = decode_result("fuzz", body, kind)
    except InvalidMessage:
        return
    assert "Decimal('NaN')" not in repr(found)
    assert "Decimal('Infinity')" not in repr(found)
