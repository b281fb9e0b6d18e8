"""The WebSocket endpoint over real sockets on loopback."""

import asyncio
import json
import socket as plain_socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.sandbox.faults import Fault, FaultKind, Faults
from streaming.sandbox.order_gateway import OrderGateway
from streaming.sandbox.rates import PRO, Rates
from streaming.sandbox.websocket import WebSocketApi
from streaming.sandbox.websocket.framing import fragments, make_frame
from streaming.sandbox.websocket.order_requests import ORDER_METHODS
from tests.doubles.clock import Clock
from tests.streaming.sandbox.websocket_fakes import BTC, SERVER_START, FakeExchange, Tokens, unframed

pytestmark = pytest.mark.anyio

ORDER = {
    "order_type": "limit",
    "side": "buy",
    "order_qty": 0.1,
    "limit_price": 100,
    "symbol": "BTC/USDT",
    "token": "good",
}
BOOK = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"]}}


class Sandbox:
    """The API on a server of its own, with a client to talk to it."""

    def __init__(self, unread_limit: int = 16 << 20) -> None:
        self.clock = Clock(SERVER_START)
        self.exchange = FakeExchange()
        self.exchange.quote(BTC, {"100.0": "1"}, {"100.1": "3"})
        self.faults = Faults(self.clock)
        gateway = OrderGateway(self.exchange, Rates(PRO, self.clock), self.faults, lambda: 0.0, self.clock)  # type: ignore[arg-type]
        self.api = WebSocketApi(self.exchange, gateway, Tokens(), self.faults, self.clock, unread_limit)
        self.url = ""
        self.session: ClientSession

    def connect(self, path: str = "/v2") -> Any:
        return self.session.ws_connect(self.url + path)


@asynccontextmanager
async def serve(unread_limit: int = 16 << 20) -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(unread_limit)
    application = web.Application()
    sandbox.api.mount(application)
    async with TestServer(application) as server, ClientSession() as sandbox.session:
        sandbox.url = str(server.make_url("")).rstrip("/")
        yield sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with serve() as sandbox:
        yield sandbox


async def receive(socket: ClientWebSocketResponse) -> Any:
    return json.loads(await socket.receive_str(timeout=5))


async def receive_method(socket: ClientWebSocketResponse, method: str) -> Any:
    while (message := await receive(socket)).get("method") != method:
        pass
    return message


async def send(socket: ClientWebSocketResponse, request: object) -> None:
    await socket.send_str(json.dumps(request))


@pytest.mark.parametrize("path", ["/v2", "/v2/private"])
async def test_both_paths_take_public_and_private_requests(sandbox: Sandbox, path: str) -> None:
    async with sandbox.connect(path) as socket:
        assert (await receive(socket))["channel"] == "status"
        await send(socket, BOOK)
        assert (await receive(socket))["result"]["depth"] == 10
        assert (await receive(socket))["type"] == "snapshot"
        await send(socket, {"method": "add_order", "req_id": 3, "params": ORDER})
        answer = await receive_method(socket, "add_order")
        assert (answer["req_id"], answer["success"]) == (3, True)


async def test_an_event_of_the_exchange_reaches_a_subscriber(sandbox: Sandbox) -> None:
    async with sandbox.connect() as socket:
        await send(socket, BOOK)
        for _ in range(3):
            await receive(socket)
        sandbox.exchange.quote(BTC, {"99.5": "2"}, {})
        update = await receive(socket)
        while update["channel"] == "heartbeat":
            update = await receive(socket)
        assert update["data"][0]["bids"] == [{"price": 99.5, "qty": 2}]


async def test_nonsense_gets_an_error_and_the_connection_stays_open(sandbox: Sandbox) -> None:
    async with sandbox.connect() as socket:
        await receive(socket)
        for nonsense in ("", "{", "[1,2]", '{"req_id":5}', '{"method":"subscribe","params":7}'):
            await socket.send_str(nonsense)
            assert (await receive(socket))["success"] is False
        await socket.send_bytes(b"\xff\xfe")
        assert (await receive(socket))["error"] == "Malformed request"
        await send(socket, {"method": "ping", "req_id": 1})
        assert (await receive(socket))["method"] == "pong"


async def test_an_internal_error_is_reported_and_logged_and_the_connection_lives(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("ours")

    async with sandbox.connect() as socket:
        await receive(socket)
        monkeypatch.setattr("streaming.sandbox.websocket.conversation.subscribe", broken)
        await send(socket, {**BOOK, "req_id": 5})
        answer = await receive(socket)
        assert (answer["req_id"], answer["method"]) == (5, "subscribe")
        assert answer["error"] == "EGeneral:Internal error"
        monkeypatch.setitem(ORDER_METHODS, "add_order", broken)
        await send(socket, {"method": "add_order", "req_id": 6, "params": ORDER})
        answer = await receive(socket)
        assert (answer["req_id"], answer["error"]) == (6, "EGeneral:Internal error")
        await send(socket, {"method": "ping", "req_id": 1})
        assert (await receive(socket))["method"] == "pong"
    assert len(caplog.records) == 2
    assert caplog.text.count("ZeroDivisionError: ours") == 2


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=50) | st.binary(max_size=50), max_size=10))
async def test_any_frames_are_each_answered_and_the_connection_stays_open(
    sandbox: Sandbox, frames: list[str | bytes]
) -> None:
    async with sandbox.connect() as socket:
        await receive(socket)
        for frame in frames:
            await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        await send(socket, {"method": "ping", "req_id": 77})
        answers = 0
        while (await receive(socket)).get("req_id") != 77:
            answers += 1
        assert answers == len(frames)


