"""What past votes were worth, on the way of a decision: recorded, in words, replayed, and read as it was known."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.agents.vote_weights import VoteWeights
from ml.decision.decide import decide
from ml.decision.explanation import explain
from ml.decision.replay import Verdict
from ml.decision.restoring import recorded_weights
from tests.ml.agents.model_panel import answer, panel
from tests.ml.agents.records import record, weights
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.test_model_traders import close_of
from tests.ml.decision.trading_day import RULES, decision_inputs

TREND = "trend-momentum/1"
SILENT = weights(record("technical", 0.0, TREND, brier=0.31, hit_rate=0.48))
OTHERS = weights(record("technical", 0.5, TREND), record("technical", 2.0, "another"))


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


def learn(world: ReplayWorld, version: VoteWeights, hours: float) -> VoteWeights:
    """Record the version so many hours before the newest candle closed."""
    return world.versions.record(replace(version, known_at=world.newest - timedelta(hours=hours)))


def decided(world: ReplayWorld) -> dict[str, Any]:
    receipt: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    return receipt


def test_an_agent_that_was_no_better_than_the_base_rate_has_no_vote_on_an_entry() -> None:
    inputs = decision_inputs()
    assert decide(inputs, RULES).intent is not None
    made = decide(replace(inputs, weights=SILENT), RULES)
    assert made.intent is None
    assert (
        "technical has no vote, no better than the base rate: Brier 0.310 on 300 votes" in made.receipt["why"]
    )
    [opinion] = [each for each in made.receipt["opinions"] if each["agent"] == "technical"]
    assert opinion["action"] in ("LONG", "SHORT")  # recorded as it was: it can earn its vote back


def test_a_decision_without_any_record_has_the_receipt_that_it_had_before() -> None:
    receipt = decide(decision_inputs(), RULES).receipt
    assert "weights" not in receipt["inputs"]
    assert "records" not in receipt["consensus"]


def test_a_decision_reads_the_newest_version_that_was_known_and_says_what_it_made_of_it(
    world: ReplayWorld,
) -> None:
    learn(world, SILENT, hours=5)
    known = learn(world, OTHERS, hours=1)
    learn(world, SILENT, hours=-1)
    receipt = decided(world)
    recorded = recorded_weights(receipt)
    assert recorded is not None
    assert recorded.version == known.version
    assert [each["weight"] for each in receipt["consensus"]["records"]] == [0.5]
    assert "record     technical, trend-momentum/1 weighs 0.50: Brier 0.240 on 300 votes" in explain(
        receipt, None
    )


def test_it_is_replayed_to_the_byte_and_another_version_is_named(world: ReplayWorld) -> None:
    known = learn(world, OTHERS, hours=1)
    receipt = decided(world)
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
    later = learn(world, SILENT, hours=0.5)
    replay = world.replay(receipt)
    assert (replay.verdict, replay.reproduced) == (Verdict.INPUT_DIFFERS, True)
    assert replay.difference is not None
    assert (replay.difference.input, replay.difference.recorded, replay.difference.now) == (
        "weights of votes",
        known.version,
        later.version,
    )


def test_a_weight_that_was_edited_in_the_receipt_is_noticed(world: ReplayWorld) -> None:
    learn(world, OTHERS, hours=1)
    receipt = decided(world)
    receipt["inputs"]["weights"]["weights"][0]["weight"] = 2.0
    assert "edited" in str(world.replay(receipt).difference)


def test_a_trader_without_a_vote_shapes_neither_size_nor_invalidation(tmp_path: Path) -> None:
    world = ReplayWorld(tmp_path)
    close = close_of(world)
    said = answer(close, position_size_pct=0.5, invalidation_price=close * 0.99, invalidation_hours=1.0)
    asked = panel(one=said)
    world.reader = replace(world.reader, models=asked)
    with_it = decided(world)
    silent = ReplayWorld(tmp_path / "silent")
    silent.reader = replace(silent.reader, models=panel(one=said))
    [model] = {each["model"] for each in with_it["opinions"] if each["agent"] == "trader-one"}
    learn(silent, weights(record("trader-one", 0.0, model)), hours=1)
    without = decided(silent)
    assert with_it["intent"]["invalidations"]
    assert "invalidations" not in without["intent"]
    assert float(without["intent"]["quantity"]) > float(with_it["intent"]["quantity"])
    assert [each["action"] for each in without["opinions"] if each["agent"] == "trader-one"] == ["LONG"]
