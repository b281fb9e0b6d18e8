"""A decision whose agents are slow, dead or wrong is made all the same, recorded, and made again to the byte."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ml.agents.hearing import Hearing
from ml.agents.opinions import Opinion
from ml.agents.panel import AGENTS, Question
from ml.decision.execute import NOT_ASKED, execute_decision
from ml.decision.replay import Verdict
from tests.ml.decision.decision_world import record_fill
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR, RULES
from trading.orders import Side

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


@pytest.fixture
def released() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()


def decided(world: ReplayWorld, **agents: Any) -> dict[str, Any]:
    done = execute_decision(
        PAIR,
        world.reader.read_clock(),
        world.reader,
        RULES,
        world.journal,
        world.executor,
        Hearing({**AGENTS, **agents}),
    )
    stored: dict[str, Any] = json.loads(json.dumps(done.receipt))
    return stored


def raises(_: Question) -> Opinion:
    raise OSError("no weights")


def test_a_raising_agent_costs_its_vote_and_the_others_still_buy(world: ReplayWorld) -> None:
    receipt = decided(world, quant=raises)
    reasons = {each["agent"]: each["reasoning"] for each in receipt["opinions"] if each["action"] is None}
    assert reasons == {"quant": "failed: OSError: no weights"}
    assert receipt["intent"]


def test_the_decision_without_that_vote_is_replayed_to_the_byte(world: ReplayWorld) -> None:
    receipt = decided(world, quant=raises)
    assert receipt["inputs"]["absent"] == {"quant": "failed: OSError: no weights"}
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_with_every_agent_gone_the_decision_is_to_hold(world: ReplayWorld) -> None:
    receipt = decided(world, technical=raises, quant=raises, analyst=raises)
    assert (receipt["action"], receipt["intent"]) == ("HOLD", None)
    assert "every agent abstains" in receipt["outcome"]


def test_nobody_waits_for_an_agent_while_the_account_is_locked(world: ReplayWorld, released: Event) -> None:
    """Another thread takes the account's lock while an agent has not answered."""
    locked = []

    def asks_for_the_lock(_: Question) -> Opinion:
        with world.journal.exclusive(world.reader.account.name):
            locked.append(True)
        raise OSError("done")

    assert decided(world, analyst=asks_for_the_lock)["inputs"]["absent"] == {
        "analyst": "failed: OSError: done"
    }
    assert locked == [True]


def test_without_an_actionable_signal_nobody_else_is_asked_and_the_skip_is_explained(tmp_path: Path) -> None:
    quiet = ReplayWorld(tmp_path, drift=0.0)
    asked: list[Question] = []

    def notes(question: Question) -> Opinion:
        asked.append(question)
        raise OSError("asked")

    receipt = decided(quiet, technical=notes, quant=notes, analyst=notes)
    assert asked == []
    assert [each["agent"] for each in receipt["opinions"]] == ["technical"]
    assert receipt["outcome"].startswith("no order: skipped, no actionable signal: ")
    assert receipt["risk"] is receipt["intent"] is None
    assert quiet.replay(receipt).verdict is Verdict.IDENTICAL


def test_where_a_position_was_opened_after_nobody_was_asked_it_is_held_and_nobody_is_waited_for(
    tmp_path: Path,
) -> None:
    """Another process opens it between the look before the lock and the lock itself."""
    quiet = ReplayWorld(tmp_path, drift=0.0)
    quiet.reader.account.ensure_open(quiet.newest - HOUR)
    asked: list[Question] = []

    class OpensBeforeTheLock(type(quiet.journal)):  # type: ignore[misc]
        def store_inputs(self, contents: Any) -> None:
            super().store_inputs(contents)
            self.recorded = True

        def exclusive(self, account: str) -> Any:
            if getattr(self, "recorded", False) and not self.positions(account):
                record_fill(
                    self, "other", PAIR, Side.BUY, quantity="0.001", price="50000", at=quiet.newest - HOUR / 2,
                    stop="1", target="999999",
                )  # fmt: skip
            return super().exclusive(account)

    quiet.journal.__class__ = OpensBeforeTheLock

    def notes(question: Question) -> Opinion:
        asked.append(question)
        raise OSError("asked")

    receipt = decided(quiet, technical=notes, quant=notes, analyst=notes)
    assert asked == []
    assert receipt["inputs"]["position"]["quantity"] == "0.001"
    assert (receipt["action"], receipt["intent"]) == ("HOLD", None)
    assert set(receipt["inputs"]["absent"].values()) == {NOT_ASKED}
    assert quiet.replay(receipt).verdict is Verdict.IDENTICAL
