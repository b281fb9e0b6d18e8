"""Checks of decisions, snapshots and the newest candle: each fails on data that somebody damaged."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.decisions import decision
from assets.market import ohlcv_from
from assets.portfolio import portfolio_snapshots
from assets.trading_checks import decisions_explain_their_orders, newest_candles_are_fresh, snapshots_add_up
from ml.decision.clock import ClockReading
from tests.assets.running import check_alone
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld, with_pairs
from tests.ml.decision.trading_day import PAIR, RULES
from trading.market import Pair


def evaluate(world: DecisionWorld, check: Any, asset: Any) -> dg.AssetCheckEvaluation:
    resources = {
        "input_reader": world.reader,
        "market_reader": world.reader.market,
        "clock": world.reader.read_clock,
        "rules": RULES,
        "journal": world.journal,
        "universe": world.reader.market.universe,
        "candle_store": world.table,
        "candle_source": None,
        "stream_coverage": None,
        "bus": None,
        "arrival": None,
        "executor": world.executor,
        "failure_notes": None,
    }
    return check_alone(check, [asset], resources)


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    made = DecisionWorld(tmp_path)
    done = made.execute()
    assert done.order is not None
    return made


def decisions(world: DecisionWorld) -> dg.AssetCheckEvaluation:
    return evaluate(world, decisions_explain_their_orders, decision)


def damage(world: DecisionWorld, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the stored receipt as an editor of the database could."""
    stored = world.journal._state.decisions
    [(identity, text)] = stored.items()
    receipt = json.loads(text)
    change(receipt)
    stored[identity] = json.dumps(receipt)


def test_a_decision_as_it_was_written_passes(world: DecisionWorld) -> None:
    assert decisions(world).passed


def test_a_changed_feature_in_a_receipt_fails_the_check(world: DecisionWorld) -> None:
    damage(world, lambda receipt: receipt["inputs"]["features"].update(rsi_14=1.0))
    assert "the features are not those of their digest" in str(decisions(world).metadata["faults"].value)


def test_an_order_that_risk_did_not_approve_fails_the_check(world: DecisionWorld) -> None:
    damage(world, lambda receipt: receipt["risk"].update(approved=False))
    assert "an order without the approval of risk" in str(decisions(world).metadata["faults"].value)


def test_an_order_that_was_filled_beyond_its_intent_fails_the_check(world: DecisionWorld) -> None:
    stored = world.journal._state.fills
    [(name, fill)] = stored.items()
    stored[name] = replace(fill, quantity=fill.quantity * 2)
    assert "filled beyond its intent" in str(decisions(world).metadata["faults"].value)


def snapshots(world: DecisionWorld) -> dg.AssetCheckEvaluation:
    return evaluate(world, snapshots_add_up, portfolio_snapshots)


def test_a_snapshot_adds_up(world: DecisionWorld) -> None:
    snapshot, _ = world.reader.account.results(world.newest)
    world.journal.save_snapshot(ACCOUNT.name, world.newest, snapshot)
    assert snapshots(world).passed


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"peak_equity": Decimal(1)}, "the peak is below the equity"),
        ({"allocation": {"USDT": 0.4}}, "shares do not add up to one"),
        ({"fees": Decimal(3)}, "profit is not what it is made of"),
        ({"revaluation": Decimal(3)}, "equity is not the sum of its parts"),
    ],
)
def test_a_snapshot_that_does_not_add_up_fails_the_check(
    world: DecisionWorld, change: dict[str, Any], fault: str
) -> None:
    stored, _ = world.reader.account.results(world.newest)
    world.journal.save_snapshot(ACCOUNT.name, world.newest, stored | change)
    assert fault in str(snapshots(world).metadata["faults"].value)


def newest(world: DecisionWorld) -> dg.AssetCheckEvaluation:
    return evaluate(world, newest_candles_are_fresh, ohlcv_from(None))


def test_a_dataset_that_has_ended_stays_fresh(world: DecisionWorld) -> None:
    assert newest(world).passed


def test_a_live_market_whose_newest_candle_is_too_old_warns(world: DecisionWorld) -> None:
    limit = RULES.limits.candle_age * world.reader.market.universe.timeframe.duration
    for late, passed in ((limit, True), (limit + timedelta(seconds=1), False)):
        now = ClockReading(world.newest + late, "a test")
        world.reader = replace(world.reader, clock=lambda now=now: now)
        assert newest(world).passed is passed


def test_a_pair_without_a_candle_warns_although_the_others_have_theirs(world: DecisionWorld) -> None:
    world.reader = with_pairs(world.reader, PAIR, Pair("ETH", "USDT"))
    found = newest(world)
    assert not found.passed
    assert found.metadata["late"].value == {"ETH/USDT": "no candle is stored"}
