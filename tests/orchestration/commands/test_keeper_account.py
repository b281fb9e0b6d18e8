"""The keeper's passes over a real account: it carries out, compares, and says aloud what halts the account."""

import logging
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.commands.keeper import RECONCILE_SECONDS, SETTINGS_SECONDS, Account, Keeper
from orchestration.services import Services
from orchestration.settings import load_settings
from tests.contracts.venues import closing
from tests.doubles.clock import Clock
from tests.orchestration.commands.sandbox_home import SandboxHome, sandbox_home
from trading.orders import OrderStatus
from trading.risk import HaltKind


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHome]:
    with sandbox_home(tmp_path, dsn, monkeypatch) as opened:
        yield opened


def keeper(account: Account, clock: Clock) -> Keeper:
    return Keeper(account.carry_out, account.reconcile, threading.Event(), clock)


def test_a_pass_sends_what_a_dead_decision_left(home: SandboxHome) -> None:
    home.open()
    left = home.decide()
    keeper(Account(lambda: home.services), Clock(1000.0)).step()
    order = home.services.journal.order(left.intent_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
    assert home.services.journal.reconciled_at(home.account) is not None


def test_differences_and_halts_are_in_the_log_as_errors_and_each_halt_once(
    home: SandboxHome, caplog: pytest.LogCaptureFixture
) -> None:
    home.open()
    left = home.stranger().placed(closing(trigger=Decimal(10_000)))
    clock = Clock(1000.0)
    kept = keeper(Account(lambda: home.services, clock), clock)
    for _ in range(2):
        kept.step()
        clock.now += RECONCILE_SECONDS
    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert any(left.order.venue_order_id in each and "foreign order" in each for each in errors)
    assert len([each for each in errors if "is halted, reconciliation" in each]) == 1
    assert home.halts() == [HaltKind.RECONCILIATION]


def test_a_switch_is_noticed_by_a_pass_and_is_in_the_log(
    home: SandboxHome, caplog: pytest.LogCaptureFixture
) -> None:
    home.open()
    (home.home / "KILL").touch()
    keeper(Account(lambda: home.services), Clock(1000.0)).step()
    assert home.halts() == [HaltKind.KILL_SWITCH]
    assert any("is halted, kill switch" in each.getMessage() for each in caplog.records)


def test_a_sandbox_that_never_ran_ends_no_keeper_and_its_key_is_found_later(
    home: SandboxHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home.open()
    clock, place = Clock(1000.0), {"home": tmp_path / "elsewhere"}
    place["home"].mkdir()
    account = Account(lambda: Services(load_settings(), place["home"], home.dsn), clock)
    kept = keeper(account, clock)
    kept.step()  # no key: nothing to keep, and no end
    place["home"] = home.home
    monkeypatch.setenv("MARKETLOOM__RISK__CANDLE_AGE", "3")  # the settings have changed too
    clock.now += SETTINGS_SECONDS + 1
    left = home.decide()
    kept.step()
    order = home.services.journal.order(left.intent_id)
    assert order is not None
    assert order.status is OrderStatus.FILLED
