"""The account halts, and asks a person, after too many failures in a row; the refusal that follows is recorded."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.agents.hearing import Hearing
from ml.agents.opinions import Opinion
from ml.agents.panel import AGENTS, Question
from ml.decision.clock import chosen_time
from ml.decision.execute import ExecutedDecision, execute_decision
from tests.ml.decision.decision_world import ACCOUNT, record_intent
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES
from trading.errors import InvalidValue, StoreUnreachable
from trading.orders import Order, OrderStatus, Side
from trading.risk import HaltKind, Resume

LIMIT, HOUR = 3, timedelta(hours=1)
THREE = replace(RULES, limits=replace(LIMITS, failures_in_a_row=LIMIT))


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    made = ReplayWorld(tmp_path)
    made.reader.account.ensure_open(made.newest - 12 * HOUR)
    return made


def decide(world: ReplayWorld, hours_ago: int, reader: Any = None, **agents: Any) -> ExecutedDecision:
    clock = chosen_time(world.newest - hours_ago * HOUR)
    panel = Hearing({**AGENTS, **agents})
    return execute_decision(PAIR, clock, reader or world.reader, THREE, world.journal, world.executor, panel)


def failing(world: ReplayWorld) -> Any:
    """Readers whose news store does not answer."""
    reader = world.reader

    def gone(*_: object) -> Any:
        raise StoreUnreachable("the news do not answer")

    news = type("Gone", (), {"sentiment": staticmethod(gone)})()
    return replace(reader, account=replace(reader.account, market=replace(reader.market, news=news)))


def fail(world: ReplayWorld, hours_ago: int) -> None:
    with pytest.raises(StoreUnreachable):
        decide(world, hours_ago, failing(world))


def halts(world: ReplayWorld) -> list[HaltKind]:
    return [each.kind for each in world.journal.halts(ACCOUNT.name) if each.needs_resume]


def raises(_: Question) -> Opinion:
    raise ValueError("no JSON")


def test_so_many_failed_decisions_in_a_row_halt_the_account_with_the_last_error(world: ReplayWorld) -> None:
    for hours in (9, 8):
        fail(world, hours)
    assert halts(world) == []
    fail(world, 7)
    [halt] = world.journal.halts(ACCOUNT.name)
    assert halt.kind is HaltKind.FAILURES
    assert halt.reason == (
        "3 decisions in a row failed (limit 3), the last one with StoreUnreachable: the news do not answer"
    )


def test_the_entry_after_it_is_refused_by_name_and_recorded(world: ReplayWorld) -> None:
    for hours in (9, 8, 7):
        fail(world, hours)
    receipt = decide(world, 0).receipt
    assert receipt["risk"]["rejection_reason"].startswith("failures")
    assert receipt["intent"] is None


def test_a_decision_between_them_begins_the_count_again(world: ReplayWorld) -> None:
    for hours in (9, 8):
        fail(world, hours)
    decide(world, 7)
    for hours in (6, 5):
        fail(world, hours)
    assert halts(world) == []


def test_after_a_person_has_resumed_one_failure_does_not_halt_again(world: ReplayWorld) -> None:
    for hours in (9, 8, 7):
        fail(world, hours)
    world.journal.resume(ACCOUNT.name, Resume(world.newest, "ada", "the server is back"), Decimal(0), None)
    fail(world, 6)
    assert halts(world) == []


def test_a_decision_of_the_past_that_is_refused_counts_for_nothing(world: ReplayWorld) -> None:
    decide(world, 0)
    for _ in range(LIMIT + 1):
        with pytest.raises(InvalidValue, match="cannot decide as of"):
            decide(world, 5)
    assert halts(world) == []


def test_so_many_decisions_without_an_agents_answer_halt_the_account(world: ReplayWorld) -> None:
    for hours in (9, 8):
        decide(world, hours, analyst=raises)
    assert halts(world) == []
    decide(world, 7, analyst=raises)
    [halt] = world.journal.halts(ACCOUNT.name)
    assert halt.kind is HaltKind.FAILURES
    assert "analyst failed: ValueError: no JSON" in halt.reason


def test_an_answer_between_them_begins_that_count_again(world: ReplayWorld) -> None:
    for hours, agents in ((9, {"quant": raises}), (8, {"quant": raises}), (7, {}), (6, {"quant": raises})):
        assert decide(world, hours, **agents).receipt["answers_ms"]  # they were asked
    assert halts(world) == []


def reject(world: ReplayWorld, number: int) -> None:
    finish(world, f"order-{number}", OrderStatus.REJECTED, 11 - number)


def finish(world: ReplayWorld, name: str, status: OrderStatus, hours_ago: int) -> None:
    at = world.newest - hours_ago * HOUR
    record_intent(world.journal, name, PAIR, Side.BUY, quantity="0.001", at=at)
    lease = world.journal.acquire_lease(ACCOUNT.name, name, 60)
    assert lease is not None
    world.journal.mark_sent(name, lease, at, at, at + HOUR)
    world.journal.record_order(Order(name, status, "EOrder:Insufficient funds", at, attempt=1), [])
    world.journal.release_lease(lease)


def test_so_many_rejected_orders_in_a_row_halt_the_account_before_the_next_entry(world: ReplayWorld) -> None:
    for number in range(1, LIMIT + 1):
        reject(world, number)
    receipt = decide(world, 0).receipt
    assert halts(world) == [HaltKind.FAILURES]
    assert "the venue rejected 3 orders in a row (limit 3)" in receipt["risk"]["rejection_reason"]


def test_an_order_that_the_venue_took_begins_the_count_of_rejects_again(world: ReplayWorld) -> None:
    reject(world, 1)
    reject(world, 2)
    finish(world, "taken", OrderStatus.CANCELLED, 8)
    reject(world, 4)
    decide(world, 0)
    assert halts(world) == []


def test_rejects_from_before_a_halt_do_not_halt_again_after_a_person_has_resumed(world: ReplayWorld) -> None:
    for number in range(1, LIMIT + 1):
        reject(world, number)
    decide(world, 1)
    world.journal.resume(ACCOUNT.name, Resume(world.newest, "ada", "the money is there"), Decimal(0), None)
    decide(world, 0)
    assert halts(world) == []