async def test_a_client_that_does_not_read_is_cut_off_and_the_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve(unread_limit=1 << 16) as sandbox:
        _, writer = await mute_subscriber(sandbox)
        async with sandbox.connect() as socket:
            await send(socket, BOOK)
            for _ in range(3):
                await receive(socket)
            received = 0
            for number in range(1, 100_000):
                sandbox.exchange.quote(BTC, {"99.5": str(number)}, {})
                while received < number:  # the one that reads is never behind
                    received += (await receive(socket))["channel"] == "book"
                if len(sandbox.api.hub.clients) == 1:
                    break
            await send(socket, {"method": "ping", "req_id": 1})
            await receive_method(socket, "pong")
        writer.close()
    assert "does not read them" in caplog.text


async def test_a_disconnect_by_the_clock_cuts_everybody_off_abruptly(sandbox: Sandbox) -> None:
    async with sandbox.connect() as first, sandbox.connect() as second:
        await receive(first)
        await receive(second)
        sandbox.faults.arm(Fault(FaultKind.DISCONNECT, count=1))
        for socket in (first, second):
            message = await socket.receive(timeout=5)
            assert message.type in (WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR)
            assert socket.close_code == 1006
    async with sandbox.connect() as again:
        assert (await receive(again))["channel"] == "status"


async def test_garbage_arrives_and_so_does_what_follows_it(sandbox: Sandbox) -> None:
    async with sandbox.connect() as socket:
        await send(socket, BOOK)
        for _ in range(3):
            await receive(socket)
        sandbox.faults.arm(Fault(FaultKind.GARBAGE_FRAME, channel="book", count=5))
        kinds, whole = set(), 0
        for number in range(5):
            sandbox.exchange.quote(BTC, {"99.5": str(number + 1)}, {})
        while whole < 5:
            message = await socket.receive(timeout=5)
            kinds.add(message.type)
            whole += _is_update(message.data)
        assert kinds == {WSMsgType.TEXT, WSMsgType.BINARY}


def _is_update(frame: str | bytes) -> bool:
    try:
        message = json.loads(frame)
        return bool(message["channel"] == "book" and message["data"][0]["checksum"] >= 0)
    except (ValueError, KeyError, TypeError, IndexError):
        return False


async def test_a_frame_sent_byte_by_byte_arrives_whole_and_later_ones_wait_for_it(sandbox: Sandbox) -> None:
    async with sandbox.connect() as socket:
        await send(socket, BOOK)
        for _ in range(3):
            await receive(socket)
        sandbox.faults.arm(Fault(FaultKind.SLOW_LORIS, channel="book", seconds=0.0005, count=1))
        sandbox.exchange.quote(BTC, {"99.5": "1"}, {})
        sandbox.exchange.quote(BTC, {"99.5": "2"}, {})
        await socket.ping()
        quantities: list[int] = []
        while len(quantities) < 2:
            message = await receive(socket)
            if message["channel"] == "book":
                quantities.append(message["data"][0]["bids"][0]["qty"])
        assert quantities == [1, 2]


async def test_a_producer_waits_until_a_slow_client_has_taken_what_there_was() -> None:
    async with serve(unread_limit=64 << 20) as sandbox:
        reader, writer = await mute_subscriber(sandbox)
        fall_behind(sandbox)
        waiting = asyncio.create_task(sandbox.api.wait_for_clients())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        while not waiting.done():
            assert await asyncio.wait_for(reader.read(1 << 20), 5)
        writer.close()


async def test_a_client_that_stays_behind_is_cut_off_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(unread_limit=64 << 20) as sandbox:
        _, writer = await mute_subscriber(sandbox)
        fall_behind(sandbox)
        waiting = asyncio.create_task(sandbox.api.wait_for_clients())
        await asyncio.sleep(0.02)
        sandbox.clock.now += 6
        await asyncio.wait_for(waiting, 5)
        writer.close()
    assert "have waited for it for 5 s" in caplog.text


async def mute_subscriber(sandbox: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A subscriber of a whole book that reads nothing by itself, not even into its own buffers."""
    raw = plain_socket.socket()
    raw.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", int(sandbox.url.rsplit(":", 1)[1])))
    reader, writer = await asyncio.open_connection(sock=raw)
    writer.write(
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    request = json.dumps(BOOK).replace("}}", ', "depth": 1000}}').encode()
    writer.write(bytes((0x81, 0x80 | len(request))) + bytes(4) + request)  # masked with zeros
    while not any(client.subscribed for client in sandbox.api.hub.clients):
        await asyncio.sleep(0.001)
    return reader, writer


def fall_behind(sandbox: Sandbox) -> None:
    """Some 20 MB at once, more than the buffers of the operating system take."""
    prices = [f"{50 + number / 10:.1f}" for number in range(450)]
    for number in range(1, 1200):
        sandbox.exchange.quote(BTC, dict.fromkeys(prices, str(number)), {})


async def test_a_request_that_is_no_websocket_is_refused(sandbox: Sandbox) -> None:
    async with sandbox.session.get(sandbox.url + "/v2") as answer:
        assert answer.status == 400


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_a_frame_holds_its_payload(payload: bytes) -> None:
    assert unframed(make_frame(payload)) == payload


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 100_000])
def test_frames_of_every_length_are_well_formed(size: int) -> None:
    assert unframed(make_frame(b"x" * size)) == b"x" * size


def test_the_fragments_of_a_message_are_one_message() -> None:
    first, *middle, last = fragments(b"abcd")
    assert (first, last) == (b"\x01\x01a", b"\x80\x01d")
    assert middle == [b"\x00\x01b", b"\x00\x01c"]
