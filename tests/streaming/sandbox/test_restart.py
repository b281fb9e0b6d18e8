"""A real `marketloom sandbox` that is killed: the next one on the same home is the same exchange."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars as pl
import pytest

from tests.contracts.trade import NOON, receipt
from tests.contracts.venues import KEYS, MANY, kraken_venue, wanted
from tests.doubles.stores import MemoryJournal
from trading.errors import VenueRefused
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, Side
from trading.venues.kraken import Allowance, Credentials, KrakenClient
from trading.venues.kraken.account_responses import OrderInfo
from trading.venues.kraken.authentication import signature
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest

BTC = Pair("BTC", "USDT")
BEGINS = datetime(2024, 3, 1, tzinfo=UTC)
HOURS = 48
BOUND = 60  # seconds within which it has to speak, or to end
ADDRESS = re.compile(r"sandbox exchange on (http://\S+),")
KEY = re.compile(r"API key\s+(\S+)")
SECRET = re.compile(r"API secret\s+(\S+)")


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly candles as Kraken's own downloads are: time, open, high, low, close, volume, trades."""
    path = tmp_path_factory.mktemp("candles") / "XBTUSDT_60.csv"
    rows = []
    for hour in range(HOURS):
        time, price = int((BEGINS + timedelta(hours=hour)).timestamp()), 30_000 + 10 * hour
        rows.append(f"{time},{price}.0,{price + 50}.0,{price - 40}.0,{price + 10}.0,12.5,40")
    path.write_text("\n".join(rows) + "\n")
    return path


@dataclass
class Process:
    """A sandbox of its own process, spoken to by what it prints."""

    process: subprocess.Popen[str]
    url: str
    credentials: Credentials

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(BOUND)

    def advance(self, hours: float) -> None:
        """To this market time, in hours after the middle of the candles, where a replay of them begins."""
        until = BEGINS + timedelta(hours=HOURS / 2 + hours)
        answer = httpx.post(
            f"{self.url}/admin/advance", json={"until": until.isoformat()}, headers={"X-Sandbox-Admin": "1"}
        )
        assert answer.status_code == 200, answer.text

    def market_time(self) -> str:
        return str(httpx.get(f"{self.url}/admin/status").json()["market_time"])

    def trades(self) -> list[Any]:
        answer = httpx.get(f"{self.url}/0/public/Trades", params={"pair": "XBTUSDT"}).json()
        return list(answer["result"]["XBTUSDT"])

    def opened(self, account: str, balances: dict[str, str]) -> "Process":
        """The same sandbox with the key of another account."""
        asked = {"account": account, "balances": balances}
        issued = httpx.post(f"{self.url}/admin/accounts", json=asked, headers={"X-Sandbox-Admin": "1"}).json()
        return replace(self, credentials=Credentials(issued["key"], issued["secret"]))

    def client(self, folder: Path) -> KrakenClient:
        return KrakenClient(folder, self.credentials, self.url, Allowance(MANY, MANY), MANY, keys=KEYS)


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "MARKETLOOM_HOME": str(home), "MARKETLOOM__SANDBOX__TIER": "pro", "COLUMNS": "200"}


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from orchestration.cli import main; main()", "sandbox", *words]


def said(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), env=environment(home), capture_output=True, text=True, timeout=BOUND, check=False
    )


