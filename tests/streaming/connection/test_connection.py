"""A session on real connections to a server on loopback that drops, is silent, sends garbage, refuses and restarts."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from streaming.connection.runner import MAX_ABSENT_ATTEMPTS
from streaming.events import Channel, Subscription, Ticker, UnknownInterval
from streaming.session.output import Interrupted, Reconnecting, Restored, SubscriptionRefused
from tests.streaming.connection.stream_server import (
    TEST_TIMEOUT,
    Listener,
    Script,
    TextFeed,
    confirm_subscription,
    sending,
    stream_server,
)
from tests.streaming.session.session_fakes import BTC, XRP, ticker
from trading.errors import InvalidMessage, InvalidValue, NotAuthorised, VenueRefused, VenueUnreachable

Handshake = Callable[[ServerConnection, Request], Response | None]
pytestmark = pytest.mark.anyio


def last_is(price: float) -> Callable[[list[Any]], bool]:
    return lambda events: events[-1] == ticker(price)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def never_confirming(connection: ServerConnection) -> None:
    await connection.wait_closed()


def sending_until_closed(closed: asyncio.Event) -> Script:
    async def send(connection: ServerConnection) -> None:
        await sending("last 101")(connection)
        closed.set()

    return send


def answering(*statuses: HTTPStatus, headers: tuple[tuple[str, str], ...] = ()) -> Handshake:
    """Answer the first handshakes with these statuses and accept the next ones."""
    left = list(statuses)

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if not left:
            return None
        response = connection.respond(left.pop(0), "")
        for name, value in headers:
            response.headers[name] = value
        return response

    return answer


async def test_events_are_passed_on_and_a_stop_closes_the_connection_normally() -> None:
    codes = []

    async def script(connection: ServerConnection) -> None:
        await confirm_subscription(connection)
        await connection.send("last 101")
        await connection.wait_closed()
        codes.append(connection.close_code)

    async with stream_server(script) as address:
        listener = Listener(TextFeed(address), last_is(101))
        assert await listener.listen() == [ticker(101)]
    assert codes == [1000]


async def test_after_a_drop_it_connects_and_subscribes_again() -> None:
    async with stream_server(sending("last 101", then_abort=True), sending("last 102")) as address:
        listener = Listener(TextFeed(address), last_is(102))
        await listener.listen()
    kinds = [type(each) for each in listener.events]
    assert kinds == [Ticker, Interrupted, Reconnecting, UnknownInterval, Restored, Ticker]
    assert "closed the connection" in listener.events_of(Reconnecting)[0].reason
    assert listener.backoff.results[0].opened


async def test_a_connection_that_falls_silent_is_replaced() -> None:
    async with stream_server(sending("last 101"), sending("last 102")) as address:
        listener = Listener(TextFeed(address, silence_timeout=0.2), last_is(102))
        await listener.listen()
    assert {each.reason for each in listener.events_of(Reconnecting)} == {"no frame for 0.2 seconds"}


async def test_unreadable_frames_are_stored_and_the_connection_goes_on() -> None:
    garbage = ["what?", b"text \xff is no UTF-8", b"\xfe\x01"]

    async with stream_server(sending(*garbage, "last 101")) as address:
        listener = Listener(TextFeed(address), last_is(101))
        assert await listener.listen() == [ticker(101)]
    assert listener.frame_store.frames == garbage


async def test_a_flood_of_unreadable_frames_leads_to_another_connection() -> None:
    async with stream_server(sending(*["what?"] * 50), sending("last 101")) as address:
        listener = Listener(TextFeed(address), last_is(101), max_unreadable=10)
        await listener.listen()
    assert "11 unreadable messages" in listener.events_of(Reconnecting)[0].reason


async def test_a_message_above_the_size_limit_ends_the_connection_not_the_process() -> None:
    async with stream_server(sending("last 101 " + "x" * 2_000), sending("last 102")) as address:
        listener = Listener(TextFeed(address), last_is(102))
        listener.limits = replace(listener.limits, max_message_size=1_000)
        await listener.listen()
    assert "1009" in listener.events_of(Reconnecting)[0].reason


async def test_a_venue_that_is_restarted_on_the_same_port_is_found_again() -> None:
    port = free_port()
    listener = Listener(TextFeed(f"ws://127.0.0.1:{port}/"), last_is(102))
    listening = asyncio.create_task(listener.listen())
    while not listener.events_of(Reconnecting):
        await asyncio.sleep(0.01)
    async with stream_server(sending("last 101"), port=port):
        while not listener.events_of(Ticker):
            await asyncio.sleep(0.01)
    while "cannot be reached" not in listener.events_of(Reconnecting)[-1].reason:
        await asyncio.sleep(0.01)
    async with stream_server(sending("last 102"), port=port):
        await listening
    assert "cannot be reached" in listener.events_of(Reconnecting)[0].reason
    assert not listener.backoff.results[0].opened
    assert len(listener.events_of(UnknownInterval)) == 1


async def test_an_http_error_at_the_handshake_is_retried() -> None:
    refusals = answering(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.FORBIDDEN)
    async with stream_server(sending("last 101"), process_request=refusals) as address:
        listener = Listener(TextFeed(address), last_is(101))
        await listener.listen()
    reasons = [each.reason for each in listener.events_of(Reconnecting)]
    assert [reason.split()[-1] for reason in reasons] == ["503", "403"]


@pytest.mark.parametrize(
    ("headers", "minimum_pause"),
    [
        ((("Retry-After", "17"),), 17),
        ((("Retry-After", "Sun, 02 Aug 2026 12:00:00 GMT"),), 60),
        ((), 60),
    ],
)
async def test_too_many_connections_wait_for_as_long_as_the_venue_asks(
    headers: tuple[tuple[str, str], ...], minimum_pause: float
) -> None:
    refusals = answering(HTTPStatus.TOO_MANY_REQUESTS, headers=headers)
    async with stream_server(sending("last 101"), process_request=refusals) as address:
        listener = Listener(TextFeed(address), last_is(101))
        await listener.listen()
    assert listener.backoff.results[0].minimum_pause == minimum_pause


@pytest.mark.parametrize(
    ("status", "error"), [(HTTPStatus.NOT_FOUND, VenueUnreachable), (HTTPStatus.UNAUTHORIZED, NotAuthorised)]
)
async def test_a_missing_stream_or_a_refused_key_is_not_retried(
    status: HTTPStatus, error: type[Exception]
) -> None:
    async with stream_server(sending(), process_request=answering(status)) as address:
        with pytest.raises(error, match=f"HTTP {status.value}"):
            await Listener(TextFeed(address), last_is(0)).listen()


async def test_a_stream_that_was_there_once_may_be_missing_for_a_while() -> None:
    left = [None, HTTPStatus.NOT_FOUND]

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        status = left.pop(0) if left else None
        return None if status is None else connection.respond(status, "")

    async with stream_server(
        sending("last 101", then_abort=True), sending("last 102"), process_request=answer
    ) as address:
        listener = Listener(TextFeed(address), last_is(102))
        await listener.listen()
    assert "HTTP 404" in listener.events_of(Reconnecting)[1].reason


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1/?api_key=hush",
        "ws://127.0.0.1:99999/?api_key=hush",
        "ws://a..b/?api_key=hush",
        "ws://127.0.0.1:port/?api_key=hush",
        "ws:///?api_key=hush",
        "",
    ],
)
async def test_an_invalid_address_is_reported_without_the_key(address: str) -> None:
    with pytest.raises(InvalidValue, match="write it like wss://host/path") as raised:
        await Listener(TextFeed(address), last_is(0)).listen()
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_an_unknown_host_name_is_retried() -> None:
    listener = Listener(TextFeed("ws://nobody.invalid/?api_key=hush"), lambda events: len(events) > 1)
    events = await listener.listen()
    assert events[0].reason.startswith("ws://nobody.invalid/ (fake) ")


async def test_a_connection_that_is_not_secure_is_not_used() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        listener = Listener(TextFeed(f"wss://127.0.0.1:{port}/"), lambda events: True)
        events = await listener.listen()
    assert "no secure connection" in events[0].reason


async def test_a_venue_that_never_finishes_the_handshake_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        listener = Listener(TextFeed(f"ws://127.0.0.1:{port}/"), lambda events: True)
        listener.limits = replace(listener.limits, open_timeout=0.2)
        events = await listener.listen()
    assert events[0].reason.endswith("does not answer within 0.2 s")


async def test_a_stop_does_not_wait_for_a_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        listener = Listener(TextFeed(f"ws://127.0.0.1:{port}/"), lambda events: True)
        listener.limits = replace(listener.limits, open_timeout=10 * TEST_TIMEOUT)
        asyncio.get_running_loop().call_later(0.1, listener.stop.set)
        assert await listener.listen() == []


@pytest.mark.parametrize("when", ["waiting", "listening"])
async def test_cancelling_leaves_nothing_open(when: str) -> None:
    closed = asyncio.Event()
    async with stream_server(sending_until_closed(closed)) as address:
        listener = Listener(TextFeed(address), lambda events: False)
        listening = asyncio.create_task(listener.listen())
        while when == "listening" and not listener.events:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        listening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await listening
        if when == "listening":
            await asyncio.wait_for(closed.wait(), TEST_TIMEOUT)


async def test_an_error_of_the_consumer_ends_everything() -> None:
    closed = asyncio.Event()

    def burst(events: list[Any]) -> bool:
        raise TimeoutError("the consumer's own")

    async with stream_server(sending_until_closed(closed)) as address:
        with pytest.raises(TimeoutError, match="the consumer's own"):
            await Listener(TextFeed(address), burst).listen()
        await asyncio.wait_for(closed.wait(), TEST_TIMEOUT)


async def test_a_slow_consumer_slows_the_venue_down_and_loses_nothing() -> None:
    frames, padding = 40, "x" * 2**20

    sent, go_on = [0], asyncio.Event()

    async def script(connection: ServerConnection) -> None:
        await confirm_subscription(connection)
        for number in range(frames):
            await connection.send(f"last {number} {padding}")
            sent[0] += 1
        await connection.wait_closed()

    async with stream_server(script) as address:
        listener = Listener(TextFeed(address), last_is(frames - 1))
        listener.limits = replace(listener.limits, max_buffered=4)
        listener.before_event = go_on.wait
        listening = asyncio.create_task(listener.listen())
        before = -1
        while before != sent[0]:  # until nothing moves any more
            before = sent[0]
            await asyncio.sleep(0.5)
        assert sent[0] < frames
        go_on.set()
        await listening
    assert [each.last for each in listener.events_of(Ticker)] == list(range(frames))
    assert listener.events_of(Reconnecting) == []


async def test_the_time_that_a_consumer_takes_is_not_counted_as_silence() -> None:
    both = Subscription(Channel.TICKER, (BTC, XRP))
    async with stream_server(sending("last 101", "other 1", "other 2", "last 102")) as address:
        listener = Listener(
            TextFeed(address),
            last_is(102),
            [both],
            silence_timeouts={Channel.TICKER: timedelta(seconds=0.8)},
        )
        listener.before_event = lambda: asyncio.sleep(0.5)
        await listener.listen()
    assert {type(each) for each in listener.events} == {Ticker}


async def test_a_venue_that_refuses_everything_ends_the_session_after_the_report() -> None:
    async def script(connection: ServerConnection) -> None:
        request = await connection.recv()
        await connection.send(f"no {str(request).partition('#')[2]} not for you")
        await connection.wait_closed()

    async with stream_server(script) as address:
        listener = Listener(TextFeed(address), lambda events: False)
        with pytest.raises(VenueRefused, match="not for you"):
            await listener.listen()
        assert listener.events == [SubscriptionRefused(Channel.TICKER, BTC, "not for you")]


async def test_a_token_that_cannot_be_fetched_now_is_fetched_later() -> None:
    errors: list[Exception] = [VenueUnreachable("no token"), NotAuthorised("no key")]

    def prepare() -> None:
        if errors:
            raise errors.pop(0)

    feed = TextFeed("ws://127.0.0.1/")
    feed.prepare = prepare  # type: ignore[method-assign]
    listener = Listener(feed, lambda events: False)
    with pytest.raises(NotAuthorised, match="no key"):
        await listener.listen()
    assert [each.reason for each in listener.events] == ["no token"]


async def test_no_attempt_is_made_before_the_budget_allows_it() -> None:
    waits = [0.03, 0.02, 0.0]
    connections = []

    async def script(connection: ServerConnection) -> None:
        connections.append(len(waits))
        await sending("last 101")(connection)

    async with stream_server(script) as address:
        listener = Listener(TextFeed(address), last_is(101))
        listener.budget = SimpleNamespace(take=lambda now: waits.pop(0))
        await listener.listen()
    assert [each.pause for each in listener.events_of(Reconnecting)] == [0.03, 0.02]
    assert connections == [0]


async def test_a_stop_without_a_connection_reports_what_is_still_unknown() -> None:
    async with stream_server(sending("last 101", then_abort=True), never_confirming) as address:
        listener = Listener(TextFeed(address), lambda events: type(events[-1]) is Reconnecting)
        await listener.listen()
    assert [type(each) for each in listener.events] == [Ticker, Interrupted, Reconnecting, UnknownInterval]


async def test_a_garbled_token_ends_a_session_that_never_connected_and_no_other() -> None:
    answers: list[Exception | None] = [None, InvalidMessage("rest", "<html>"), None]

    def prepare() -> None:
        if answers and (error := answers.pop(0)) is not None:
            raise error

    async with stream_server(sending("last 101", then_abort=True), sending("last 102")) as address:
        feed = TextFeed(address)
        feed.prepare = prepare  # type: ignore[method-assign]
        listener = Listener(feed, last_is(102))
        await listener.listen()
        assert "rest: <html>" in [each.reason for each in listener.events_of(Reconnecting)]
        answers[:] = [InvalidMessage("rest", "<html>")]
        with pytest.raises(InvalidMessage, match="<html>"):
            await Listener(feed, last_is(102)).listen()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_an_address_of_this_machine_without_a_server_is_not_retried_for_ever(host: str) -> None:
    listener = Listener(TextFeed(f"ws://{host}:{free_port()}/v2"), lambda events: False)
    with pytest.raises(VenueUnreachable, match=r"^ws://.*/v2 \(fake\) .* is it running\? start it"):
        await listener.listen()
    assert len(listener.events_of(Reconnecting)) == MAX_ABSENT_ATTEMPTS - 1


async def test_a_server_of_this_machine_that_answers_is_retried() -> None:
    unavailable = answering(*[HTTPStatus.SERVICE_UNAVAILABLE] * (MAX_ABSENT_ATTEMPTS + 1))
    async with stream_server(sending("last 101"), process_request=unavailable) as address:
        listener = Listener(TextFeed(address), last_is(101))
        await listener.listen()
    assert len(listener.events_of(Reconnecting)) == MAX_ABSENT_ATTEMPTS + 1
