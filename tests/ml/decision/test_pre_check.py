"""Where risk refuses every entry nobody is asked, the receipt names the rule, and a position can still be left."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.agents.hearing import Hearing
from ml.agents.opinions import Opinion
from ml.agents.panel import AGENTS, Question
from ml.decision.clock import ClockReading, chosen_time
from ml.decision.execute import NOT_ASKED, execute_decision
from ml.decision.explanation import explain
from ml.decision.replay import Verdict
from ml.decision.shadow import shadow_decision
from tests.ml.decision.decision_world import ACCOUNT, record_fill, record_intent, with_market
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR, RULES
from trading.execution import Execution
from trading.market import PairStatus
from trading.orders import Side
from trading.ports.market_data import SeenBook
from trading.risk import Halt, HaltKind, LivePermit, Resume

HOUR = timedelta(hours=1)


class Panel(Hearing):
    """The agents, and who of them was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__({name: self._noting(name) for name in AGENTS})

    def _noting(self, name: str) -> Callable[[Question], Opinion]:
        def answer(question: Question) -> Opinion:
            self.asked.append(name)
            return AGENTS[name](question)

        return answer


@pytest.fixture
def panel() -> Panel:
    return Panel()


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    """A rising market, in which every candle leads to an entry."""
    made = ReplayWorld(tmp_path)
    made.reader.account.ensure_open(made.newest - 9 * HOUR)
    return made


def decided(world: ReplayWorld, panel: Panel, clock: ClockReading | None = None) -> dict[str, Any]:
    done = execute_decision(
        PAIR, clock or world.reader.read_clock(), world.reader, RULES, world.journal, world.executor, panel
    )
    stored: dict[str, Any] = json.loads(json.dumps(done.receipt))
    return stored


def kill(world: ReplayWorld) -> None:
    world.journal.begin_halts(
        ACCOUNT.name, [Halt(HaltKind.KILL_SWITCH, world.newest - HOUR, None, "pulled by ada")]
    )


def lose(world: ReplayWorld) -> None:
    world.journal.raise_peak(ACCOUNT.name, world.reader.account.snapshot(world.newest)["equity"] * 2)


def age_candle(world: ReplayWorld) -> None:
    late = ClockReading(world.newest + 5 * HOUR, "a test")
    world.reader = replace(world.reader, clock=lambda: late)


def lose_sight_of_book(world: ReplayWorld) -> None:
    book = SeenBook(99.0, 101.0, world.newest - HOUR, 60.0)
    world.reader = with_market(world.reader, newest_book=lambda pair: book)


def restrict_pair(world: ReplayWorld) -> None:
    known = world.reader.instrument
    world.reader = replace(
        world.reader, instrument=lambda pair: replace(known(pair), status=PairStatus.CANCEL_ONLY)
    )


def forbid_real_money(world: ReplayWorld) -> None:
    permit = LivePermit(is_live=True, holds=(), missing=("no doctor has looked",))
    account = replace(world.reader.account, permit=lambda pair: permit)
    world.reader = replace(world.reader, account=account)


REFUSALS = {
    "kill switch": kill,
    "drawdown": lose,
    "candle age": age_candle,
    "book age": lose_sight_of_book,
    "status": restrict_pair,
    "live permit": forbid_real_money,
}


@pytest.mark.parametrize("rule", REFUSALS)
def test_nobody_is_asked_and_the_receipt_names_the_rule(world: ReplayWorld, panel: Panel, rule: str) -> None:
    REFUSALS[rule](world)
    receipt = decided(world, panel)
    assert panel.asked == []
    assert receipt["outcome"].startswith(f"no order: skipped, risk refuses every entry: {rule}: ")
    assert receipt["risk"]["rejection_reason"].startswith(f"{rule}: ")
    assert not receipt["risk"]["approved"]
    assert (receipt["action"], receipt["proposal"], receipt["intent"]) == ("HOLD", None, None)


