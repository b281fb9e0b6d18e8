import hashlib
import hmac
from collections.abc import Mapping

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from orchestration.web_guard import COOKIE, WebGuard
from trading.errors import InvalidSettings

TOKEN = "a secret of ours/ü"
JSON = {"content-type": "application/json"}
OWN = {"host": "127.0.0.1:3000"}


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{request.method} reached it")


async def greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("reached it")
    await socket.close()


APP = Starlette(
    routes=[
        WebSocketRoute("/graphql", greet),
        Route("/graphql", answer, methods=["GET", "POST"]),
        Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"]),
    ]
)


def ask(
    method: str,
    path: str,
    headers: Mapping[str, str],
    host: str = "127.0.0.1",
    allowed: tuple[str, ...] = (),
    token: str = "",
) -> httpx.Response:
    client = TestClient(WebGuard(APP, host, allowed, token), follow_redirects=False)
    return client.request(method, path, headers={**OWN, **headers})


def opens_socket(headers: Mapping[str, str], token: str = "") -> bool:
    client = TestClient(WebGuard(APP, "127.0.0.1", (), token))
    try:
        with client.websocket_connect("/graphql", headers={**OWN, **headers}) as socket:
            return socket.receive_text() == "reached it"
    except WebSocketDisconnect:
        return False


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.1"])
def test_this_machine_is_reached_by_its_own_names(host: str) -> None:
    assert ask("GET", "/runs", {"host": host}).text == "GET reached it"
    same = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin", **JSON}
    assert ask("POST", "/graphql", same).text == "POST reached it"
    assert opens_socket({"host": host, "origin": f"http://{host}"})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "localhost.", "",
     "localhost@evil.example", "evil.example/localhost", "[::1", "10.0.0.7:3000", "localhost#", "localhost evil"],
)  # fmt: skip
def test_a_name_that_only_points_to_this_machine_is_refused(host: str) -> None:
    for method, path in (("GET", "/runs"), ("POST", "/graphql"), ("GET", "/graphql?query={version}")):
        answered = ask(method, path, {"host": host, "origin": f"http://{host}", **JSON})
        assert answered.status_code in (400, 403)
        assert "reached" not in answered.text
    assert not opens_socket({"host": host, "origin": f"http://{host}"})


@pytest.mark.parametrize(
    "foreign",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:3001"}, {"origin": ""},
     {"origin": "http://127.0.0.1:3000.evil.example"}, {"origin": "file://127.0.0.1:3000"}, {"origin": "http://["},
     {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)  # fmt: skip
def test_what_a_page_of_another_site_sends_is_refused(foreign: dict[str, str]) -> None:
    for path in ("/graphql", "/report_asset_materialization/ohlcv", "/anything"):
        assert ask("POST", path, {**foreign, **JSON}).status_code == 403
        assert ask("DELETE", path, foreign).status_code in (403, 405)
    assert not opens_socket(foreign)


def test_a_link_from_another_site_may_open_a_page() -> None:
    assert ask("GET", "/runs", {"sec-fetch-site": "cross-site"}).text == "GET reached it"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/graphql", "/graphql/", "/under/a/prefix/graphql", "/graphql%0a", "/graphql%0A/", "/graphql%00"]
)
def test_graphql_is_not_executed_by_reading(method: str, path: str) -> None:
    assert ask(method, f"{path}?query=mutation{{launchRun}}", {}).status_code in (400, 405)
    assert ask(method, f"{path}?%71uery=mutation{{launchRun}}", {}).status_code in (400, 405)


def test_a_form_is_no_graphql_request_under_a_path_that_ends_in_a_line_feed() -> None:
    """A route's pattern ends in $, which lets a line feed follow."""
    assert (
        ask("POST", "/graphql%0a?query=mutation{launchRun}", {"content-type": "text/plain"}).status_code
        == 400
    )


@pytest.mark.anyio
@pytest.mark.parametrize("twice", [b"host", b"origin"])
async def test_of_two_hosts_or_origins_none_is_believed(twice: bytes) -> None:
    own = [
        (b"host", b"127.0.0.1:3000"),
        (b"origin", b"http://127.0.0.1:3000"),
        (b"content-type", b"application/json"),
    ]
    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"",
             "headers": [*own, (twice, b"http://evil.example")]}  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await WebGuard(APP, "127.0.0.1")(scope, receive, send)
    assert sent[0]["status"] == 400


def test_the_playground_still_opens() -> None:
    assert ask("GET", "/graphql", {"accept": "text/html"}).text == "GET reached it"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_form_is_no_graphql_request(kind: str) -> None:
    assert ask("POST", "/graphql?query=mutation{launchRun}", {"content-type": kind}).status_code == 415


def test_a_program_that_is_no_browser_needs_no_origin() -> None:
    assert ask("POST", "/graphql", JSON).text == "POST reached it"
    assert opens_socket({})


def test_no_other_site_may_show_the_pages_in_a_frame() -> None:
    assert ask("GET", "/runs", {}).headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "desk.example"])
def test_a_server_that_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(InvalidSettings, match="MARKETLOOM_UI_TOKEN"):
        WebGuard(APP, host)


def test_without_the_token_nothing_is_shown_and_nothing_launched() -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": f"{COOKIE}={TOKEN.encode().hex()}"}):
        for method, path in (("GET", "/runs"), ("POST", "/graphql"), ("GET", "/?token=wrong")):
            refused = ask(method, path, {**JSON, **headers}, host="0.0.0.0", token=TOKEN)
            assert refused.status_code == 401
            assert TOKEN not in refused.text
    assert not opens_socket({}, TOKEN)


def test_the_token_opens_the_page_and_moves_into_a_cookie() -> None:
    client = TestClient(WebGuard(APP, "0.0.0.0", (), TOKEN), base_url="http://127.0.0.1:3000")
    client.headers.update(OWN)
    opened = client.get("/runs", params={"token": TOKEN}, follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/runs")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/runs").text == "GET reached it"
    assert client.post("/graphql", headers=JSON).text == "POST reached it"


def test_a_program_sends_the_token_as_bearer() -> None:
    headers = {"authorization": b"Bearer " + TOKEN.encode(), **JSON}
    assert ask("POST", "/graphql", headers, host="0.0.0.0", token=TOKEN).text == "POST reached it"  # type: ignore[arg-type]


def test_the_cookie_is_not_the_token() -> None:
    digest = hmac.digest(TOKEN.encode(), b"marketloom ui", hashlib.sha256).hex()
    assert opens_socket({"cookie": f"{COOKIE}={digest}"}, TOKEN)
    assert not opens_socket({"cookie": f"{COOKIE}={digest[:-1]}0"}, TOKEN) or digest.endswith("0")
    # Of another server on localhost.
    assert opens_socket({"cookie": f'theme={{"dark": 1}}; {COOKIE}={digest}'}, TOKEN)


def test_further_names_come_from_the_settings() -> None:
    named = {"host": "desk.example", "origin": "https://desk.example", **JSON}
    assert ask("POST", "/graphql", named, allowed=("Desk.Example",)).text == "POST reached it"
    assert ask("POST", "/graphql", named).status_code == 403


def test_behind_every_address_of_the_machine_its_numbers_are_a_name() -> None:
    numbers = {"host": "192.168.1.5:3000", "authorization": "Bearer secret"}
    assert ask("GET", "/runs", numbers, host="0.0.0.0", token="secret").text == "GET reached it"
    assert (
        ask("GET", "/runs", {**numbers, "host": "evil.example"}, host="0.0.0.0", token="secret").status_code
        == 403
    )
