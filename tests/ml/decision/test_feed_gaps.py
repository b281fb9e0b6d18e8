"""An open feed gap within what a decision reads refuses an entry; the refusal is recorded, replayed and explained."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.decision.replay import Verdict
from tests.ml.decision.decision_world import with_market
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR
from trading.feed_gaps import FeedGap, GapState, MissingKind
from trading.market import Pair

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


def gap(world: ReplayWorld, since: float, until: float | None, **changes: Any) -> FeedGap:
    """A gap that began and ended so many hours before the decision."""
    begins, ends = world.newest - since * HOUR, None if until is None else world.newest - until * HOUR
    found = FeedGap(
        "test", PAIR, begins, ends, None, None, MissingKind.FEED_GAP, "the connection was lost", begins
    )
    return replace(found, **changes)


def decided(world: ReplayWorld, *gaps: FeedGap) -> dict[str, Any]:
    def noted(pair: Pair, start: datetime, end: datetime) -> Sequence[FeedGap]:
        return [each for each in gaps if each.pair == pair and (each.until is None or each.until >= start)]

    world.reader = with_market(world.reader, feed_gaps=noted)
    stored: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    return stored


@pytest.mark.parametrize(("since", "until"), [(3, 2), (3, None), (0.5, 0.2), (900, 800)])
def test_an_open_gap_refuses_the_entry_that_would_be_made_without_it(
    world: ReplayWorld, since: float, until: float | None
) -> None:
    receipt = decided(world, gap(world, since, until))
    assert receipt["intent"] is None
    assert receipt["risk"]["rejection_reason"].startswith("feed gap")
    assert "trades may be missing" in receipt["outcome"]
    assert receipt["inputs"]["open_gap"]["reason"] == "the connection was lost"


def test_without_a_gap_or_with_one_of_another_pair_the_entry_is_made(world: ReplayWorld) -> None:
    other = replace(gap(world, 3, None), pair=Pair("XRP", "USDT"))
    assert decided(world, other)["intent"]


def test_a_gap_that_was_repaired_by_then_refuses_nothing(world: ReplayWorld) -> None:
    repaired = gap(world, 3, 2, state=GapState.REPAIRED, repaired_at=world.newest - HOUR)
    assert decided(world, repaired)["intent"]


def test_what_was_repaired_later_was_open_then(world: ReplayWorld) -> None:
    repaired = gap(world, 3, 2, state=GapState.REPAIRED, repaired_at=world.newest + HOUR)
    assert decided(world, repaired)["intent"] is None


def test_a_gap_that_was_found_later_was_not_known_then(world: ReplayWorld) -> None:
    assert decided(world, gap(world, 3, 2, found_at=world.newest + HOUR))["intent"]


def test_a_gap_before_the_window_refuses_nothing(world: ReplayWorld) -> None:
    assert decided(world, gap(world, 1100, 1010))["intent"]


def test_the_refusal_is_replayed_to_the_byte_after_the_gap_was_repaired(world: ReplayWorld) -> None:
    receipt = decided(world, gap(world, 3, 2))
    world.reader = with_market(world.reader, feed_gaps=lambda pair, start, end: ())
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
