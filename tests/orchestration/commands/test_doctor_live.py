"""Each check of the account that orders go to passes on the sandbox as it is, and fails on what it is there for."""

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.commands.doctor_live import LiveAccount, examine_account, examine_live
from orchestration.commands.findings import Finding, Health
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from streaming.sandbox.keys import ALL, Keys, Permission
from streaming.sandbox.server import KEYS_FILE
from tests.contracts.trade import NOON, intent, receipt
from tests.contracts.venues import MANY
from tests.doubles.stores import MemoryJournal, MemoryKeyState
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BALANCES, BTC, UNHURRIED
from trading.errors import NotAuthorised
from trading.orders import Purpose, Side
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.order_request import KrakenOrderType, OrderRequest

HOURS = 3600.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Sandbox]:
    with sandbox(folder, tier=UNHURRIED.name) as exchange:
        exchange.advance(60)
        yield exchange


class Account:
    """An account of its own at the sandbox, and a journal that agrees with it."""

    def __init__(self, exchange: Sandbox, folder: Path, home: Path) -> None:
        self.exchange, self.folder, self.home = exchange, folder, home
        self.name = str(uuid.uuid4())
        self.journal = MemoryJournal()
        self.allowance = Allowance(MANY, MANY)
        self.permissions = ALL
        self.machine_behind = 0.0
        self.variables: dict[str, str] = {}
        self.open(BALANCES)
        self.journal.open_account(self.name, BALANCES, NOON)

    def open(self, balances: Mapping[str, Decimal]) -> None:
        self.exchange.open_account(self.name, balances)

    @property
    def settings(self) -> Settings:
        return load_settings(
            {
                "MARKETLOOM_HOME": str(self.home),
                "MARKETLOOM__MARKET__SOURCE": "sandbox",
                "MARKETLOOM__VENUE__MODE": "sandbox",
                **self.variables,
            }
        )

    def client(self) -> KrakenClient:
        keys = Keys(self.folder / KEYS_FILE)
        issued = keys.issue(self.name, self.permissions)
        keys.close()
        return KrakenClient(
            self.home, Credentials(issued.key, issued.secret), self.exchange.url, self.allowance, MANY,
            patience=0.0, keys=MemoryKeyState(), now=lambda: time.time() - self.machine_behind,
        )  # fmt: skip

    def findings(self, before: Any = None) -> dict[str, Finding]:
        with self.client() as client:
            if before:
                before(client)
            return {
                each.what: each
                for each in examine_live(LiveAccount(self.settings, client, self.journal, self.name))
            }


@pytest.fixture
def account(running: Sandbox, folder: Path, tmp_path: Path) -> Iterator[Account]:
    yield Account(running, folder, tmp_path)
    for pair in ({}, {"pair": str(BTC)}):
        running.admin("status", {"status": "online", **pair})


def order(client: KrakenClient, **changes: Any) -> None:
    terms = {"order_type": KrakenOrderType.LIMIT, "price": Decimal(10_000), **changes}
    client.add_order(OrderRequest(BTC, Side.BUY, Decimal("0.01"), **terms))


def test_an_account_as_it_should_be_has_nothing_that_blocks(account: Account) -> None:
    found = account.findings()
    assert not [each for each in found.values() if each.blocks]
    expected = dict.fromkeys(found, Health.OK) | {"key limits": Health.NOTE}
    assert {what: each.health for what, each in found.items()} == expected
    assert len(found) == 10


def test_a_key_that_may_withdraw_is_refused(account: Account) -> None:
    account.permissions = ALL | {Permission.WITHDRAW}
    rights = account.findings()["key rights"]
    assert rights.health is Health.BROKEN
    assert "may withdraw" in rights.detail


def test_missing_rights_are_named(account: Account) -> None:
    account.permissions = ALL - {Permission.CANCEL, Permission.QUERY_LEDGER}
    rights = account.findings()["key rights"]
    assert rights.health is Health.BROKEN
    assert "query-ledger, close-trades missing" in rights.detail


def test_a_key_without_the_websocket_is_slower_and_works(account: Account) -> None:
    account.permissions = ALL - {Permission.WEBSOCKET}
    rights = account.findings()["key rights"]
    assert rights.health is Health.NOTE
    assert "WebSocket" in rights.detail


def test_limits_that_a_key_lacks_are_a_note(account: Account) -> None:
    limits = account.findings()["key limits"]
    assert limits.health is Health.NOTE
    assert "any address" in limits.detail
    assert "nonce window is 0" in limits.detail


@pytest.mark.parametrize(("behind", "words"), [(5 * HOURS, "behind"), (-5 * HOURS, "ahead of")])
def test_a_machine_clock_that_is_hours_wrong_is_named_with_its_skew(
    account: Account, behind: float, words: str
) -> None:
    account.machine_behind = behind
    clock = account.findings()["clock"]
    assert clock.health is Health.BROKEN
    assert f" s {words} the venue's clock" in clock.detail
    assert "clock_skew_seconds = 2" in clock.detail