@contextmanager
def started(home: Path, candles: Path, *words: str) -> Iterator[Process]:
    """Ended in any case, politely where it still lives."""
    process = subprocess.Popen(
        command("--port", "0", "--speed", "0", "--candles", str(candles), *words),
        env={**environment(home), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _spoken(process)
    finally:
        process.terminate()
        process.wait(BOUND)
        assert process.stdout is not None
        process.stdout.close()


def _spoken(process: subprocess.Popen[str]) -> Process:
    assert process.stdout is not None
    text, end = "", time.monotonic() + BOUND
    while "Ctrl-C" not in text and time.monotonic() < end:
        line = process.stdout.readline()
        assert line or process.poll() is None, f"it ended: {text}"
        text += line
    url, key, secret = (found[1] for each in (ADDRESS, KEY, SECRET) if (found := each.search(text)))
    return Process(process, url, Credentials(key, secret))


def export(home: Path) -> dict[str, list[dict[str, Any]]]:
    ended = said(home, "export")
    assert ended.returncode == 0, ended.stderr
    tables: dict[str, list[dict[str, Any]]] = json.loads(ended.stdout)
    return tables


def limit(quantity: str, price: str, side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest(BTC, side, Decimal(quantity), KrakenOrderType.LIMIT, price=Decimal(price))


def open_orders(client: KrakenClient) -> list[tuple[str, OrderInfo]]:
    return list(client.open_orders().items())


def test_a_killed_exchange_comes_back_with_orders_balances_fills_keys_and_time(
    tmp_path: Path, candles: Path
) -> None:
    home = tmp_path / "home"
    with started(home, candles) as first:
        client = first.client(tmp_path / "client")
        first.advance(1.5)
        client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.01")))
        resting = [client.add_order(limit("0.001", "29000.0")).txid[0] for _ in range(3)]
        client.add_order(
            OrderRequest(BTC, Side.SELL, Decimal("0.004"), KrakenOrderType.STOP_LOSS, price=Decimal(28000))
        )
        client.cancel_order(BTC, resting[1])
        client.add_order(OrderRequest(BTC, Side.SELL, Decimal("0.003"), leverage=3))
        orders, balance, market, trades = (
            open_orders(client),
            (client.balance(), client.trade_balance("USDT")),
            first.market_time(),
            first.trades(),
        )
        assert [key for key, _ in orders if key in resting] == [resting[0], resting[2]]
        first.kill()
        client.close()
    before = export(home)
    with started(home, candles) as second:
        assert second.credentials == first.credentials
        with second.client(tmp_path / "client") as client:
            assert export(home) == before
            assert open_orders(client) == orders
            assert (client.balance(), client.trade_balance("USDT")) == balance
            assert balance[1].cost > 0  # of the position on margin
            assert (second.market_time(), second.trades()) == (market, trades)
            assert len(client.trades_history().trades) == len(before["fills"]) == 2
            added = client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.01")))
            numbers = {row["order_id"] for row in before["orders"]}
            assert added.txid[0] not in numbers
            assert client.cancel_order(BTC, resting[0]).count == 1
            with pytest.raises(VenueRefused, match="Unknown order"):
                client.cancel_order(BTC, resting[1])


def test_resting_orders_keep_their_place_in_the_queue(tmp_path: Path, candles: Path) -> None:
    """Two orders at one price: after the restart whoever comes meets the older one first."""
    home, price = tmp_path / "home", "30245.0"  # above all bids of the market maker, below all that it asks
    with started(home, candles) as first, first.client(tmp_path / "client") as client:
        first.advance(0.1)
        older, newer = (client.add_order(limit("0.001", price)).txid[0] for _ in range(2))
        first.kill()
    with started(home, candles) as second, second.client(tmp_path / "client") as client:
        assert [key for key, _ in open_orders(client)] == [older, newer]
        other = second.opened("other", {"BTC": "1"}).client(tmp_path / "other")
        other.add_order(OrderRequest(BTC, Side.SELL, Decimal("0.0015")))
        other.close()
        second.kill()
    filled = {row["order_id"]: Decimal(row["filled"]) for row in export(home)["orders"]}
    assert (filled[older], filled[newer]) == (Decimal("0.001"), Decimal("0.0005"))


def test_a_nonce_that_was_used_before_the_kill_is_refused_after_it(tmp_path: Path, candles: Path) -> None:
    home = tmp_path / "home"
    with started(home, candles) as first:
        assert private(first, "Balance", 1000)["error"] == []
        first.kill()
    with started(home, candles) as second:
        assert private(second, "Balance", 1000)["error"] == ["EAPI:Invalid nonce"]
        assert private(second, "Balance", 1001)["error"] == []


def private(at: Process, method: str, nonce: int) -> Any:
    path, body = f"/0/private/{method}", f"nonce={nonce}"
    signed = signature(path, nonce, body, at.credentials.secret)
    headers = {
        "API-Key": at.credentials.key, "API-Sign": signed, "Content-Type": "application/x-www-form-urlencoded",
    }  # fmt: skip
    return httpx.post(f"{at.url}{path}", content=body, headers=headers).json()


def test_orders_go_on_over_kills_and_each_is_filled_once(tmp_path: Path, candles: Path) -> None:
    """Killed in the middle of trading, three times: in the end ledger and exchange agree on every order."""
    home, journal = tmp_path / "home", MemoryJournal()
    bought: list[OrderIntent] = []

    def decide() -> None:
        asked = wanted(quantity=Decimal("0.002"), stop_loss=None)
        journal.record_decision(receipt(asked.decision_id), asked)
        bought.append(asked)

    for hour in range(1, 5):
        with started(home, candles) as exchange, exchange.client(tmp_path / "client") as client:
            if not bought:
                journal.open_account("paper", client.balance(), NOON)
            executor = order_executor(journal, client)
            executor.carry_out("paper", NOON)  # what the last kill left
            for _ in range(2):
                decide()
            executor.carry_out("paper", NOON)
            assert journal.working_orders("paper") == []
            exchange.advance(hour)
            decide()
            exchange.kill()
            assert executor.carry_out("paper", NOON).problems
    with started(home, candles) as exchange, exchange.client(tmp_path / "client") as client:
        order_executor(journal, client).carry_out("paper", NOON)
        assert journal.working_orders("paper") == []
        assert client.balance()["BTC"] == journal.balances("paper")["BTC"]
    truth = export(home)
    placed = [row["client_order_id"] for row in truth["orders"]]
    assert sorted(placed) == sorted(each.client_order_id for each in bought)
    theirs = {
        row["execution_id"]: (Decimal(row["price"]), Decimal(row["quantity"])) for row in truth["fills"]
    }
    assert {each.fill_id: (each.price, each.quantity) for each in journal.fills("paper")} == theirs


def order_executor(journal: MemoryJournal, client: KrakenClient) -> OrderExecutor:
    def no_candles(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
        return CANDLE_SCHEMA.to_frame()

    rules = ExecutionRules(entry_age=timedelta.max, patience=timedelta(seconds=0.5))
    return OrderExecutor(journal, kraken_venue(client), no_candles, rules, holder=str(uuid4()))


def test_the_same_replay_runs_on_after_a_kill_as_it_would_have_without(tmp_path: Path, candles: Path) -> None:
    with started(tmp_path / "whole", candles) as whole:
        whole.advance(4)
        expected = whole.trades()
    with started(tmp_path / "cut", candles) as first:
        first.advance(1.7)
        first.kill()
    with started(tmp_path / "cut", candles) as second:
        second.advance(4)
        assert second.trades() == expected


# --- what cannot be started is one clear line


def one_line(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert (ended.returncode, ended.stdout) == (1, "")
    text = " ".join(ended.stderr.split())
    assert "Traceback" not in text
    for word in words:
        assert word in text, text
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def test_two_sandboxes_on_one_home(tmp_path: Path, candles: Path) -> None:
    home = tmp_path / "home"
    with started(home, candles):
        ended = said(home, "--port", "0", "--candles", str(candles))
    one_line(ended, "runs on", "already", "MARKETLOOM_HOME")


def test_two_sandboxes_on_one_port(tmp_path: Path, candles: Path) -> None:
    with started(tmp_path / "one", candles) as first:
        ended = said(tmp_path / "two", "--port", first.url.rpartition(":")[2], "--candles", str(candles))
    one_line(ended, "cannot listen on", "another sandbox", "--port")


@pytest.mark.parametrize("kind", ["candles", "trades"])
def test_a_file_to_replay_that_is_not_there(tmp_path: Path, kind: str) -> None:
    ended = said(tmp_path / "home", "--port", "0", f"--{kind}", str(tmp_path / "nowhere.csv"))
    one_line(ended, "nowhere.csv does not exist", kind)


def test_another_market_on_the_same_home(tmp_path: Path, candles: Path) -> None:
    home = tmp_path / "home"
    with started(home, candles) as first:
        first.kill()
    other = tmp_path / "XBTUSDT_60.csv"
    other.write_bytes(candles.read_bytes())
    one_line(said(home, "--port", "0", "--candles", str(other)), "another market", "--fresh")


def test_an_export_of_a_home_without_a_sandbox(tmp_path: Path) -> None:
    one_line(said(tmp_path / "home", "export"), "no sandbox has run with this home")
