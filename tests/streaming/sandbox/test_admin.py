"""The endpoints that no real exchange has: whatever is asked, the answer is JSON that says what to do."""

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
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
from tests.streaming.sandbox.rest_rig import LISTINGS, START, TERMS, Clock, Recorded
from trading.errors import UnusableHome

Ask = Callable[..., Awaitable[tuple[int, Any]]]


async def at_once() -> None:
    """Nobody listens."""


def visit(folder: Path, scenario: Callable[[Ask, Exchange], Awaitable[None]]) -> None:
    async def run() -> None:
        clock, recorded = Clock(), Recorded(60)
        market = MarketClock(START + timedelta(minutes=60), 0, clock)
        path = folder / "exchange.sqlite"
        with (
            closing(ExchangeStore(path)) as store,
            closing(Keys(folder / "keys.sqlite", clock)) as keys,
        ):
            exchange = Exchange(LISTINGS, TERMS, "USDT", store, market, clock, recorded)
            player = TickPlayer(recorded, market, exchange.apply, exchange.elapse, at_once)
            application = web.Application()
            Admin(exchange, path, keys, Faults(clock), player, 0, clock).mount(application)
            async with TestClient(TestServer(application)) as client:

                async def ask(what: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
                    method, _, place = what.partition(" ")
                    sent = {HEADER: "1", **{name.replace("_", "-"): it for name, it in headers.items()}}
                    async with client.request(method, f"/admin/{place}", data=body, headers=sent) as answer:
                        return answer.status, await answer.json()

                await scenario(ask, exchange)

    asyncio.run(run())


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
@pytest.mark.parametrize("place", ["status", "faults", "advance", "accounts"])
def test_a_body_that_means_nothing_is_refused(
    tmp_path: Path, place: str, body: bytes, headers: dict[str, str]
) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        status, answer = await ask(f"POST {place}", body, **headers)
        assert (status, list(answer)) in ((400, ["error"]), (200, ["account", "key", "secret"]))

    visit(tmp_path, scenario)


def test_the_charset_of_a_body_is_not_believed(tmp_path: Path) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        status, _ = await ask(
            "POST accounts", b'{"account": "bob"}', Content_Type="text/plain; charset=nonsense"
        )
        assert (status, exchange.accounts()) == (200, ["bob"])

    visit(tmp_path, scenario)


@pytest.mark.parametrize("number", ["9" * 5000, "-1", "\u0663", "one", "7"])
def test_a_fault_that_is_not_armed_cannot_be_disarmed(tmp_path: Path, number: str) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        status, answer = await ask(f"DELETE faults/{number}")
        assert status == 400
        assert answer["error"].endswith("is armed: GET /admin/faults lists them")

    visit(tmp_path, scenario)


def test_a_skew_beyond_all_time_is_refused_and_the_sandbox_goes_on(tmp_path: Path) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        for seconds in ("1e300", "1" + "0" * 400, "Infinity"):
            status, answer = await ask(
                "POST faults", b'{"kind": "clock_skew", "seconds": %b}' % seconds.encode()
            )
            assert status == 400
            assert "seconds is" in answer["error"]
        assert (await ask("GET status"))[1]["faults"] == 0

    visit(tmp_path, scenario)


@pytest.mark.parametrize("name", ["", "a" * 41, "a b", "a/b", "bob\n", "\ud800", 7, None, "ünï"])
def test_an_account_has_a_plain_name(tmp_path: Path, name: object) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        status, answer = await ask("POST accounts", json.dumps({"account": name}).encode())
        assert status == 400
        assert "1 to 40 letters" in answer["error"]
        assert exchange.accounts() == []

    visit(tmp_path, scenario)


@pytest.mark.parametrize(
    "amount", ["1e9999999", "1e16", "1000000000000000.1", "1e-19", "-1", "NaN", "Infinity"]
)
def test_an_account_opens_with_amounts_that_an_exchange_could_mean(tmp_path: Path, amount: str) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        body = json.dumps({"account": "bob", "balances": {"USDT": amount}}).encode()
        status, answer = await ask("POST accounts", body)
        assert status == 400
        assert answer["error"].startswith("balance of USDT is")
        assert exchange.accounts() == []

    visit(tmp_path, scenario)


def test_the_largest_and_the_finest_amount_open_an_account(tmp_path: Path) -> None:
    async def scenario(ask: Ask, exchange: Exchange) -> None:
        balances = {"USDT": "1e15", "BTC": "0.000000000000000001", "XRP": 0}
        body = json.dumps({"account": "A.b-c_9", "balances": balances}).encode()
        assert (await ask("POST accounts", body))[0] == 200
        assert exchange.balances("A.b-c_9")["BTC"] == Decimal("1e-18")

    visit(tmp_path, scenario)


def test_the_export_is_read_beside_the_loop_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    real = export

    def noted(store: Path) -> Any:
        threads.append(threading.current_thread())
        return real(store)

    monkeypatch.setattr("streaming.sandbox.admin.export", noted)

    async def scenario(ask: Ask, exchange: Exchange) -> None:
        await ask("POST accounts", b'{"account": "bob", "balances": {"USDT": "5"}}')
        status, tables = await ask("GET export")
        assert (status, tables["balances"][0]["amount"]) == (200, "5")

    visit(tmp_path, scenario)
    assert threads
    assert threading.main_thread() not in threads


def test_a_fault_of_our_own_is_told_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> NoReturn:
        raise ZeroDivisionError("ours")

    async def scenario(ask: Ask, exchange: Exchange) -> None:
        monkeypatch.setattr(exchange, "accounts", broken)
        status, answer = await ask("GET status")
        assert (status, answer) == (500, {"error": "the sandbox failed: ZeroDivisionError('ours')"})

    visit(tmp_path, scenario)
    assert [record.message for record in caplog.records] == ["sandbox: GET /admin/status failed"]


def test_an_export_that_cannot_be_written_names_the_place(tmp_path: Path) -> None:
    with closing(ExchangeStore(tmp_path / "exchange.sqlite")):
        pass
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(UnusableHome, match=r"taken cannot be written: .*name another folder"):
        write_export(tmp_path / "exchange.sqlite", taken)
    (tmp_path / "out" / "orders.jsonl").mkdir(parents=True)
    with pytest.raises(UnusableHome, match=r"orders\.jsonl cannot be written: Is a directory"):
        write_export(tmp_path / "exchange.sqlite", tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_an_export_into_a_forbidden_folder_names_it(tmp_path: Path) -> None:
    with closing(ExchangeStore(tmp_path / "exchange.sqlite")):
        pass
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o500)
    with pytest.raises(UnusableHome, match="Permission denied"):
        write_export(tmp_path / "exchange.sqlite", shut / "out")
