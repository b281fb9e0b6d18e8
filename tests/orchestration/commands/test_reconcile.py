"""`marketloom reconcile` and its four exits, through the command line, against an exchange."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.contracts.venues import closing
from tests.contracts.venues import wanted as order
from tests.orchestration.commands.sandbox_home import SandboxHome, sandbox_home
from trading.risk import HaltKind


@pytest.fixture
def home(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxHome]:
    with sandbox_home(tmp_path, dsn, monkeypatch) as opened:
        opened.open()
        yield opened


def test_looking_at_equal_books_says_so(home: SandboxHome) -> None:
    home.trade()
    result = home.command("reconcile")
    assert result.exit_code == 0, result.output
    assert "the venue's books agree with the ledger" in result.output
    assert home.services.journal.reconciled_at(home.account) is not None


def test_what_explains_itself_is_booked_and_told_with_its_worth(home: SandboxHome) -> None:
    home.enter("USDT", "-500", "withdrawal")
    facts = home.facts("reconcile")
    assert facts["agrees"]
    assert facts["done"] == ["booked -500 USDT, worth -500: withdrawal"]
    assert home.halts() == []


def test_a_foreign_order_halts_and_the_command_says_what_to_do(home: SandboxHome) -> None:
    left = home.stranger().placed(closing(trigger=Decimal(10_000)))
    result = home.command("reconcile")
    assert result.exit_code == 1
    assert f"foreign order {left.order.venue_order_id}" in result.output
    assert "cancelled by a person, at the venue" in result.output
    assert "--adopt (the venue is right" in result.output
    assert home.halts() == [HaltKind.RECONCILIATION]


def test_resume_goes_on_only_when_the_books_agree_again(home: SandboxHome) -> None:
    stranger = home.stranger()
    left = stranger.placed(closing(trigger=Decimal(10_000)))
    refused = home.facts("reconcile", "--resume", "--reason", "hope", "--by", "ada", code=1)
    assert (refused["agrees"], home.halts()) == (False, [HaltKind.RECONCILIATION])
    home.services.venue.cancel(left)
    looked = home.command("reconcile")
    assert "`marketloom reconcile --resume" in looked.output
    assert home.halts() == [HaltKind.RECONCILIATION]  # looking ends nothing
    resumed = home.facts("reconcile", "--resume", "--reason", "cancelled it", "--by", "ada")
    assert resumed["done"][0].startswith("resumed by ada, it was halted because the venue's books differ")
    assert (home.halts(), resumed["halts"]) == ([], [])
    [halt] = home.services.journal.halts(home.account)
    assert halt.resume is not None
    assert (halt.resume.by, halt.resume.reason) == ("ada", "cancelled it")


def test_adopt_books_what_the_venue_has_and_goes_on(home: SandboxHome) -> None:
    home.stranger().placed(order(stop_loss=None))
    assert home.facts("reconcile", code=1)["differences"][0]["kind"] == "foreign trade"
    facts = home.facts("reconcile", "--adopt", "--reason", "I bought by hand", "--by", "ada")
    assert facts["agrees"]
    assert any("adopted by ada: I bought by hand" in line for line in facts["done"])
    assert home.halts() == []
    assert home.facts("reconcile")["done"] == []


def test_flatten_closes_every_position_before_it_adopts(home: SandboxHome) -> None:
    home.trade()
    home.exchange.advance(1)
    home.stranger().placed(order(stop_loss=None))
    assert home.facts("reconcile", code=1)["differences"] != []
    facts = home.facts("reconcile", "--flatten", "--reason", "another program used the key", "--by", "ada")
    assert facts["agrees"]
    assert home.services.journal.positions(home.account) == []
    assert home.services.venue.books(home.services.clock().at).open_orders == ()
    assert home.halts() == []


def test_a_position_that_a_person_sold_at_the_venue_is_named_after_adopting(home: SandboxHome) -> None:
    """The account has 0.5 BTC of its own beside the position: all of it is sold by hand."""
    home.trade()
    home.exchange.advance(1)
    for each in home.services.journal.working_orders(home.account):
        home.services.venue.cancel(each)
    home.stranger().placed(closing(quantity=Decimal("0.505")))
    facts = home.facts("reconcile", "--adopt", "--reason", "sold by hand")
    assert facts["uncovered"] == [
        "0.01 BTC/USDT is open, and only 0.005 BTC is there: the rest cannot be sold"
    ]


def test_a_choice_needs_a_reason_and_is_one_choice(home: SandboxHome) -> None:
    without = home.command("reconcile", "--adopt")
    assert without.exit_code != 0
    assert "--reason" in str(without.exception)
    both = home.command("reconcile", "--adopt", "--flatten", "--reason", "x")
    assert both.exit_code != 0
    assert home.services.journal.adjustments(home.account) == []


def test_another_halt_stays_when_the_books_are_resumed(home: SandboxHome) -> None:
    home.command("kill", "--reason", "testing")
    left = home.stranger().placed(closing(trigger=Decimal(10_000)))
    home.command("reconcile")
    home.services.venue.cancel(left)
    home.command("reconcile", "--resume", "--reason", "cancelled it")
    assert home.halts() == [HaltKind.KILL_SWITCH]


def test_an_account_that_has_not_opened_says_so(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sandbox_home(tmp_path, dsn, monkeypatch) as unopened:
        result = unopened.command("reconcile")
        assert result.exit_code != 0
        assert "its first decision opens it" in str(result.exception)
