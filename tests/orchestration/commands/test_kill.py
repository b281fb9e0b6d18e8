"""`marketloom kill` through the command line, against an exchange: nothing new is sent, whoever is at it."""

import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.kill_switch import KillSwitch
from orchestration.system import POSTGRES
from tests.orchestration.commands.sandbox_home import SandboxHome, sandbox_home
from trading.execution import OrderExecutor
from trading.orders import OrderKind, OrderStatus
from trading.risk import HaltKind


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHome]:
    with sandbox_home(tmp_path, dsn, monkeypatch) as opened:
        opened.open()
        yield opened


def status_of(home: SandboxHome, intent_id: str) -> OrderStatus:
    order = home.services.journal.order(intent_id)
    assert order is not None
    return order.status


def test_a_kill_cancels_what_waits_and_leaves_the_stop_at_the_venue(home: SandboxHome) -> None:
    home.trade()
    waiting = home.decide()
    facts = home.facts("kill", "--reason", "prices look wrong", "--by", "ada")
    assert status_of(home, waiting.intent_id) is OrderStatus.CANCELLED
    assert waiting.intent_id in facts["cancelled"]
    assert facts["positions"] == ["0.01 BTC/USDT"]
    [stop] = home.services.venue.books(home.services.clock().at).open_orders
    assert (stop.trigger, stop.quantity) == (Decimal(10_000), Decimal("0.01"))
    assert home.halts() == [HaltKind.KILL_SWITCH]
    assert "prices look wrong" in home.services.journal.halts(home.account)[0].reason


def test_nothing_is_sent_after_a_kill_until_a_person_resumes(home: SandboxHome) -> None:
    home.command("kill", "--reason", "enough")
    refused = home.trade()
    assert status_of(home, refused.intent_id) is OrderStatus.CANCELLED
    assert home.exchange.export()["orders"] == []
    facts = home.facts("resume", "--reason", "checked", "--by", "ada")
    assert [each["kind"] for each in facts["ended"]] == ["kill switch"]
    assert KillSwitch(home.home).requested() == ""
    sent = home.trade()
    assert status_of(home, sent.intent_id) is OrderStatus.FILLED


def test_flatten_closes_every_position(home: SandboxHome) -> None:
    home.trade()
    home.trade()
    facts = home.facts("kill", "--flatten", "--reason", "leaving the market")
    assert facts["positions"] == []
    assert home.services.journal.positions(home.account) == []
    assert home.services.venue.books(home.services.clock().at).open_orders == ()
    assert home.facts("reconcile")["agrees"]


def test_the_file_alone_stops_a_pass_of_another_process(home: SandboxHome) -> None:
    waiting = home.decide()
    (home.home / "KILL").touch()
    services = home.services
    services.order_executor.carry_out(services.account.name, services.clock().at)
    assert status_of(home, waiting.intent_id) is OrderStatus.CANCELLED
    assert home.exchange.export()["orders"] == []
    assert home.halts() == [HaltKind.KILL_SWITCH]


def test_a_kill_stops_a_process_that_is_in_the_middle_of_a_pass(home: SandboxHome) -> None:
    """It has looked at the switch already, and is about to write that the order is sent."""
    waiting, services = home.decide(), home.services
    reached, go_on = threading.Event(), threading.Event()

    def pause(name: str) -> None:
        if name == "before sent":
            reached.set()
            assert go_on.wait(60)

    other = OrderExecutor(
        services.journal, services.venue, services.market_reader.candles_after, services.order_executor._rules,
        holder="another process", checkpoint=pause,
    )  # fmt: skip
    thread = threading.Thread(target=other.carry_out, args=(services.account.name, services.clock().at))
    thread.start()
    assert reached.wait(60)
    killing = threading.Thread(target=home.command, args=("kill", "--reason", "now"))
    killing.start()
    while not home.halts():
        assert killing.is_alive()
    go_on.set()
    for each in (thread, killing):
        each.join(60)
    assert status_of(home, waiting.intent_id) is OrderStatus.CANCELLED
    assert home.exchange.export()["orders"] == []


def test_exits_go_on_after_a_kill(home: SandboxHome) -> None:
    home.trade()
    home.command("kill", "--reason", "enough")
    services = home.services
    services.order_executor.flatten(services.account.name, services.clock().at, "an exit")
    [order] = [
        each
        for each in services.journal.fills(services.account.name)
        if (found := services.journal.working_order(each.intent_id)) and found.intent.kind is OrderKind.EXIT
    ]
    assert order.quantity == Decimal("0.01")


@pytest.mark.parametrize("away", ["PostgreSQL", "venue"])
def test_the_switch_is_pulled_though_something_is_away(
    home: SandboxHome, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if away == "PostgreSQL":
        monkeypatch.setenv(POSTGRES, "postgresql://nobody@127.0.0.1:1/none")
    else:
        port = os.environ["MARKETLOOM__SANDBOX__PORT"]
        monkeypatch.setenv("MARKETLOOM__SANDBOX__PORT", "1")
    result = home.command("kill", "--reason", "now")
    assert "now" in KillSwitch(home.home).requested()
    if away == "PostgreSQL":
        assert result.exit_code != 0
        assert "the kill switch is pulled" in str(result.exception)
        monkeypatch.setenv(POSTGRES, home.dsn)
    else:
        monkeypatch.setenv("MARKETLOOM__SANDBOX__PORT", port)
    refused = home.trade()
    assert status_of(home, refused.intent_id) is OrderStatus.CANCELLED
    assert home.halts() == [HaltKind.KILL_SWITCH]


def test_status_shows_the_switch_the_halt_and_how_it_ends(home: SandboxHome) -> None:
    home.trade()
    home.command("kill", "--reason", "prices look wrong", "--by", "ada")
    result = home.command("status")
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "kill switch pulled by ada" in words
    assert "halted, kill switch: pulled by ada" in words
    assert "`marketloom resume --reason ...` ends it" in words
    assert "open 0.01" in words
    assert "stop: 0.01 at 10000" in words
    trading = home.facts("status")["trading"]
    assert trading["positions"][0]["protected"] == "0.01"
    assert trading["positions"][0]["traded"] is True
    assert [each["kind"] for each in trading["orders"]] == ["stop"]


def test_status_names_who_sends_and_what_waits(home: SandboxHome) -> None:
    waiting, journal = home.decide(), home.services.journal
    lease = journal.acquire_lease(home.account, "machine-7", 60)
    assert lease is not None
    journal.request_cancel(home.trade_sent(lease), "the consensus has turned", home.services.clock().at)
    facts = home.facts("status")["trading"]
    assert facts["sender"]["holder"] == "machine-7"
    by_id = {each["intent_id"]: each for each in facts["orders"]}
    assert by_id[waiting.intent_id]["state"] == "intended"
    assert sorted(each["cancel_reason"] for each in facts["orders"]) == ["", "the consensus has turned"]
    assert "machine-7 sends its orders now" in home.command("status").output
    journal.release_lease(lease)
    assert home.facts("status")["trading"]["sender"] is None


def test_a_kill_before_the_account_has_opened_only_pulls_the_switch(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox_home(tmp_path, dsn, monkeypatch) as unopened:
        facts = unopened.facts("kill", "--reason", "not yet")
        assert (facts["cancelled"], facts["positions"]) == ([], [])
        assert os.path.exists(unopened.home / "KILL")
