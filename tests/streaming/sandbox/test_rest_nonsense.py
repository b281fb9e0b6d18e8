"""Every request gets Kraken's envelope with a result or an error, and never HTTP 500."""

import asyncio
import json
from typing import Any, NoReturn
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.sandbox.rates import RateLimit, RateTier
from streaming.sandbox.rest import private, public
from tests.streaming.sandbox.rest_rig import RestApi, serve_rest

pytestmark = pytest.mark.anyio

ENDLESS = RateLimit(1e9, 1e9)
UNLIMITED = RateTier("unlimited", ENDLESS, ENDLESS)
MANY = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FIELDS = [
    *("pair", "asset", "aclass", "info", "interval", "since", "count", "type", "ordertype"),
    *("volume", "price", "price2", "leverage", "oflags", "timeinforce", "expiretm", "starttm", "deadline"),
    *("validate", "userref", "cl_ord_id", "txid", "order_qty", "limit_price", "trigger_price", "post_only"),
    *("reduce_only", "close[ordertype]", "close[price]", "close[price2]", "timeout", "trades", "start"),
    *("end", "ofs", "closetime", "docalcs", "consolidation", "trigger", "displayvol", "stptype"),
    "without_count",
]
LIKELY = st.sampled_from(
    [
        *("XBTUSDT", "XRPXBT", "buy", "sell", "limit", "market", "stop-loss-limit", "trailing-stop", "0.5"),
        *("30000", "+5", "-5%", "#1", "0", "-1", "1e400", "NaN", "Infinity", "9" * 30, "true"),
        *("OABCDE-ABCDE-ABCDEF", "TABCDE-ABCDE-ABCDEF", "1700000000", "2025-11-21T12:00:30Z", "GTD"),
        *("post", "2", "60", "market,leverage", ""),
    ]
)
VALUES = LIKELY | st.text(max_size=20)
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from([*private.CALLS, *public.CALLS]),
        st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8),
        st.sampled_from(["form", "json"]),
    ),
    min_size=1,
    max_size=12,
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def is_envelope(answer: dict[str, Any]) -> bool:
    errors = answer["error"]
    return (list(answer) == ["error", "result"] and errors == []) or (
        list(answer) == ["error"] and len(errors) == 1 and errors[0][0] == "E" and ":" in errors[0]
    )


async def respond(api: RestApi, method: str, fields: dict[str, Any], form: str) -> dict[str, Any]:
    if method in public.CALLS:
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in fields.items())
        async with api.client.get(f"/0/public/{method}?{query}") as answer:
            assert answer.status == 200
            return await answer.json()
    api.nonce += 1
    nonce = str(api.nonce)
    if form == "json":
        body = json.dumps({"nonce": nonce, **fields}).encode()
        return await api.send(method, body, nonce, content_type="application/json")
    return await api.send(method, urlencode({"nonce": nonce, **fields}).encode(), nonce)


@MANY
@given(REQUESTS)
async def test_any_request_is_answered_in_krakens_words(tmp_path_factory, requests: list[tuple]) -> None:
    async with serve_rest(tmp_path_factory.mktemp("rest"), UNLIMITED, ENDLESS) as api:
        for method, fields, form in requests:
            assert is_envelope(await respond(api, method, fields, form))


@MANY
@given(st.lists(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), ODD, max_size=5), max_size=8))
async def test_any_json_is_answered_in_krakens_words(tmp_path_factory, bodies: list[dict]) -> None:
    async with serve_rest(tmp_path_factory.mktemp("rest"), UNLIMITED) as api:
        for body in bodies:
            assert is_envelope(await respond(api, "AddOrder", body, "json"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe\x00",
        b"nonce=1&volume=%ff%fe",
        b"&&&===&",
        b"nonce",
        b"{",
        b'{"nonce": 1',
        b"[" * 50_000,
        b'{"nonce": {"nonce": {"nonce": 1}}}',
        b'{"nonce": [1]}',
        b'{"nonce": NaN}',
        b'{"nonce": "\\ud800"}',
        b"nonce=" + b"9" * 100_000,
        b"a=1&" * 10_000,
    ],
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "text/plain"])
async def test_meaningless_bytes_are_refused(api: RestApi, body: bytes, kind: str) -> None:
    answer = await api.send("Balance", body, "1", content_type=kind)
    assert is_envelope(answer)
    assert answer["error"]


async def test_meaningless_headers_are_refused(api: RestApi) -> None:
    reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
    writer.write(
        b"POST /0/private/Balance HTTP/1.1\r\nHost: x\r\nAPI-Key: \xff\xfe\r\nAPI-Sign: \xe9\r\n"
        b"Content-Length: 7\r\nConnection: close\r\n\r\nnonce=1"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"error": ["EAPI:Invalid key"]}')


@pytest.mark.parametrize("path", ["/0/private/Balance", "/0/public/Time"])
@pytest.mark.parametrize(
    "header",
    [
        {"Content-Encoding": "gzip"},
        {"Content-Type": "application/json; charset=nonsense"},
        {"Content-Type": ";;;"},
    ],
)
async def test_a_body_that_contradicts_its_header_is_refused(
    api: RestApi, path: str, header: dict[str, str]
) -> None:
    headers = "".join(f"{name}: {value}\r\n" for name, value in header.items())
    status, answer = await send_raw(api, f"POST {path}", headers, b"{garbage")
    assert status == 200
    assert answer == {"error": ["EGeneral:Invalid arguments"]}


async def test_an_internal_error_is_reported_and_logged(
    api: RestApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(api.exchange, "balances", broken)
    monkeypatch.setattr(api.exchange, "book", broken)
    assert await api.refusal("Balance") == "EGeneral:Internal error"
    assert await api.get("Depth", pair="XBTUSDT") == {"error": ["EGeneral:Internal error"]}
    assert (await api.get("Time"))["error"] == []
    assert [record.message for record in caplog.records] == [
        "sandbox: Balance failed",
        "sandbox: Depth failed",
    ]
    assert "ZeroDivisionError: ours" in caplog.text


async def send_raw(api: RestApi, what: str, headers: str, body: bytes) -> tuple[int, Any]:
    """Send a request that no client library would write; return the status and the JSON of the response."""
    reader, writer = await asyncio.open_connection(api.client.host, api.client.port)
    head = f"{what} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    first, _, rest = answer.partition(b"\r\n")
    return int(first.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("path", ["/0/public/", "/0/public/%00", "/0/private/..%2fBalance", "/0/public/ü"])
async def test_an_unknown_method_is_refused(api: RestApi, path: str) -> None:
    async with api.client.get(path) as answer:
        assert answer.status in (200, 404)
        if answer.status == 200:
            assert await answer.json() == {"error": ["EGeneral:Unknown method"]}


async def test_an_order_with_json_values_of_other_types_does_not_reach_the_book(api: RestApi) -> None:
    body = {"pair": ["XBTUSDT"], "type": "buy", "ordertype": "limit", "volume": True, "price": {}}
    answer = await api.ask_json("AddOrder", **body)
    assert answer == {"error": ["EGeneral:Invalid arguments:pair"]}
    assert api.exchange.open_orders("ann") == []
