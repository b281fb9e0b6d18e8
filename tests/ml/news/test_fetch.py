"""A page of a stranger's server, with a bound on bytes, time, redirects, and where it may lead."""

import socket
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from ml.news.fetch import FetchLimits, fetch, is_public
from tests.ml.news.news_server import NewsServer, moved, packed, page, serving
from trading.errors import NewsUnreachable, NotAuthorised

LIMITS = FetchLimits(size=10_000, seconds=5)


@pytest.fixture
def server() -> Iterator[NewsServer]:
    with serving(NewsServer()) as made:
        yield made


def test_a_page_is_read_packed_or_not(server: NewsServer) -> None:
    server.answers = {"/plain": page(b"news", Content_Type="text/xml"), "/packed": packed(b"news" * 100)}
    found = fetch(f"{server.url}/plain", LIMITS)
    assert (found.body, found.content_type) == (b"news", "text/xml")
    assert fetch(f"{server.url}/packed", LIMITS).body == b"news" * 100


def test_a_redirect_of_the_same_server_is_followed(server: NewsServer) -> None:
    server.answers = {"/old": moved("/new"), "/new": page(b"news")}
    assert fetch(f"{server.url}/old", LIMITS).body == b"news"


def test_a_circle_of_redirects_ends(server: NewsServer) -> None:
    server.answers = {"/a": moved("/a")}
    with pytest.raises(NewsUnreachable, match="more than 3 times"):
        fetch(f"{server.url}/a", LIMITS)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "body", [page(b"x" * 10_001), packed(b"x" * 20_000_000)], ids=["long", "packed bomb"]
)
def test_what_is_longer_than_allowed_is_refused(server: NewsServer, body: object) -> None:
    server.answers = {"/": body}  # type: ignore[dict-item]
    with pytest.raises(NewsUnreachable, match="longer than 10000 bytes"):
        fetch(f"{server.url}/", LIMITS)


def test_a_bomb_is_noticed_before_it_is_unpacked(server: NewsServer) -> None:
    server.answers = {"/": packed(b"x" * 20_000_000)}
    tracemalloc.start()
    try:
        with pytest.raises(NewsUnreachable):
            fetch(f"{server.url}/", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_stream_without_end_is_refused_when_it_is_too_long(server: NewsServer) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 1000)

    server.answers = {"/": endless}
    with pytest.raises(NewsUnreachable, match="longer than 10000 bytes"):
        fetch(f"{server.url}/", LIMITS)


@pytest.mark.parametrize(
    "part", [b"x", b"HTTP/1.1 200 OK\r\nX: "], ids=["a byte now and then", "headers without end"]
)
def test_a_server_that_goes_on_and_on_cannot_prolong_the_deadline(part: bytes) -> None:
    """A byte comes before each wait would end: only a deadline for the whole request ends it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(part if part != b"x" else b"HTTP/1.1 200 OK\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(NewsUnreachable, match="in time"):
                fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/", FetchLimits(10_000, 0.3))
        finally:
            stop.set()
            thread.join()


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NewsUnreachable, match="in time"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/", FetchLimits(10_000, 0.2))


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(NewsUnreachable, match=r"127\.0\.0\.1"):
        fetch(f"http://127.0.0.1:{port}/feed?token=secret", LIMITS)


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_an_error_of_the_server_is_no_page(server: NewsServer, status: int) -> None:
    server.answers = {"/": page(b"<rss></rss>", status)}
    with pytest.raises(NewsUnreachable, match=str(status)):
        fetch(f"{server.url}/", LIMITS)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_as_such(server: NewsServer, status: int) -> None:
    server.answers = {"/": page(b"", status)}
    with pytest.raises(NotAuthorised, match="key"):
        fetch(f"{server.url}/?api_key=secret", LIMITS, {"Authorization": "secret"})


def test_nobody_is_sent_on_to_another_server_of_the_own_machine(server: NewsServer) -> None:
    with serving(NewsServer({"/inner": page(b"secret")})) as inner:
        server.answers = {"/": moved(f"{inner.url}/inner")}
        with pytest.raises(NewsUnreachable, match="private address"):
            fetch(f"{server.url}/", LIMITS, {"Authorization": "key"})
        assert inner.asked == []


def test_a_public_name_that_means_the_own_machine_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a name may let it mean 127.0.0.1, also between two looks: what was checked is connected to."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(NewsUnreachable, match="private address"):
        fetch("http://feed.example.com/", LIMITS)


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http://[::1",
    ],
)
def test_only_plain_web_addresses_are_followed(server: NewsServer, target: str) -> None:
    server.answers = {"/": moved(target)}
    with pytest.raises(NewsUnreachable):
        fetch(f"{server.url}/", LIMITS)
    assert len(server.asked) == 1


def test_headers_go_to_the_first_server_and_no_message_shows_the_query(server: NewsServer) -> None:
    server.answers = {"/": page(b"news")}
    fetch(f"{server.url}/?token=secret", LIMITS, {"Authorization": "Apikey one"})
    assert server.asked[0][1]["Authorization"] == "Apikey one"
    with pytest.raises(NewsUnreachable) as caught:
        fetch(f"{server.url}/absent?token=secret", LIMITS)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.1.2.3", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False),
        ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False), ("2002:808:808::", True), ("64:ff9b::7f00:1", False), ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False), ("::127.0.0.1", False), ("::ffff:0:10.0.0.1", False),
        ("2001:0:7f00:1::f7f7:f7f7", False), ("2001:0:808:808::80ff:fffe", False), ("2001:0:808:808::f7f7:f7f7", True),
        ("2606:4700::5efe:7f00:1", False), ("2606:4700::200:5efe:a00:1", False), ("2606:4700::5efe:808:808", True),
        ("fe80::5efe:808:808", False),
    ],
)  # fmt: skip
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public
