"""The rebalancing agent on a paper account: what it recommends, and what it orders where it may."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.decision.explanation import explain
from ml.decision.rebalancing import REBALANCE, Rebalancer, Rebalancing
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld
from tests.ml.decision.trading_day import LIMITS, PAIR
from trading.orders import OrderKind, OrderStatus, Side
from trading.rebalancing import NoRebalance, RebalanceRecommendation, RebalancingRules
from trading.risk import Halt, HaltKind

RULES = RebalancingRules(
    targets={"USDT": Decimal("0.5"), "BTC": Decimal("0.5")},
    drift=Decimal("0.1"),
    concentration=Decimal("0.8"),
    gain=Decimal("0.2"),
    regime_weight=Decimal("0.5"),
    opportunity=Decimal("0.001"),
    opportunity_share=Decimal("0.1"),
    disagreement=Decimal("0.05"),
    minimum_value=Decimal(10),
    execute=True,
)
ALL_CASH = {"USDT": Decimal(2000), "BTC": Decimal(0)}


class Desired:
    """An account in cash alone that wants half of it in BTC."""

    def __init__(self, world: DecisionWorld, **rules: Any) -> None:
        self.world = world
        self.journal = world.journal
        self.rules = replace(RULES, **rules)
        world.journal.open_account(ACCOUNT.name, ALL_CASH, world.reader.now())

    def run(self) -> Rebalancing:
        reader = self.world.reader
        rebalancer = Rebalancer(reader, self.rules, LIMITS, self.journal, self.world.executor)
        return rebalancer.run(reader.read_clock())


@pytest.fixture
def desired(tmp_path: Path) -> Desired:
    return Desired(DecisionWorld(tmp_path))


def test_without_the_setting_it_only_recommends(tmp_path: Path) -> None:
    desired = Desired(DecisionWorld(tmp_path), execute=False)
    done = desired.run()
    assert isinstance(done.recommendation, RebalanceRecommendation)
    assert (done.recommendation.source_asset, done.recommendation.target_asset) == ("USDT", "BTC")
    assert (done.receipt, done.order) == (None, None)
    assert desired.journal.decisions(ACCOUNT.name) == []


def test_with_the_setting_the_first_trade_is_filled_and_opens_no_position(desired: Desired) -> None:
    done = desired.run()
    assert done.order is not None
    assert done.order.status is OrderStatus.FILLED
    [fill] = desired.journal.fills(ACCOUNT.name)
    assert (fill.pair, fill.side) == (PAIR, Side.BUY)
    assert desired.journal.positions(ACCOUNT.name) == []
    assert desired.journal.fills(ACCOUNT.name, of_positions=True) == []
    balances = desired.journal.balances(ACCOUNT.name)
    assert 950 < fill.quantity * fill.price < 1010
    assert balances["BTC"] == fill.quantity
    working = desired.journal.working_order(done.order.intent_id)
    assert working is not None
    assert working.intent.kind is OrderKind.CONVERSION


def test_the_same_candle_again_orders_nothing_more(desired: Desired) -> None:
    desired.run()
    again = desired.run()
    assert isinstance(again.recommendation, NoRebalance)
    assert len(desired.journal.fills(ACCOUNT.name)) == 1


def test_its_decision_is_explained_like_any_other(desired: Desired) -> None:
    done = desired.run()
    assert done.receipt is not None
    assert done.receipt["action"] == REBALANCE
    assert done.receipt["rebalancing"]["source_asset"] == "USDT"
    words = explain(done.receipt, done.order, desired.journal.fills(ACCOUNT.name))
    assert "USDT is 100.0 % of the portfolio" in words
    assert "guards positions only" in words


def test_a_halt_stops_it_as_it_stops_an_entry(desired: Desired) -> None:
    halt = Halt(HaltKind.KILL_SWITCH, desired.world.reader.now(), None, "pulled")
    desired.journal.begin_halts(ACCOUNT.name, [halt])
    done = desired.run()
    assert done.order is None
    assert done.receipt is not None
    assert "refused by risk: kill switch" in done.receipt["outcome"]
    assert desired.journal.fills(ACCOUNT.name) == []


def test_a_conversion_that_waits_is_not_doubled(tmp_path: Path) -> None:
    desired = Desired(DecisionWorld(tmp_path, hidden=0))  # the venue has no next price yet
    first = desired.run()
    assert first.order is not None
    assert first.order.status is OrderStatus.ACKNOWLEDGED
    second = desired.run()
    assert isinstance(second.recommendation, NoRebalance)
    assert "acknowledged" in second.recommendation.reason
    assert len(desired.journal.working_orders(ACCOUNT.name)) == 1


def test_what_a_position_needs_is_not_sold(tmp_path: Path) -> None:
    """The technical agent buys BTC with a stop; the rebalancing sees all of it as reserved."""
    world = DecisionWorld(tmp_path, hidden=1)
    world.execute()
    [position] = world.journal.positions(ACCOUNT.name)
    rules = replace(RULES, targets={"USDT": Decimal(1), "BTC": Decimal(0)}, concentration=Decimal(1))
    done = Rebalancer(world.reader, rules, LIMITS, world.journal, world.executor).run(
        world.reader.read_clock()
    )
    assert isinstance(done.recommendation, RebalanceRecommendation)
    left = world.journal.balances(ACCOUNT.name)["BTC"]
    assert left >= position.quantity


def test_assets_without_a_price_are_named_and_left_alone(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    dust = {**ALL_CASH, "BTC.F": Decimal("0.0001"), "EUR": Decimal("0.01")}
    world.journal.open_account(ACCOUNT.name, dust, world.reader.now())
    done = Rebalancer(world.reader, RULES, LIMITS, world.journal, world.executor).run(
        world.reader.read_clock()
    )
    assert done.left_out == ("BTC.F", "EUR")
    assert done.order is not None


def test_the_next_time_gains_are_counted_from_the_last_rebalancing(desired: Desired) -> None:
    done = desired.run()
    assert done.receipt is not None
    newest = desired.journal.newest_decision(ACCOUNT.name, REBALANCE)
    assert newest is not None
    assert newest["rebalancing"]["prices"] == {
        "BTC/USDT": str(done.receipt["rebalancing"]["prices"]["BTC/USDT"])
    }


def test_an_account_that_has_not_opened_has_nothing_to_rebalance(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    done = Rebalancer(world.reader, RULES, LIMITS, world.journal, world.executor).run(
        world.reader.read_clock()
    )
    assert isinstance(done.recommendation, NoRebalance)
    assert "has not opened" in done.recommendation.reason
