"""An order book that was not seen verified lately refuses an entry; the refusal is recorded and replayed."""

import json
from pathlib import Path
from typing import Any

import pytest

from ml.decision.replay import Verdict
from tests.ml.decision.decision_world import with_market
from tests.ml.decision.replay_world import ReplayWorld
from trading.ports.market_data import SeenBook


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


def decided(world: ReplayWorld, seconds: float | None) -> dict[str, Any]:
    """The book was seen so long before the decision; None: nobody watches it."""
    book = None if seconds is None else SeenBook(99.0, 101.0, world.newest.replace(year=2000), seconds)
    world.reader = with_market(world.reader, newest_book=lambda pair: book)
    stored: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    return stored


def test_an_old_book_refuses_the_entry_that_would_be_made_without_it(world: ReplayWorld) -> None:
    receipt = decided(world, 10.5)
    assert receipt["intent"] is None
    assert receipt["risk"]["rejection_reason"].startswith("book age")
    assert "last seen verified 10.5 s ago" in receipt["outcome"]
    assert receipt["inputs"]["book"]["bid"] == 99.0


@pytest.mark.parametrize("seconds", [9.5, None])
def test_a_book_that_was_just_seen_or_that_nobody_watches_refuses_nothing(
    world: ReplayWorld, seconds: float | None
) -> None:
    assert decided(world, seconds)["intent"]


def test_the_refusal_is_replayed_to_the_byte_though_the_book_is_another_one_now(world: ReplayWorld) -> None:
    receipt = decided(world, 10.5)
    world.reader = with_market(world.reader, newest_book=lambda pair: None)
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