def test_an_exchange_that_is_not_online_blocks(account: Account) -> None:
    account.exchange.admin("status", {"status": "cancel_only"})
    found = account.findings()
    assert [found[what].health for what in ("exchange", "pair status")] == [Health.BROKEN] * 2
    assert "cancel_only" in found["exchange"].detail


def test_a_pair_that_only_reduces_is_named(account: Account) -> None:
    account.exchange.admin("status", {"pair": str(BTC), "status": "reduce_only"})
    found = account.findings()
    assert found["exchange"].health is Health.OK
    assert found["pair status"].health is Health.BROKEN
    assert "BTC/USDT is reduce_only" in found["pair status"].detail


def test_a_pair_that_the_exchange_does_not_trade_blocks(account: Account) -> None:
    account.variables["MARKETLOOM__MARKET__PAIRS"] = '["BTC/USDT", "ETH/USDT", "XRP/USDT"]'
    account.variables |= {
        f"MARKETLOOM__INSTRUMENTS__ETH/USDT__{name}": '"1"'
        for name in ("PRICE_INCREMENT", "QUANTITY_INCREMENT", "MINIMUM_QUANTITY", "MINIMUM_COST")
    }
    status = account.findings()["pair status"]
    assert status.health is Health.BROKEN
    assert "ETH/USDT" in status.detail


def test_fees_that_are_not_those_of_the_settings_are_a_note(account: Account) -> None:
    account.variables["MARKETLOOM__VENUE__FEES"] = (
        '[{valid_from = 2010-01-01, taker = "0.0035", maker = "0.002"}]'
    )
    fees = account.findings()["fees"]
    assert fees.health is Health.NOTE
    assert "BTC/USDT 0.40 % / 0.25 %" in fees.detail
    assert "back-tests of now pay 0.35 % / 0.20 %" in fees.detail


def test_a_spent_rate_budget_is_a_note(account: Account) -> None:
    account.allowance = Allowance(MANY, RateLimit(60, 0.001))

    def spend(client: KrakenClient) -> None:
        client.budget.spend("XBTUSDT", 50.0, Purpose.EXIT)

    budget = account.findings(spend)["rate budget"]
    assert budget.health is Health.NOTE
    assert "orders of XBTUSDT 50 of 60" in budget.detail


def test_an_order_that_the_journal_does_not_know_blocks(account: Account) -> None:
    orders = account.findings(order)["open orders"]
    assert orders.health is Health.BROKEN
    assert "not in the journal" in orders.detail


def test_an_order_that_the_journal_waits_for_is_ours(account: Account) -> None:
    name = account.name
    wanted = replace(intent(intent_id=str(uuid.uuid4())), account=name)
    account.journal.record_decision(receipt() | {"account": name}, wanted)
    orders = account.findings(lambda client: order(client, client_order_id=wanted.intent_id))["open orders"]
    assert orders.health is Health.OK
    assert "1, all of them ours" in orders.detail


def test_balances_that_the_journal_does_not_have_block(account: Account) -> None:
    balances = account.findings(lambda client: order(client, order_type=KrakenOrderType.MARKET, price=None))
    found = balances["balances"]
    assert found.health is Health.BROKEN
    assert "BTC: 0.51" in found.detail
    assert "0.5 in the journal" in found.detail


def test_an_account_without_a_journal_says_what_it_will_open_with(account: Account) -> None:
    account.journal = MemoryJournal()
    balances = account.findings()["balances"]
    assert balances.health is Health.OK
    assert "will open with 0.5000000000 BTC" in balances.detail


@pytest.mark.parametrize(
    ("balance", "health"), [("20", Health.OK), ("6.5", Health.NOTE), ("0.5", Health.BROKEN)]
)
def test_an_account_too_small_for_the_minimums_is_told_so(
    account: Account, balance: str, health: Health
) -> None:
    account.name = str(uuid.uuid4())
    account.open({"USDT": Decimal(balance)})
    sizes = account.findings()["order sizes"]
    assert sizes.health is health, sizes.detail


def test_kraken_itself_needs_a_key_in_the_environment(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KRAKEN_API_KEY", "KRAKEN_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings({"MARKETLOOM_HOME": str(tmp_path)})
    with pytest.raises(NotAuthorised, match="KRAKEN_API_KEY"):
        examine_account(Services(settings, tmp_path, dsn))


def test_the_sandbox_is_examined_with_its_own_key_and_the_database(
    folder: Path, running: Sandbox, tmp_path: Path, dsn: str
) -> None:
    (tmp_path / "sandbox").symlink_to(folder)
    settings = load_settings(
        {
            "MARKETLOOM_HOME": str(tmp_path),
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__VENUE__MODE": "sandbox",
            "MARKETLOOM__SANDBOX__PORT": running.url.rpartition(":")[2],
        }
    )
    found = examine_account(Services(settings, tmp_path, dsn))
    assert [each.what for each in found if each.blocks] == []
