"""An order that a person has approved is judged again from its receipt, to the byte."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.agents.opinions import Action
from ml.decision.approved_order import ApprovedOrder, ProposedOrder
from ml.decision.decision_bundle import PolicyFiles, verify_bundle, write_bundle
from ml.decision.proposed_order import ProposedOrders
from ml.decision.receipt import Scope
from ml.decision.replay import Verdict
from ml.learning.policy import MANIFEST, WEIGHTS
from tests.ml.decision.decision_world import ACCOUNT
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES
from trading.ports import ARTICLE_SCHEMA
from trading.risk import Halt, HaltKind

LONG = ProposedOrder(PAIR, Action.LONG)
BY_GRACE = {"plan_id": "p", "approved_by": "grace"}
CASH = {"USDT": Decimal(2000), "BTC": Decimal(0)}


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    world = ReplayWorld(tmp_path)
    world.journal.open_account(ACCOUNT.name, CASH, world.reader.now())
    return world


def carried_out(world: ReplayWorld, order: ProposedOrder, identity: str = "plan-1") -> dict[str, Any]:
    """Carry the order out; returns its receipt as it comes back from a store."""
    orders = ProposedOrders(world.reader, RULES, world.journal, world.executor)
    approved = ApprovedOrder(order, identity, "approved by grace", BY_GRACE)
    receipt = orders.carry_out(approved, world.reader.read_clock()).receipt
    read: dict[str, Any] = json.loads(json.dumps(receipt))
    return read


def open_and_close(world: ReplayWorld) -> dict[str, Any]:
    carried_out(world, LONG)
    receipt = carried_out(world, ProposedOrder(PAIR, Action.CLOSE), "plan-2")
    assert receipt["intent"]["reduces"]
    return receipt


def refused(world: ReplayWorld) -> dict[str, Any]:
    halt = Halt(HaltKind.KILL_SWITCH, world.reader.now(), None, "pulled")
    world.journal.begin_halts(ACCOUNT.name, [halt])
    receipt = carried_out(world, LONG)
    assert receipt["intent"] is None
    return receipt


def levels_of_a_person(world: ReplayWorld) -> dict[str, Any]:
    close = Decimal(str(world.table.tail(PAIR, world.newest, 1)["close"][0]))
    order = replace(
        LONG, quantity=Decimal("0.00200"), stop=close * Decimal("0.99"), take_profit=close * Decimal("1.03"),
        planned_at_price=close, price_move=Decimal("0.005"),
    )  # fmt: skip
    receipt = carried_out(world, order)
    assert receipt["intent"]["quantity"] == "0.00200"
    return receipt


def less_than_the_venue_takes(world: ReplayWorld) -> dict[str, Any]:
    receipt = carried_out(world, replace(LONG, quantity=Decimal("0.00000001")))
    assert "less than the venue takes" in receipt["outcome"]
    return receipt


@pytest.mark.parametrize(
    "made",
    [
        lambda world: carried_out(world, LONG),
        open_and_close,
        refused,
        levels_of_a_person,
        less_than_the_venue_takes,
    ],
    ids=["entry", "close", "refused", "levels", "small"],
)
def test_it_is_identical(world: ReplayWorld, made: Callable[[ReplayWorld], dict[str, Any]]) -> None:
    receipt = made(world)
    assert receipt["scope"] == Scope.PROPOSED
    replay = world.replay(receipt)
    assert (replay.verdict, replay.reproduced, replay.difference) == (Verdict.IDENTICAL, True, None)


def test_an_input_that_is_another_one_now_is_named(world: ReplayWorld) -> None:
    receipt = carried_out(world, LONG)
    world.restate(PAIR, 3, high=1e6)
    restated = world.replay(receipt)
    assert (restated.verdict, restated.reproduced) == (Verdict.INPUT_DIFFERS, True)
    assert "high" in str(restated.difference)


def test_a_setting_that_is_another_one_now_is_named(world: ReplayWorld) -> None:
    receipt = carried_out(world, LONG)
    other = replace(RULES, limits=replace(LIMITS, position_cap=LIMITS.position_cap / 2))
    assert "position_cap" in str(world.replay(receipt, rules=other).difference)


@pytest.mark.parametrize(
    "edit",
    [
        lambda proposed: proposed["order"].update(quantity="0.001"),
        lambda proposed: proposed["approval"].update(approved_by="mallory"),
        lambda proposed: proposed.update(why="nobody was asked"),
    ],
)
def test_an_approval_that_was_edited_is_noticed(
    world: ReplayWorld, edit: Callable[[dict[str, Any]], None]
) -> None:
    receipt = carried_out(world, LONG)
    edit(receipt["proposed"])
    replay = world.replay(receipt)
    assert replay.verdict is Verdict.INPUT_DIFFERS
    assert "was edited" in str(replay.difference)


def test_another_order_than_the_approved_one_is_noticed(world: ReplayWorld) -> None:
    receipt = carried_out(world, LONG)
    receipt["intent"]["quantity"] = "9"
    replay = world.replay(receipt)
    assert (replay.verdict, replay.reproduced) == (Verdict.DECISION_DIFFERS, False)
    assert "quantity" in str(replay.difference)


def test_a_receipt_of_before_the_approval_was_recorded_says_so(world: ReplayWorld) -> None:
    receipt = carried_out(world, LONG)
    receipt["proposed"] = BY_GRACE
    assert world.replay(receipt).verdict is Verdict.NOT_REPLAYABLE


def test_a_stranger_judges_it_again_from_one_file(world: ReplayWorld, tmp_path: Path) -> None:
    receipt = carried_out(world, LONG)
    folder, path = world.policies.folder_of_policy(PAIR, world.champion), tmp_path / "order.jsonl"
    files = PolicyFiles((folder / MANIFEST).read_bytes(), (folder / WEIGHTS).read_bytes())
    write_bundle(path, receipt, world.journal.inputs, files, pl.DataFrame(schema=ARTICLE_SCHEMA))
    assert verify_bundle(path)[0].verdict is Verdict.IDENTICAL
