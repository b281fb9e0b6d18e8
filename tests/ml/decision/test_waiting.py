"""What a decision waits for makes its inputs older: an entry is judged by their ages at the vote, an exit by none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ml.agents.judgements import Judgement
from ml.agents.panel import ModelPanel, Question
from ml.decision.clock import ClockReading
from ml.decision.explanation import explain
from ml.decision.replay import Verdict
from ml.decision.shadow import shadow_decision
from tests.ml.agents.model_panel import answer, hold, trader
from tests.ml.decision.decision_world import record_fill, with_market
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.test_model_traders import close_of, decided
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES
from tests.ml.models.scripted import Script
from trading.orders import Side
from trading.ports.market_data import SeenBook

SECOND = timedelta(seconds=1)
LONG_AGO = 3600.0  # seconds by the clock of the database: that of the venue says less


class World(ReplayWorld):
    """Its venue's clock stands until a model thinks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.now = self.newest
        self.reader = replace(self.reader, clock=lambda: ClockReading(self.now, "the venue"))

    def watch_book(self, seen_at: Callable[[], datetime]) -> None:
        self.reader = with_market(
            self.reader, newest_book=lambda pair: SeenBook(99.0, 101.0, seen_at(), LONG_AGO)
        )

    def thinking(self, takes: timedelta, said: str) -> ModelPanel:
        def thinks(question: Question) -> Judgement:
            self.now += takes
            return trader("one", Script(said))(question)

        return ModelPanel({"trader-one": thinks}, 60.0)

    def decided(self, takes: timedelta, said: str = "") -> dict[str, Any]:
        return decided(self, self.thinking(takes, said or answer(close_of(self))))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def measured(receipt: dict[str, Any]) -> dict[str, float]:
    return {each["rule"]: each["value"] for each in receipt["risk"]["verdicts"]}


@pytest.mark.parametrize(("seconds", "enters"), [(0.4, True), (3.0, False)])
def test_a_book_that_was_just_young_enough_is_too_old_after_a_model_has_thought(
    world: World, seconds: float, enters: bool
) -> None:
    seen = world.now - 9.5 * SECOND
    world.watch_book(lambda: seen)
    receipt = world.decided(seconds * SECOND)
    assert measured(receipt)["book age"] == 9.5 + seconds
    assert bool(receipt["intent"]) is enters
    assert receipt["inputs"]["waited_seconds"] == seconds
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_such_a_refusal_says_what_the_model_voted_and_how_long_was_waited_for(world: World) -> None:
    seen = world.now - 9.5 * SECOND
    world.watch_book(lambda: seen)
    receipt = world.decided(3 * SECOND)
    assert "LONG was refused by risk: book age: last seen verified 12.5 s ago" in receipt["outcome"]
    assert receipt["inputs"]["judgements"]["trader-one"]["outcome"] == "valid"
    assert receipt["consensus"]["action"] == "LONG"
    assert "read 3.0 s before the vote, which ages of an entry count" in explain(receipt, None)


def test_a_book_that_was_seen_again_meanwhile_is_as_young_as_it_is(world: World) -> None:
    world.watch_book(lambda: world.now - SECOND)
    receipt = world.decided(30 * SECOND)
    assert measured(receipt)["book age"] == 1.0
    assert receipt["intent"]
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_candle_features_prices_trades_and_news_are_as_old_as_they_are_at_the_vote(world: World) -> None:
    world.now += (LIMITS.candle_age - 0.25) * timedelta(hours=1)
    fresh = world.decided(timedelta(0))
    later = World(world.folder / "later")
    later.now += (LIMITS.candle_age - 0.25) * timedelta(hours=1)
    waited = later.decided(timedelta(minutes=30))
    assert fresh["intent"]
    assert waited["risk"]["rejection_reason"].startswith("candle age")
    for rule in ("candle age", "feature age", "trade age", "price age", "sentiment age"):
        assert measured(waited)[rule] == pytest.approx(measured(fresh)[rule] + 0.5), rule
    assert later.replay(waited).verdict is Verdict.IDENTICAL


def test_an_exit_is_not_refused_for_what_was_waited(world: World) -> None:
    world.reader.account.ensure_open(world.newest - timedelta(hours=1))
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="50000",
        at=world.newest - timedelta(minutes=30), stop="1", target="999999",
    )  # fmt: skip
    seen = world.now
    world.watch_book(lambda: seen)
    said = hold(action="CLOSE", confidence=1.0)
    models = {
        name: trader(name.removeprefix("trader-"), Script(said)) for name in ("trader-two", "trader-three")
    }
    thinking = world.thinking(timedelta(hours=5), said)
    receipt = decided(world, ModelPanel({**thinking.agents, **models}, 60.0))
    assert receipt["inputs"]["waited_seconds"] == 5 * 3600
    assert (receipt["action"], receipt["intent"]["reduces"]) == ("CLOSE", True)
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_where_no_time_passes_the_receipt_says_nothing_of_it(world: World) -> None:
    assert "waited_seconds" not in world.decided(timedelta(0))["inputs"]
    assert "waited_seconds" not in decided(ReplayWorld(world.folder / "history"), ModelPanel())["inputs"]


def test_a_shadow_decision_waits_for_nobody(world: World) -> None:
    def goes_on() -> ClockReading:
        world.now += SECOND
        return ClockReading(world.now, "the venue")

    reader = replace(world.reader, clock=goes_on)
    done = shadow_decision(PAIR, reader.read_clock(), reader, RULES, world.journal)
    assert "waited_seconds" not in done.receipt["inputs"]