@pytest.mark.parametrize("rule", REFUSALS)
def test_the_skip_is_replayed_to_the_byte(world: ReplayWorld, panel: Panel, rule: str) -> None:
    REFUSALS[rule](world)
    assert world.replay(decided(world, panel)).verdict is Verdict.IDENTICAL


def test_every_other_agent_is_in_the_receipt_as_not_asked_because_of_the_rule(
    world: ReplayWorld, panel: Panel
) -> None:
    kill(world)
    technical, *others = decided(world, panel)["opinions"]
    assert (technical["agent"], technical["action"]) == ("technical", "LONG")
    assert {each["agent"] for each in others} == set(AGENTS) - {"technical"}
    assert {each["action"] for each in others} == {None}
    for each in others:
        assert each["reasoning"].startswith(
            "was not asked, risk refuses every entry: kill switch: halted since"
        )


def test_the_explanation_shows_the_rule_and_that_nobody_was_asked(world: ReplayWorld, panel: Panel) -> None:
    kill(world)
    text = explain(decided(world, panel), None)
    assert "Risk, before anybody was asked" in text
    assert "NO kill switch" in text
    assert "pulled by ada" in text.splitlines()[0]


def test_without_a_refusal_everybody_is_asked_and_the_entry_is_made(world: ReplayWorld, panel: Panel) -> None:
    receipt = decided(world, panel)
    assert sorted(panel.asked) == sorted(AGENTS)
    assert receipt["intent"]


def hold(world: ReplayWorld, target: str) -> None:
    """A position of two hours ago."""
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=world.newest - 2 * HOUR,
        stop="1", target=target,
    )  # fmt: skip


def test_a_position_whose_target_was_hit_is_closed_while_the_account_is_halted(
    world: ReplayWorld, panel: Panel
) -> None:
    hold(world, target="2")
    kill(world)
    receipt = decided(world, panel)
    assert (receipt["action"], receipt["why"].partition(" ")[0]) == ("CLOSE", "take-profit")
    assert world.journal.positions(ACCOUNT.name) == []


def test_what_is_held_is_voted_on_while_the_account_is_halted(world: ReplayWorld, panel: Panel) -> None:
    hold(world, target="999999")
    kill(world)
    assert "skipped" not in decided(world, panel)["outcome"]
    assert sorted(panel.asked) == sorted(AGENTS)


def test_an_entry_that_is_still_to_be_filled_is_voted_on(world: ReplayWorld, panel: Panel) -> None:
    record_intent(world.journal, "waiting", PAIR, Side.BUY, quantity="0.001", at=world.newest)
    kill(world)

    class Idle:
        def carry_out(self, account: str, at: Any) -> Any:
            return Execution()

    world.executor = Idle()
    decided(world, panel)
    assert sorted(panel.asked) == sorted(AGENTS)


def test_a_shadow_decision_asks_nobody_either(world: ReplayWorld, panel: Panel) -> None:
    kill(world)
    clock = ClockReading(world.newest, "the venue")
    receipt = shadow_decision(PAIR, clock, world.reader, RULES, world.journal, world.champion, panel).receipt
    assert panel.asked == []
    assert "risk refuses every entry: kill switch" in receipt["outcome"]


def test_a_halt_that_a_person_ends_before_the_lock_leaves_nobody_asked_and_no_order(
    world: ReplayWorld, panel: Panel
) -> None:
    """Nobody was asked while the account was halted, and nobody is waited for once it is locked."""
    kill(world)

    class ResumesBeforeTheLock(type(world.journal)):  # type: ignore[misc]
        def store_inputs(self, contents: Any) -> None:
            super().store_inputs(contents)
            self.recorded = True

        def exclusive(self, account: str) -> Any:
            if getattr(self, "recorded", False):
                self.recorded = False
                self.resume(account, Resume(world.newest, "ada", "checked"), Decimal(0), None)
            return super().exclusive(account)

    world.journal.__class__ = ResumesBeforeTheLock
    receipt = decided(world, panel, chosen_time(world.newest))
    assert panel.asked == []
    assert set(receipt["inputs"]["absent"].values()) == {NOT_ASKED}
    assert receipt["intent"] is None
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
