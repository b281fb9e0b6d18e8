"""Bodies of requests are read correctly or refused in Kraken's words."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sandbox.model import (
    CloseOrder,
    NewOrder,
    OrderType,
    PriceTerm,
    PriceUnit,
    Refused,
    SelfTrade,
    TimeInForce,
)
from streaming.sandbox.rest import orders
from streaming.sandbox.rest.names import Names
from streaming.sandbox.rest.parameters import Parameters, parse_amount
from tests.streaming.sandbox.rest_rig import BTC, LISTINGS, XRP_BTC
from trading.orders import Side

T = TypeVar("T")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAMES = Names(LISTINGS)
BUY = {"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "30000"}


def order(**changes: str) -> NewOrder:
    parameters = {name: value for name, value in {**BUY, **changes}.items() if value is not None}
    return orders.new_order(Parameters.of_body(urlencode(parameters).encode(), False), NAMES, NOW)


def value_or_refusal(work: Callable[[], T]) -> T | Refused:
    try:
        return work()
    except Refused as refusal:
        return refusal


def refusal(**changes: str) -> str:
    with pytest.raises(Refused) as refused:
        order(**changes)
    return str(refused.value)


def test_a_limit_order_is_read_exactly() -> None:
    assert order(volume="0.01234567", price="30000.10") == NewOrder(
        pair=BTC,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01234567"),
        limit=PriceTerm(Decimal("30000.10")),
    )


def test_json_is_read_as_the_same_order_as_a_form() -> None:
    text = {
        **BUY,
        "userref": "7",
        "validate": "true",
        "close": {"ordertype": "stop-loss", "price": "29000.5"},
    }
    body = b"""{"pair": "XBTUSDT", "type": "buy", "ordertype": "limit", "volume": 0.01, "price": 30000,
        "userref": 7, "validate": true, "close": {"ordertype": "stop-loss", "price": 29000.5}, "nonce": null}"""
    form = {k: v for k, v in text.items() if k != "close"} | {
        "close[ordertype]": "stop-loss",
        "close[price]": "29000.5",
    }
    read = [
        orders.new_order(Parameters.of_body(raw, is_json), NAMES, NOW)
        for raw, is_json in (
            (body, True),
            (json.dumps(text).encode(), True),
            (urlencode(form).encode(), False),
        )
    ]
    assert read[0] == read[1] == read[2]
    assert read[0].close == CloseOrder(OrderType.STOP_LOSS, None, PriceTerm(Decimal("29000.5")))


def test_json_numbers_keep_every_digit() -> None:
    parameters = Parameters.of_body(b'{"nonce": 18446744073709551615, "volume": 0.10000000000000000}', True)
    assert parameters.text("nonce") == "18446744073709551615"
    assert parameters.amount("volume") == Decimal("0.1")


@pytest.mark.parametrize(
    ("kind", "price", "price2", "limit", "trigger"),
    [
        ("market", None, None, None, None),
        ("market", "0", "0", None, None),
        ("limit", "+5", None, PriceTerm(Decimal(5), PriceUnit.DISTANCE), None),
        ("limit", "-1.5%", None, PriceTerm(Decimal("-1.5"), PriceUnit.PERCENT), None),
        ("limit", "#5", None, PriceTerm(Decimal(-5), PriceUnit.DISTANCE), None),
        ("stop-loss", "31000", None, None, PriceTerm(Decimal(31000))),
        ("stop-loss", "#2%", None, None, PriceTerm(Decimal(2), PriceUnit.PERCENT)),
        ("take-profit", "#2%", None, None, PriceTerm(Decimal(-2), PriceUnit.PERCENT)),
        ("stop-loss-limit", "31000", "31100", PriceTerm(Decimal(31100)), PriceTerm(Decimal(31000))),
        (
            "take-profit-limit",
            "29000",
            "#10",
            PriceTerm(Decimal(10), PriceUnit.DISTANCE),
            PriceTerm(Decimal(29000)),
        ),
        ("trailing-stop", "+1.5%", None, None, PriceTerm(Decimal("1.5"), PriceUnit.PERCENT)),
        ("trailing-stop", "-100", None, None, PriceTerm(Decimal(100), PriceUnit.DISTANCE)),
        (
            "trailing-stop-limit",
            "+1.5%",
            "-0.5%",
            PriceTerm(Decimal("-0.5"), PriceUnit.PERCENT),
            PriceTerm(Decimal("1.5"), PriceUnit.PERCENT),
        ),
    ],
)
def test_every_kind_of_order_has_its_prices(
    kind: str, price: str, price2: str, limit: PriceTerm | None, trigger: PriceTerm | None
) -> None:
    read = order(ordertype=kind, price=price, price2=price2)
    assert (read.limit, read.trigger) == (limit, trigger)


def test_an_automatic_sign_turns_round_for_a_seller() -> None:
    assert order(type="sell", price="#5").limit == PriceTerm(Decimal(5), PriceUnit.DISTANCE)
    stop = order(type="sell", ordertype="stop-loss", price="#5").trigger
    assert stop == PriceTerm(Decimal(-5), PriceUnit.DISTANCE)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("volume", ["", "0", "-1", "nan", "inf", "1e99", "1e-30", "9" * 40, "1,5", "0x10", "１", None]),
        ("price", ["", "0", "-0", "5%", "++5", "+", "%", "abc", "1..2", "NaN", "9" * 40, None]),
        ("type", ["", "hold", None]),
        ("ordertype", ["", "iceberg", "settle-position", None]),
        ("oflags", ["fcib,fciq", "nonsense", "post,nonsense"]),
        ("timeinforce", ["forever"]),
        ("expiretm", ["-5", "soon", "+9999999999", "99999999999999"]),
        ("leverage", ["0", "-2", "2.5", "two", "9999"]),
        ("userref", ["1.5", "abc", str(2**31), "-9999999999"]),
        ("cl_ord_id", ["with a blank", "longer-than-eighteen", "ü", "6d1b345e-2821-40e2-ad83"]),
        ("reduce_only", ["maybe"]),
        ("starttm", ["+60"]),
        ("displayvol", ["0.001"]),
        ("trigger", ["index"]),
        ("stptype", ["cancel-all"]),
        ("close[ordertype]", ["market", "nonsense"]),
    ],
)
def test_an_invalid_field_is_refused_by_its_name(field: str, values: list[str]) -> None:
    for value in values:
        assert refusal(**{field: value}) == f"EGeneral:Invalid arguments:{field}"


def test_an_unknown_pair_is_refused_as_one() -> None:
    assert refusal(pair="NOPEUSDT") == "EQuery:Unknown asset pair"


def test_a_good_till_date_order_needs_its_date() -> None:
    assert refusal(timeinforce="GTD") == "EGeneral:Invalid arguments:expiretm"
    assert refusal(timeinforce="IOC", expiretm="+30") == "EGeneral:Invalid arguments:expiretm"
    dated = order(timeinforce="gtd", expiretm="+30")
    assert (dated.time_in_force, dated.expires_at) == (TimeInForce.GTD, NOW.replace(second=30))
    assert order(expiretm=str(int(NOW.timestamp()))).expires_at == NOW
    assert order(expiretm="0").time_in_force is TimeInForce.GTC


def test_a_trailing_stop_needs_a_distance() -> None:
    assert refusal(ordertype="trailing-stop", price="30000") == "EGeneral:Invalid arguments:price"
    assert (
        refusal(ordertype="trailing-stop-limit", price="+5", price2="30000")
        == "EGeneral:Invalid arguments:price2"
    )


def test_a_close_order_is_read_for_the_other_side() -> None:
    close = order(
        **{"close[ordertype]": "stop-loss-limit", "close[price]": "#5%", "close[price2]": "28000"}
    ).close
    assert close == CloseOrder(
        OrderType.STOP_LOSS_LIMIT, PriceTerm(Decimal(28000)), PriceTerm(Decimal(-5), PriceUnit.PERCENT)
    )


@pytest.mark.parametrize(
    "name",
    ["6d1b345e-2821-40e2-ad83-4ecb18a06876", "da8e4ad59b78481c93e589746b0cf91f", "arb-20240509-00010"],
)
def test_the_three_forms_of_a_client_id_are_taken(name: str) -> None:
    assert order(cl_ord_id=name).client_order_id == name


def test_an_order_has_only_one_client_id() -> None:
    assert refusal(cl_ord_id="mine", userref="5") == "EGeneral:Invalid arguments:cl_ord_id"


@pytest.mark.parametrize(("text", "times"), [("none", 1), ("2", 2), ("3:1", 3), ("", 1)])
def test_leverage_is_read_as_kraken_writes_it(text: str, times: int) -> None:
    assert order(leverage=text).leverage == times


def test_flags_are_read() -> None:
    assert order(oflags="fciq,post").post_only
    assert not order(oflags="fciq").post_only
    assert order(oflags="fcib,nompp").fee_asset == "BTC"
    assert order(oflags="post").fee_asset == order(oflags="fciq").fee_asset == "USDT"
    assert refusal(oflags="viqc") == "EAPI:Feature disabled:viqc"


@pytest.mark.parametrize("way", list(SelfTrade))
def test_self_trade_prevention_is_read(way: SelfTrade) -> None:
    assert order(stptype=way.value).self_trade is way
    assert order().self_trade is SelfTrade.CANCEL_NEWEST


def test_fill_or_kill_is_read_in_any_case() -> None:
    assert order(timeinforce="FOK").time_in_force is order(timeinforce="fok").time_in_force is TimeInForce.FOK


@pytest.mark.parametrize(
    "name", ["XBTUSDT", "BTCUSDT", "BTC/USDT", "XBT/USDT", "XXBTUSDT", "xbtusdt", " XBTUSDT "]
)
def test_a_pair_may_be_spelled_in_any_of_krakens_ways(name: str) -> None:
    assert order(pair=name).pair == BTC


def test_a_legacy_pair_has_its_legacy_key() -> None:
    assert NAMES.pair("XXRPXXBT") == NAMES.pair("XRPBTC") == NAMES.pair("XRP/XBT") == XRP_BTC


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"{", b"[]", b'"text"', b"{" * 100_000, b'{"volume": NaN}', b'{"volume": -Infinity}'],
)
def test_invalid_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments"):
        Parameters.of_body(body, True)


@pytest.mark.parametrize("value", [[1, 2], {"a": {"b": 1}}, ["x"], "line\nbreak", "\ud800"])
def test_json_of_another_shape_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments"):
        Parameters.of_body(json.dumps({"volume": value}).encode(), True)


@pytest.mark.parametrize("body", [b"volume=%ff", b"a=1&" * 200])
def test_a_broken_form_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments"):
        Parameters.of_body(body, False)


@given(st.decimals(min_value="0.00000001", max_value="1000000", places=8))
def test_any_amount_is_read_without_loss(amount: Decimal) -> None:
    assert parse_amount(format(amount, "f"), "volume") == amount


@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9.]{1,20}(e-?[0-9]{1,3})?", fullmatch=True))
def test_any_text_is_read_as_a_number_or_refused(text: str) -> None:
    value = value_or_refusal(lambda: parse_amount(text, "volume"))
    if isinstance(value, Refused):
        assert str(value) == "EGeneral:Invalid arguments:volume"
    else:
        assert value.is_finite()
        assert value == Decimal(text)


@given(
    st.dictionaries(
        st.sampled_from(
            [*BUY, "price2", "close[ordertype]", "close[price]", "expiretm", "oflags", "userref", "leverage"]
        ),
        st.text(max_size=12),
        max_size=8,
    )
)
def test_any_form_is_an_order_or_a_refusal(changes: dict[str, str]) -> None:
    body = "&".join(f"{quote(name)}={quote(value)}" for name, value in {**BUY, **changes}.items())
    read = value_or_refusal(lambda: orders.new_order(Parameters.of_body(body.encode(), False), NAMES, NOW))
    if isinstance(read, Refused):
        assert str(read).startswith(("EGeneral:Invalid arguments", "EQuery:Unknown asset pair"))
    else:
        assert read.quantity > 0


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T12:00:30Z",
        "2026-11-21T12:00:30.000000123Z",
        "2026-11-21T17:00:30+05:00",
        "2026-11-21 12:00:30",
    ],
)
def test_a_time_may_have_a_zone_and_any_digits(text: str) -> None:
    read = Parameters({"deadline": text}).time("deadline")
    assert read == NOW.replace(second=30)


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-13-01T00:00:00Z", "2026-11-21", "0001-01-01T00:00:00+23:59", "12:00"]
)
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments:deadline"):
        Parameters({"deadline": text}).time("deadline")


def test_an_amendment_has_only_the_fields_that_change() -> None:
    parameters = Parameters({"txid": "OABCDE", "limit_price": "#3", "order_qty": "0.5"})
    amendment = orders.amendment(parameters, Side.SELL)
    assert amendment.limit == PriceTerm(Decimal(3), PriceUnit.DISTANCE)
    assert (amendment.quantity, amendment.trigger, amendment.post_only) == (Decimal("0.5"), None, None)


def test_an_edit_reads_its_prices_as_the_order_was_read() -> None:
    parameters = Parameters({"txid": "OABCDE", "price": "31000", "price2": "31100"})
    stop = orders.edit(parameters, OrderType.STOP_LOSS_LIMIT, Side.BUY)
    assert (stop.trigger, stop.limit) == (PriceTerm(Decimal(31000)), PriceTerm(Decimal(31100)))
    plain = orders.edit(parameters, OrderType.LIMIT, Side.BUY)
    assert (plain.trigger, plain.limit) == (None, PriceTerm(Decimal(31000)))
