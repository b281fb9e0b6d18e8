"""The admin endpoints, which no real exchange has: every response is JSON, every error says what to do."""

import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streaming.sandbox.admin import HEADER, Admin
from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.exchange.export import export, write_export
from streaming.sandbox.faults import Faults
from streaming.sandbox.keys import Keys
from streaming.sandbox.market import MarketClock, TickPlayer
from tests.doubles.clock import Clock
from tests.streaming.sandbox.exchange_setup import TERMS
from tests.streaming.sandbox.rest_rig import LISTINGS, SERVER_START, START, TradeSource
from trading.errors import UnusableHome

pytestmark = pytest.mark.anyio


@dataclass
class AdminApi:
    """The admin endpoints on a server of their own, a client of them, and the exchange behind them."""

    client: TestClient
    exchange: Exchange

    async def ask(self, request: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Send a request like "GET status"; return the status and the JSON of the response."""
        method, _, path = request.partition(" ")
        sent = {HEADER: "1", **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.client.request(method, f"/admin/{path}", data=body, headers=sent) as response:
            return response.status, await response.json()


async def at_once() -> None:
    """Return without waiting: the player has no clients."""


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[AdminApi]:
    clock, source = Clock(SERVER_START), TradeSource(60)
    market = MarketClock(START + timedelta(minutes=60), 0, clock)
    path = tmp_path / "exchange.sqlite"
    with (
        closing(ExchangeStore(path)) as store,
        closing(Keys(tmp_path / "keys.sqlite", clock)) as keys,
    ):
        exchange = Exchange(LISTINGS, TERMS, "USDT", store, market, clock, source)
        player = TickPlayer(source, market, exchange.apply, exchange.elapse, at_once)
        application = web.Application()
        Admin(exchange, path, keys, Faults(clock), player, clock).mount(application)
        async with TestClient(TestServer(application)) as client:
            yield AdminApi(client, exchange)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"[" * 100_000, {}),
        (b'{"account": "bob"}', {"Content_Type": "application/json; charset=utf-8; charset=nonsense"}),
        (b"\xff\xfe\x00", {}),
        (b"", {}),
        (b"[1]", {}),
        (b"9" * 5000, {}),
    ],
)
@pytest.mark.parametrize("place", ["status", "faults", "advance", "accounts", "entries"])
async def test_a_meaningless_body_is_refused(
    admin: AdminApi, place: str, body: bytes, headers: dict[str, str]
) -> None:
    status, answer = await admin.ask(f"POST {place}", body, **headers)
    assert (status, list(answer)) in ((400, ["error"]), (200, ["account", "key", "secret"]))


async def test_the_charset_of_a_body_is_ignored(admin: AdminApi) -> None:
    status, _ = await admin.ask(
        "POST accounts", b'{"account": "bob"}', Content_Type="text/plain; charset=nonsense"
    )
    assert (status, admin.exchange.accounts()) == (200, ["bob"])


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "\u0663", "one", "7"])
async def test_a_fault_that_is_not_armed_cannot_be_disarmed(admin: AdminApi, number: str) -> None:
    status, answer = await admin.ask(f"DELETE faults/{number}")
    assert status == 400
    assert answer["error"].endswith("is armed: GET /admin/faults lists them")


async def test_a_skew_beyond_all_time_is_refused_and_the_sandbox_goes_on(admin: AdminApi) -> None:
    for seconds in ("1e300", "1" + "0" * 400, "Infinity"):
        status, answer = await admin.ask(
            "POST faults", b'{"kind": "clock_skew", "seconds": %b}' % seconds.encode()
        )
        assert status == 400
        assert "seconds is" in answer["error"]
    assert (await admin.ask("GET status"))[1]["faults"] == 0


@pytest.mark.parametrize("name", ["", "a" * 41, "a b", "a/b", "bob\n", "\ud800", 7, None, "ünï"])
async def test_an_account_has_a_plain_name(admin: AdminApi, name: object) -> None:
    status, answer = await admin.ask("POST accounts", json.dumps({"account": name}).encode())
    assert status == 400
    assert "1 to 40 letters" in answer["error"]
    assert admin.exchange.accounts() == []


@pytest.mark.parametrize(
    "amount", ["1e9999999", "1e16", "1000000000000000.1", "1e-19", "-1", "NaN", "Infinity"]
)
async def test_an_account_opens_with_amounts_that_an_exchange_could_mean(
    admin: AdminApi, amount: str
) -> None:
    body = json.dumps({"account": "bob", "balances": {"USDT": amount}}).encode()
    status, answer = await admin.ask("POST accounts", body)
    assert status == 400
    assert answer["error"].startswith("balance of USDT is")
    assert admin.exchange.accounts() == []


async def test_the_largest_and_the_finest_amount_open_an_account(admin: AdminApi) -> None:
    balances = {"USDT": "1e15", "BTC": "0.000000000000000001", "XRP": 0}
    body = json.dumps({"account": "A.b-c_9", "balances": balances}).encode()
    assert (await admin.ask("POST accounts", body))[0] == 200
    assert admin.exchange.balances("A.b-c_9")["BTC"] == Decimal("1e-18")


async def test_the_export_is_read_beside_the_loop_that_serves(
    admin: AdminApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    real = export

    def record_thread(store: Path) -> Any:
        threads.append(threading.current_thread())
        return real(store)

    monkeypatch.setattr("streaming.sandbox.admin.export", record_thread)
    await admin.ask("POST accounts", b'{"account": "bob", "balances": {"USDT": "5"}}')
    status, tables = await admin.ask("GET export")
    assert (status, tables["balances"][0]["amount"]) == (200, "5")
    assert threads
    assert threading.main_thread() not in threads


async def test_an_internal_error_is_reported_and_logged(
    admin: AdminApi, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(admin.exchange, "accounts", broken)
    status, answer = await admin.ask("GET status")
    assert (status, answer) == (500, {"error": "the sandbox failed: ZeroDivisionError('ours')"})
    assert [record.message for record in caplog.records] == ["sandbox: GET /admin/status failed"]


def test_an_export_that_cannot_be_written_names_the_place(tmp_path: Path) -> None:
    with closing(ExchangeStore(tmp_path / "admin.exchange.sqlite")):
        pass
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(UnusableHome, match=r"taken cannot be written: .*name another folder"):
        write_export(tmp_path / "admin.exchange.sqlite", taken)
    (tmp_path / "out" / "orders.jsonl").mkdir(parents=True)
    with pytest.raises(UnusableHome, match=r"orders\.jsonl cannot be written: Is a directory"):
        write_export(tmp_path / "admin.exchange.sqlite", tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_an_export_into_a_forbidden_folder_names_it(tmp_path: Path) -> None:
    with closing(ExchangeStore(tmp_path / "admin.exchange.sqlite")):
        pass
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    with pytest.raises(UnusableHome, match="Permission denied"):
        write_export(tmp_path / "admin.exchange.sqlite", shut / "out")


async def test_money_comes_and_leaves_with_an_entry_of_its_kind(admin: AdminApi) -> None:
    await admin.ask("POST accounts", b'{"account": "bob", "balances": {"USDT": "5"}}')
    for asset, amount, kind, left in (
        ("USDT", "10.5", "deposit", "15.5"),
        ("USDT", "-3", "withdrawal", "12.5"),
        ("BTC.F", "0.001", "staking", "0.001"),
    ):
        body = json.dumps({"account": "bob", "asset": asset, "amount": amount, "kind": kind}).encode()
        status, answer = await admin.ask("POST entries", body)
        assert (status, answer["balance"]) == (200, left)
    assert admin.exchange.balances("bob") == {"USDT": Decimal("12.5"), "BTC.F": Decimal("0.001")}
    entries, _ = admin.exchange.entries("bob", None, None, 0, 50, assets=[], kind="")
    assert {(each.kind, each.amount) for each in entries} == {
        ("deposit", Decimal(5)),
        ("deposit", Decimal("10.5")),
        ("withdrawal", Decimal(-3)),
        ("staking", Decimal("0.001")),
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amount": "-6"}, "5 are free"),
        ({"amount": "0"}, "cannot be entered"),
        ({"amount": "much"}, "amount is a number"),
        ({"account": "nobody"}, "there is no account nobody"),
        ({"kind": "gift"}, "allowed are deposit"),
        ({"asset": "../x"}, "asset is"),
    ],
)
async def test_an_entry_that_cannot_be_changes_nothing(
    admin: AdminApi, changes: dict[str, str], words: str
) -> None:
    await admin.ask("POST accounts", b'{"account": "bob", "balances": {"USDT": "5"}}')
    body = {"account": "bob", "asset": "USDT", "amount": "1", "kind": "deposit", **changes}
    status, answer = await admin.ask("POST entries", json.dumps(body).encode())
    assert status == 400
    assert words in answer["error"]
    assert admin.exchange.balances("bob") == {"USDT": Decimal(5)}
