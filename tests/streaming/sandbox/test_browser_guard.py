"""A web page in a browser of this machine cannot drive the sandbox; programs can."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.streaming.sandbox.running import Sandbox, sandbox

OPEN = {"account": "mallory", "balances": {"USDT": "1"}}
ADMIN = {"X-Sandbox-Admin": "1"}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example"},
        {"Host": "rebound.example:8750"},
        {"Host": "127.0.0.1.rebound.example"},
        {"Host": "localhost@rebound.example"},
        {"Host": "rebound.example@localhost"},
        {"Host": "localhost/rebound.example"},
        {"Host": "127.0.0.1?.rebound.example"},
        {"Host": "localhost#rebound.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/admin/accounts", "/0/public/Time", "/0/private/Balance", "/v2"])
def test_a_page_of_another_host_or_origin_is_refused_everywhere(
    exchange: Sandbox, headers: dict[str, str], path: str
) -> None:
    response = httpx.post(exchange.url + path, json=OPEN, headers=ADMIN | headers)
    assert response.status_code == 403
    assert "mallory" not in exchange.admin("status", method="GET")["accounts"]


def test_a_page_cannot_open_a_websocket(exchange: Sandbox) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        connect(exchange.websocket, origin="http://evil.example")  # type: ignore[arg-type]
    with pytest.raises(InvalidStatus, match="403"):
        connect(exchange.websocket, additional_headers={"Sec-Fetch-Site": "cross-site"})


def test_programs_and_the_sandboxs_own_address_in_a_browser_are_served(exchange: Sandbox) -> None:
    port = urlsplit(exchange.url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}", "10.1.2.3"):
        for more in ({}, {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}):
            response = httpx.get(exchange.url + "/0/public/Time", headers={"Host": host} | more)
            assert response.status_code == 200, (host, more)
    with connect(exchange.websocket) as socket:
        assert "status" in str(socket.recv())
