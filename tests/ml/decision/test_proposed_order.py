"""An order that a person has approved goes the way of every decision: the same rules, ledger and executor."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.agents.opinions import Action
from ml.decision.approved_order import ApprovedOrder, ProposedOrder
from ml.decision.explanation import explain
from ml.decision.proposed_order import OrderedProposal, ProposedOrders
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld, record_intent
from tests.ml.decision.trading_day import PAIR, RULES
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import OrderStatus, Side
from trading.risk import Halt, HaltKind

LONG = ProposedOrder(PAIR, Action.LONG)
OTHER = Pair("XRP", "USDT")


def approved(order: ProposedOrder, identity: str) -> ApprovedOrder:
    return ApprovedOrder(order, identity, "approved by grace", {"plan_id": identity})


class Crash(Exception):
    """The process dies here."""


class Proposing:
    """An account in cash alone whose owner proposes orders."""

    def __init__(self, folder: Path) -> None:
        self.world = DecisionWorld(folder)
        self.journal = self.world.journal
        self.journal.open_account(
            ACCOUNT.name, {"USDT": Decimal(2000), "BTC": Decimal(0)}, self.world.reader.now()
        )

    def orders(self, executor: Any = None) -> ProposedOrders:
        return ProposedOrders(self.world.reader, RULES, self.journal, executor or self.world.executor)

    def judge(self, order: ProposedOrder) -> Any:
        return self.orders().judge(order, self.world.reader.read_clock())

    def carry_out(
        self, order: ProposedOrder, identity: str = "plan-1", executor: Any = None
    ) -> OrderedProposal:
        return self.orders(executor).carry_out(approved(order, identity), self.world.reader.read_clock())


@pytest.fixture
def proposing(tmp_path: Path) -> Proposing:
    return Proposing(tmp_path)


def test_risk_sizes_it_and_it_takes_the_levels_of_a_decision(proposing: Proposing) -> None:
    judged = proposing.judge(LONG)
    assert judged.refusal == ""
    assert judged.quantity == judged.assessment.adjusted_size > 0
    assert judged.order.stop < Decimal(repr(judged.inputs.close)) < judged.order.take_profit
    assert proposing.journal.decisions(ACCOUNT.name) == []


def test_it_may_be_smaller_than_risk_allows_and_never_larger(proposing: Proposing) -> None:
    allowed = proposing.judge(LONG).quantity
    assert proposing.judge(replace(LONG, quantity=allowed / 2)).quantity < allowed
    assert proposing.judge(replace(LONG, quantity=allowed * 100)).quantity == allowed


def test_its_fill_opens_a_position_with_a_stop_and_its_receipt_explains_it(proposing: Proposing) -> None:
    done = proposing.carry_out(LONG)
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    [position] = proposing.journal.positions(ACCOUNT.name)
    assert position.stop_loss is not None
    words = explain(done.receipt, done.order, proposing.journal.fills(ACCOUNT.name))
    assert "approved by grace" in words
    assert all(each["passes"] for each in done.receipt["risk"]["verdicts"])


def test_the_same_plan_again_orders_nothing_more(proposing: Proposing) -> None:
    first, again = proposing.carry_out(LONG), proposing.carry_out(LONG)
    assert again.receipt == first.receipt
    assert len(proposing.journal.fills(ACCOUNT.name)) == 1


def test_a_process_that_dies_before_sending_leaves_an_order_that_the_next_one_sends_once(
    proposing: Proposing,
) -> None:
    class Dying:
        calls = 0

        def carry_out(self, account: str, at: object) -> None:
            self.calls += 1
            if self.calls == 2:
                raise Crash

    with pytest.raises(Crash):
        proposing.carry_out(LONG, executor=Dying())
    assert proposing.journal.fills(ACCOUNT.name) == []
    [working] = proposing.journal.working_orders(ACCOUNT.name)
    assert working.order.status is OrderStatus.INTENDED
    proposing.world.executor.carry_out(ACCOUNT.name, proposing.world.reader.now())
    proposing.carry_out(LONG)
    assert len(proposing.journal.fills(ACCOUNT.name)) == 1


def test_a_halt_that_begins_after_the_plan_refuses_it_in_a_receipt(proposing: Proposing) -> None:
    assert proposing.judge(LONG).refusal == ""
    halt = Halt(HaltKind.KILL_SWITCH, proposing.world.reader.now(), None, "pulled")
    proposing.journal.begin_halts(ACCOUNT.name, [halt])
    done = proposing.carry_out(LONG)
    assert done.order is None
    assert "refused by risk: kill switch" in done.receipt["outcome"]


def test_a_halt_that_is_due_begins_before_an_entry_that_waits_is_sent(proposing: Proposing) -> None:
    world, journal = proposing.world, proposing.journal
    world.with_pairs(PAIR, OTHER)
    record_intent(journal, "waits", OTHER, Side.BUY, "1", world.reader.now(), stop="1")
    journal.raise_peak(ACCOUNT.name, Decimal(10_000))
    done = proposing.carry_out(LONG)
    assert journal.fills(ACCOUNT.name) == []
    assert journal.order("waits").status is OrderStatus.CANCELLED
    assert [each.kind for each in journal.halts(ACCOUNT.name)] == [HaltKind.DRAWDOWN]
    assert done.order is None
    assert "LONG was refused by risk: drawdown: halted since" in done.receipt["outcome"]


def test_nothing_is_sent_where_nobody_can_say_which_halts_are_due(proposing: Proposing) -> None:
    world, journal = proposing.world, proposing.journal
    world.with_pairs(PAIR, OTHER)
    record_intent(journal, "waits", PAIR, Side.BUY, "1", world.reader.now(), stop="1")
    for month in world.table.months(OTHER):
        world.table.write(OTHER, month, world.table.read(OTHER, month).clear())
    with pytest.raises(NotStored):
        proposing.carry_out(LONG)
    assert journal.fills(ACCOUNT.name) == []


@pytest.mark.parametrize(("share", "refused"), [("0.004", False), ("0.006", True)])
def test_a_price_that_has_moved_too_far_refuses_it(proposing: Proposing, share: str, refused: bool) -> None:
    close = Decimal(repr(proposing.judge(LONG).inputs.close))
    order = replace(LONG, planned_at_price=close / (1 + Decimal(share)), price_move=Decimal("0.005"))
    if refused:
        with pytest.raises(InvalidValue, match="has moved by more than"):
            proposing.carry_out(order)
        assert proposing.journal.decisions(ACCOUNT.name) == []
    else:
        assert proposing.carry_out(order).order is not None


@pytest.mark.parametrize("side", [Action.LONG, Action.SHORT])
def test_an_open_position_has_one_entry_and_is_closed_whole(proposing: Proposing, side: Action) -> None:
    proposing.carry_out(LONG)
    with pytest.raises(InvalidValue, match="propose CLOSE first"):
        proposing.carry_out(ProposedOrder(PAIR, side), "plan-2")
    done = proposing.carry_out(ProposedOrder(PAIR, Action.CLOSE), "plan-3")
    assert done.order is not None
    assert proposing.journal.positions(ACCOUNT.name) == []


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (ProposedOrder(PAIR, Action.CLOSE), "nothing to close"),
        (ProposedOrder(PAIR, Action.HOLD), "orders nothing"),
        (replace(LONG, quantity=Decimal("NaN")), "cannot be ordered"),
        (replace(LONG, quantity=Decimal(-1)), "cannot be ordered"),
    ],
)
def test_what_cannot_be_ordered_says_why(proposing: Proposing, order: ProposedOrder, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        proposing.judge(order)


@pytest.mark.parametrize("level", ["0.01", "NaN", "100000000"])
def test_a_stop_that_makes_no_sense_is_refused_by_risk(proposing: Proposing, level: str) -> None:
    judged = proposing.judge(replace(LONG, stop=Decimal(level)))
    assert judged.quantity == 0
    assert judged.refusal


def test_an_account_that_has_not_opened_says_so(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    orders = ProposedOrders(world.reader, RULES, world.journal, world.executor)
    with pytest.raises(NotStored, match="its first decision opens it"):
        orders.judge(LONG, world.reader.read_clock())
