"""A session on real connections to a server on loopback that drops, is silent, sends garbage, refuses and restarts."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from streaming.connection.runner import MOST_ABSENCES
from streaming.events import Channel, Subscription, Ticker, Unknown
from streaming.session.output import Interrupted, Reconnecting, Restored, SubscriptionRefused
from tests.streaming.connection.stream_server import (
    BOUND,
    Listener,
    WordFeed,
    subscribed,
    talk,
    venue,
)
from tests.streaming.session.session_fakes import BTC, XRP, ticker
from trading.errors import InvalidMessage, InvalidValue, NotAuthorised, VenueRefused, VenueUnreachable

Handshake = Callable[[ServerConnection, Request], Response | None]


def played(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def last_is(price: float) -> Callable[[list[Any]], bool]:
    return lambda heard: heard[-1] == ticker(price)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def answering(*statuses: HTTPStatus, headers: tuple[tuple[str, str], ...] = ()) -> Handshake:
    """These to the first handshakes, a connection to the next."""
    left = list(statuses)

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        if not left:
            return None
        response = connection.respond(left.pop(0), "")
        for name, value in headers:
            response.headers[name] = value
        return response

    return answer


def test_what_the_venue_says_is_heard_and_a_stop_says_good_bye() -> None:
    async def scene() -> None:
        codes = []

        async def say(connection: ServerConnection) -> None:
            await subscribed(connection)
            await connection.send("last 101")
            await connection.wait_closed()
            codes.append(connection.close_code)

        async with venue(say) as address:
            listener = Listener(WordFeed(address), last_is(101))
            assert await listener.listen() == [ticker(101)]
        assert codes == [1000]

    played(scene())


def test_after_a_drop_it_connects_and_subscribes_again() -> None:
    async def scene() -> None:
        async with venue(talk("last 101", then_close=True), talk("last 102")) as address:
            listener = Listener(WordFeed(address), last_is(102))
            await listener.listen()
        kinds = [type(each) for each in listener.heard]
        assert kinds == [Ticker, Interrupted, Reconnecting, Unknown, Restored, Ticker]
        assert "closed the connection" in listener.of(Reconnecting)[0].reason
        assert listener.attempts.endings[0].opened

    played(scene())


def test_a_connection_that_falls_silent_is_replaced() -> None:
    async def scene() -> None:
        async with venue(talk("last 101"), talk("last 102")) as address:
            listener = Listener(WordFeed(address, silence=0.2), last_is(102))
            await listener.listen()
        assert {each.reason for each in listener.of(Reconnecting)} == {"no frame for 0.2 seconds"}

    played(scene())


def test_garbage_is_kept_and_the_connection_goes_on() -> None:
    garbage = ["what?", b"text \xff is no UTF-8", b"\xfe\x01"]

    async def scene() -> None:
        async with venue(talk(*garbage, "last 101")) as address:
            listener = Listener(WordFeed(address), last_is(101))
            assert await listener.listen() == [ticker(101)]
        assert listener.kept.frames == garbage

    played(scene())


def test_a_flood_of_garbage_is_left_for_another_connection() -> None:
    async def scene() -> None:
        async with venue(talk(*["what?"] * 50), talk("last 101")) as address:
            listener = Listener(WordFeed(address), last_is(101), undecodable=10)
            await listener.listen()
        assert "11 unreadable messages" in listener.of(Reconnecting)[0].reason

    played(scene())


def test_a_message_beyond_the_bound_ends_the_connection_not_the_process() -> None:
    async def scene() -> None:
        async with venue(talk("last 101 " + "x" * 2_000), talk("last 102")) as address:
            listener = Listener(WordFeed(address), last_is(102))
            listener.wire = replace(listener.wire, largest=1_000)
            await listener.listen()
        assert "1009" in listener.of(Reconnecting)[0].reason

    played(scene())


def test_a_venue_that_is_restarted_on_the_same_port_is_found_again() -> None:
    async def scene() -> None:
        port = free_port()
        listener = Listener(WordFeed(f"ws://127.0.0.1:{port}/"), last_is(102))
        listening = asyncio.create_task(listener.listen())
        while not listener.of(Reconnecting):
            await asyncio.sleep(0.01)
        async with venue(talk("last 101"), port=port):
            while not listener.of(Ticker):
                await asyncio.sleep(0.01)
        while "cannot be reached" not in listener.of(Reconnecting)[-1].reason:
            await asyncio.sleep(0.01)
        async with venue(talk("last 102"), port=port):
            await listening
        assert "cannot be reached" in listener.of(Reconnecting)[0].reason
        assert not listener.attempts.endings[0].opened
        assert len(listener.of(Unknown)) == 1

    played(scene())


def test_an_http_error_at_the_handshake_is_retried() -> None:
    async def scene() -> None:
        refusals = answering(HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.FORBIDDEN)
        async with venue(talk("last 101"), process_request=refusals) as address:
            listener = Listener(WordFeed(address), last_is(101))
            await listener.listen()
        reasons = [each.reason for each in listener.of(Reconnecting)]
        assert [reason.split()[-1] for reason in reasons] == ["503", "403"]

    played(scene())


def test_too_many_connections_wait_for_as_long_as_the_venue_says() -> None:
    async def scene(headers: tuple[tuple[str, str], ...], least: float) -> None:
        refusals = answering(HTTPStatus.TOO_MANY_REQUESTS, headers=headers)
        async with venue(talk("last 101"), process_request=refusals) as address:
            listener = Listener(WordFeed(address), last_is(101))
            await listener.listen()
        assert listener.attempts.endings[0].least == least

    played(scene((("Retry-After", "17"),), 17))
    played(scene((("Retry-After", "Sun, 02 Aug 2026 12:00:00 GMT"),), 60))
    played(scene((), 60))


@pytest.mark.parametrize(
    ("status", "error"), [(HTTPStatus.NOT_FOUND, VenueUnreachable), (HTTPStatus.UNAUTHORIZED, NotAuthorised)]
)
def test_where_no_stream_is_or_no_key_is_taken_nothing_is_retried(
    status: HTTPStatus, error: type[Exception]
) -> None:
    async def scene() -> None:
        async with venue(talk(), process_request=answering(status)) as address:
            with pytest.raises(error, match=f"HTTP {status.value}"):
                await Listener(WordFeed(address), last_is(0)).listen()

    played(scene())


def test_a_stream_that_was_there_once_may_be_missing_for_a_while() -> None:
    async def scene() -> None:
        left = [None, HTTPStatus.NOT_FOUND]

        def answer(connection: ServerConnection, request: Request) -> Response | None:
            status = left.pop(0) if left else None
            return None if status is None else connection.respond(status, "")

        async with venue(
            talk("last 101", then_close=True), talk("last 102"), process_request=answer
        ) as address:
            listener = Listener(WordFeed(address), last_is(102))
            await listener.listen()
        assert "HTTP 404" in listener.of(Reconnecting)[1].reason

    played(scene())


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
def test_what_is_no_address_is_said_once_without_the_key(address: str) -> None:
    async def scene() -> None:
        with pytest.raises(InvalidValue, match="write it like wss://host/path") as raised:
            await Listener(WordFeed(address), last_is(0)).listen()
        assert "hush" not in str(raised.value)
        assert raised.value.__cause__ is None

    played(scene())


def test_a_name_that_nobody_knows_is_retried() -> None:
    async def scene() -> None:
        listener = Listener(WordFeed("ws://nobody.invalid/?api_key=hush"), lambda heard: len(heard) > 1)
        heard = await listener.listen()
        assert heard[0].reason.startswith("ws://nobody.invalid/ (fake) ")

    played(scene())


def test_a_connection_that_is_not_secure_is_not_used() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def scene() -> None:
        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            listener = Listener(WordFeed(f"wss://127.0.0.1:{port}/"), lambda heard: True)
            heard = await listener.listen()
        assert "no secure connection" in heard[0].reason

    played(scene())


def test_a_venue_that_never_finishes_the_handshake_is_given_up() -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            listener = Listener(WordFeed(f"ws://127.0.0.1:{port}/"), lambda heard: True)
            listener.wire = replace(listener.wire, open_timeout=0.2)
            heard = await listener.listen()
        assert heard[0].reason.endswith("does not answer within 0.2 s")

    played(scene())


def test_a_stop_does_not_wait_for_a_handshake() -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            listener = Listener(WordFeed(f"ws://127.0.0.1:{port}/"), lambda heard: True)
            listener.wire = replace(listener.wire, open_timeout=10 * BOUND)
            asyncio.get_running_loop().call_later(0.1, listener.stop.set)
            assert await listener.listen() == []

    played(scene())


@pytest.mark.parametrize("when", ["waiting", "listening"])
def test_cancelling_leaves_nothing_open(when: str) -> None:
    async def scene() -> None:
        gone = asyncio.Event()

        async def say(connection: ServerConnection) -> None:
            await subscribed(connection)
            await connection.send("last 101")
            await connection.wait_closed()
            gone.set()

        async with venue(say) as address:
            listener = Listener(WordFeed(address), lambda heard: False)
            listening = asyncio.create_task(listener.listen())
            while when == "listening" and not listener.heard:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            listening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await listening
            if when == "listening":
                await asyncio.wait_for(gone.wait(), BOUND)

    played(scene())


def test_what_the_consumer_raises_ends_everything() -> None:
    async def scene() -> None:
        gone = asyncio.Event()

        async def say(connection: ServerConnection) -> None:
            await subscribed(connection)
            await connection.send("last 101")
            await connection.wait_closed()
            gone.set()

        def burst(heard: list[Any]) -> bool:
            raise TimeoutError("the consumer's own")

        async with venue(say) as address:
            with pytest.raises(TimeoutError, match="the consumer's own"):
                await Listener(WordFeed(address), burst).listen()
            await asyncio.wait_for(gone.wait(), BOUND)

    played(scene())


def test_a_slow_consumer_slows_the_venue_down_and_loses_nothing() -> None:
    frames, padding = 40, "x" * 2**20

    async def scene() -> None:
        sent, go_on = [0], asyncio.Event()

        async def say(connection: ServerConnection) -> None:
            await subscribed(connection)
            for number in range(frames):
                await connection.send(f"last {number} {padding}")
                sent[0] += 1
            await connection.wait_closed()

        async with venue(say) as address:
            listener = Listener(WordFeed(address), last_is(frames - 1))
            listener.wire = replace(listener.wire, buffered=4)
            listener.before = go_on.wait
            listening = asyncio.create_task(listener.listen())
            before = -1
            while before != sent[0]:  # until nothing moves any more
                before = sent[0]
                await asyncio.sleep(0.5)
            assert sent[0] < frames
            go_on.set()
            await listening
        assert [each.last for each in listener.of(Ticker)] == list(range(frames))
        assert listener.of(Reconnecting) == []

    played(scene())


def test_the_time_that_a_consumer_takes_is_not_the_venues_silence() -> None:
    async def scene() -> None:
        both = Subscription(Channel.TICKER, (BTC, XRP))
        async with venue(talk("last 101", "other 1", "other 2", "last 102")) as address:
            listener = Listener(
                WordFeed(address), last_is(102), [both], silence={Channel.TICKER: timedelta(seconds=0.8)}
            )
            listener.before = lambda: asyncio.sleep(0.5)
            await listener.listen()
        assert {type(each) for each in listener.heard} == {Ticker}

    played(scene())


def test_a_venue_that_refuses_everything_ends_it_after_saying_so() -> None:
    async def say(connection: ServerConnection) -> None:
        request = await connection.recv()
        await connection.send(f"no {str(request).partition('#')[2]} not for you")
        await connection.wait_closed()

    async def scene() -> None:
        async with venue(say) as address:
            listener = Listener(WordFeed(address), lambda heard: False)
            with pytest.raises(VenueRefused, match="not for you"):
                await listener.listen()
            assert listener.heard == [SubscriptionRefused(Channel.TICKER, BTC, "not for you")]

    played(scene())


def test_a_token_that_cannot_be_fetched_now_is_fetched_later() -> None:
    async def scene() -> None:
        errors: list[Exception] = [VenueUnreachable("no token"), NotAuthorised("no key")]

        def prepare() -> None:
            if errors:
                raise errors.pop(0)

        feed = WordFeed("ws://127.0.0.1/")
        feed.prepare = prepare  # type: ignore[method-assign]
        listener = Listener(feed, lambda heard: False)
        with pytest.raises(NotAuthorised, match="no key"):
            await listener.listen()
        assert [each.reason for each in listener.heard] == ["no token"]

    played(scene())


def test_no_attempt_is_made_before_the_budget_allows_it() -> None:
    async def scene() -> None:
        waits = [0.03, 0.02, 0.0]
        connections = []

        async def say(connection: ServerConnection) -> None:
            connections.append(len(waits))
            await talk("last 101")(connection)

        async with venue(say) as address:
            listener = Listener(WordFeed(address), last_is(101))
            listener.attempts.take = lambda now: waits.pop(0)  # type: ignore[method-assign]
            await listener.listen()
        assert [each.pause for each in listener.of(Reconnecting)] == [0.03, 0.02]
        assert connections == [0]

    played(scene())


def test_a_stop_without_a_connection_tells_what_is_still_unknown() -> None:
    async def scene() -> None:
        async with venue(talk("last 101", then_close=True), answering_nothing) as address:
            listener = Listener(WordFeed(address), lambda heard: type(heard[-1]) is Reconnecting)
            await listener.listen()
        assert [type(each) for each in listener.heard] == [Ticker, Interrupted, Reconnecting, Unknown]

    played(scene())


def test_a_garbled_token_ends_what_never_ran_and_not_what_runs() -> None:
    async def scene() -> None:
        answers: list[Exception | None] = [None, InvalidMessage("rest", "<html>"), None]

        def prepare() -> None:
            if answers and (error := answers.pop(0)) is not None:
                raise error

        async with venue(talk("last 101", then_close=True), talk("last 102")) as address:
            feed = WordFeed(address)
            feed.prepare = prepare  # type: ignore[method-assign]
            listener = Listener(feed, last_is(102))
            await listener.listen()
            assert "rest: <html>" in [each.reason for each in listener.of(Reconnecting)]
            answers[:] = [InvalidMessage("rest", "<html>")]
            with pytest.raises(InvalidMessage, match="<html>"):
                await Listener(feed, last_is(102)).listen()

    played(scene())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_nothing_on_this_machine_is_not_waited_for_without_end(host: str) -> None:
    async def scene() -> None:
        listener = Listener(WordFeed(f"ws://{host}:{free_port()}/v2"), lambda heard: False)
        with pytest.raises(VenueUnreachable, match=r"^ws://.*/v2 \(fake\) .* is it running\? start it"):
            await listener.listen()
        assert len(listener.of(Reconnecting)) == MOST_ABSENCES - 1

    played(scene())


def test_what_answers_on_this_machine_is_waited_for() -> None:
    async def scene() -> None:
        unavailable = answering(*[HTTPStatus.SERVICE_UNAVAILABLE] * (MOST_ABSENCES + 1))
        async with venue(talk("last 101"), process_request=unavailable) as address:
            listener = Listener(WordFeed(address), last_is(101))
            await listener.listen()
        assert len(listener.of(Reconnecting)) == MOST_ABSENCES + 1

    played(scene())


async def answering_nothing(connection: ServerConnection) -> None:
    await connection.wait_closed()
