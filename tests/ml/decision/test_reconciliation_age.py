"""Balances at an exchange that nobody has compared lately refuse an entry; the refusal is recorded and replayed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.decision.replay import Verdict
from tests.doubles.stores import MemoryJournal
from tests.ml.decision.decision_world import ACCOUNT
from tests.ml.decision.replay_world import ReplayWorld
from trading.errors import VenueUnreachable
from trading.ports import VenueBooks

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class World(ReplayWorld):
    """Its journal's clock stands until a test moves it."""

    def __init__(self, folder: Path) -> None:
        self.time = NOON
        super().__init__(folder, journal=MemoryJournal(lambda: self.time))

    def move_to_exchange(self) -> None:
        self.reader = replace(self.reader, account=replace(self.reader.account, venue_books=out_of_reach))

    def decided(self, seconds: float, as_of: datetime | None = None) -> dict[str, Any]:
        """Decide so long after ledger and venue have agreed."""
        self.reader.account.ensure_open(self.reader.now())
        self.journal.note_reconciled(ACCOUNT.name, self.reader.now() - timedelta(days=1))
        self.time += timedelta(seconds=seconds)
        self.move_to_exchange()
        stored: dict[str, Any] = json.loads(json.dumps(self.execute(as_of).receipt))
        return stored


def out_of_reach(since: datetime) -> VenueBooks:
    raise VenueUnreachable("an account that is open needs no books of the venue")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_old_balances_refuse_the_entry_that_would_be_made_without_them(world: World) -> None:
    receipt = world.decided(601)
    assert receipt["intent"] is None
    assert receipt["risk"]["rejection_reason"].startswith("reconciliation age")
    assert "last agreed 601 s ago" in receipt["outcome"]
    assert receipt["inputs"]["comparison_seconds"] == 601


def test_balances_that_were_compared_refuse_nothing_whatever_the_account_s_clock_says(world: World) -> None:
    assert world.decided(599)["intent"]


def test_on_paper_nobody_needs_to_compare(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "move_to_exchange", lambda: None)
    receipt = world.decided(1e6)
    assert receipt["inputs"]["comparison_seconds"] is None
    assert receipt["intent"]


def test_a_time_that_a_person_chose_is_not_judged_by_the_books_of_now(world: World) -> None:
    receipt = world.decided(601, as_of=world.reader.now())
    assert receipt["inputs"]["comparison_seconds"] is None


def test_the_refusal_is_replayed_to_the_byte_though_the_books_agree_by_now(world: World) -> None:
    receipt = world.decided(601.25)
    world.journal.note_reconciled(ACCOUNT.name, world.reader.now())
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
