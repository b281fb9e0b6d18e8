"""Decisions of several pairs in one run: each keeps its own id, and one that fails leaves the others alone."""

import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import decisions
from assets.decisions import decision
from assets.metadata_numbers import readable
from assets.portfolio import portfolio_snapshots
from ml.decision.clock import ClockReading
from ml.decision.decision_id import decision_id
from ml.decision.inputs import GatheredMarket
from ml.decision.reader import InputReader
from ml.decision.shadow import shadow_account
from ml.decision.valuation import Valuation
from ml.learning.bundle import write_bundle
from tests.assets.running import partition_range
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld, with_pairs, write_by_month
from tests.ml.decision.replay_world import MONTH, random_policy
from tests.ml.decision.trading_day import PAIR, RULES
from trading.account import figures
from trading.errors import NotStored
from trading.market import Pair
from trading.stores.failure_notes import FailureNotes

PAIRS = [PAIR, Pair("ETH", "USDT"), Pair("XRP", "USDT")]
KEYS = [pair.key for pair in PAIRS]
ALL = partition_range(KEYS[0], KEYS[-1])


class ReaderWithoutEth(InputReader):
    def market_inputs(
        self, pair: Pair, clock: ClockReading, valuation: Valuation | None = None
    ) -> GatheredMarket:
        if pair.base == "ETH":
            raise NotStored("no features of ETH/USDT")
        return super().market_inputs(pair, clock, valuation)


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    made = DecisionWorld(tmp_path)
    for pair in PAIRS[1:]:
        write_by_month(made.table, pair, made.all_candles.head(made.all_candles.height - 1))
    made.reader = with_pairs(made.reader, *PAIRS)
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("pair", KEYS)
        yield made


def notes_of(world: DecisionWorld) -> FailureNotes:
    return FailureNotes(world.folder / "failures.jsonl")


def materialise(
    world: DecisionWorld, instance: dg.DagsterInstance, reader: InputReader, **run: Any
) -> dg.ExecuteInProcessResult:
    resources = {
        "input_reader": reader,
        "rules": RULES,
        "journal": world.journal,
        "executor": world.executor,
        "failure_notes": notes_of(world),
    }
    defs = dg.Definitions([decision], resources=resources, jobs=[dg.define_asset_job("decide", [decision])])
    return defs.resolve_job_def("decide").execute_in_process(instance=instance, raise_on_error=False, **run)


def shown(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the decision's id that stands beside each partition."""
    records = instance.fetch_materializations(decision.key, limit=10).records
    return {
        str(record.partition_key): str(record.asset_materialization.metadata["decision_id"].value)
        for record in records
        if record.asset_materialization
    }


def expected_ids(world: DecisionWorld) -> dict[str, str]:
    return {pair.key: decision_id(ACCOUNT.name, pair, world.newest) for pair in PAIRS}


def test_pairs_of_one_run_keep_decisions_of_their_own(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    assert materialise(world, instance, world.reader, tags=ALL).success
    assert shown(instance) == expected_ids(world)


def test_a_decision_shows_its_clock_and_the_numbers_that_are_drawn_over_time(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    materialise(world, instance, world.reader, partition_key=KEYS[0])
    [record] = instance.fetch_materializations(decision.key, limit=1).records
    assert record.asset_materialization is not None
    shown = {name: each.value for name, each in record.asset_materialization.metadata.items()}
    assert datetime.fromtimestamp(shown["decided_at"], UTC) == world.newest
    [receipt] = world.journal.decisions(ACCOUNT.name)
    assert shown["receipt"] == receipt
    assert shown["confidence"] == pytest.approx(receipt["confidence"], rel=1e-3)
    assert shown["size"] == pytest.approx(float(receipt["intent"]["quantity"]), rel=1e-3)
    assert shown["size_share"] == pytest.approx(shown["size"] * shown["price"] / shown["equity"], rel=1e-3)
    assert (shown["candle_age_minutes"], shown["balance_age_candles"]) == (0, 0)
    assert "policy_age_days" not in shown  # no policy voted


def test_a_time_to_come_is_refused_and_leaves_the_newest_candle_its_decision(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    later = {
        "ops": {"decision": {"config": {"as_of": f"{world.newest + timedelta(minutes=1):%Y-%m-%dT%H:%M}"}}}
    }
    result = materialise(world, instance, world.reader, partition_key=KEYS[0], run_config=later)
    assert not result.success
    [failure] = result.get_step_failure_events()
    assert "nothing is known of what comes" in str(failure.step_failure_data.error)
    assert world.journal.decisions(ACCOUNT.name) == []
    assert materialise(world, instance, world.reader, partition_key=KEYS[0]).success
    assert shown(instance)[KEYS[0]] == expected_ids(world)[KEYS[0]]


def run_config(**values: Any) -> dict[str, Any]:
    return {"run_config": {"ops": {"decision": {"config": values}}}}


def on_a_live_market(world: DecisionWorld) -> InputReader:
    return replace(world.reader, clock=lambda: ClockReading(world.newest, "the venue"))


def test_a_past_time_of_an_account_that_trades_now_is_decided_on_in_shadow(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    past = run_config(as_of=f"{world.newest - timedelta(hours=3):%Y-%m-%dT%H:%M}")
    assert materialise(world, instance, on_a_live_market(world), partition_key=KEYS[0], **past).success
    [record] = instance.fetch_materializations(decision.key, limit=1).records
    assert record.asset_materialization is not None
    assert record.asset_materialization.metadata["shadow"].value is True
    assert world.journal.accounts() == []
    assert world.journal.decisions(ACCOUNT.name) == []


def challenger_of(world: DecisionWorld) -> str:
    """A policy of PAIR that has not passed the gate."""
    return write_bundle(world.reader.policies.folder(PAIR, MONTH), *random_policy(1)).name


def test_a_challenger_decides_beside_what_was_carried_out_where_it_is_asked_for(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    beside = shadow_account(ACCOUNT.name, challenger_of(world))
    assert materialise(world, instance, world.reader, partition_key=KEYS[0]).success
    assert world.journal.decisions(beside) == []
    reader = replace(world.reader, challenges=True)
    assert materialise(world, instance, reader, partition_key=KEYS[0]).success
    [receipt] = world.journal.decisions(beside)
    assert (receipt["shadow"], receipt["pair"]) == (True, str(PAIR))
    assert shown(instance)[KEYS[0]] == expected_ids(world)[KEYS[0]]


def test_a_shadow_decision_has_no_challenger_of_its_own(
    world: DecisionWorld, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(decisions, "challenge", lambda *each: asked.append(each))
    reader = replace(world.reader, challenges=True)
    assert materialise(world, instance, reader, partition_key=KEYS[0], **run_config(shadow=True)).success
    assert asked == []
    assert materialise(world, instance, reader, partition_key=KEYS[0]).success
    assert len(asked) == 1


def test_a_challenger_decides_last_and_fails_no_decision(
    world: DecisionWorld, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[tuple[dict[str, str], list[str]]] = []

    def fail(*_: Any) -> None:
        before.append((shown(instance), [each.partition for each in notes_of(world).newest(5)]))
        raise ZeroDivisionError

    monkeypatch.setattr(decisions, "challenge", fail)
    own = {each.name: getattr(world.reader, each.name) for each in fields(world.reader)}
    materialise(world, instance, ReaderWithoutEth(**{**own, "challenges": True}), tags=ALL)
    decided = {key: each for key, each in expected_ids(world).items() if key != KEYS[1]}
    assert before == [(decided, [KEYS[1]])] * len(decided)
    assert shown(instance) == decided


def test_a_run_that_another_pair_has_overtaken_reads_the_clock_again(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    live = on_a_live_market(world)
    assert materialise(world, instance, live, partition_key=KEYS[1]).success  # on the newest candle
    times = chain([world.newest - timedelta(seconds=1)], repeat(world.newest))
    slow = replace(world.reader, clock=lambda: ClockReading(next(times), "the venue"))
    assert materialise(world, instance, slow, partition_key=KEYS[0]).success
    assert shown(instance)[KEYS[0]] == expected_ids(world)[KEYS[0]]


def test_to_carry_out_the_past_on_such_an_account_is_refused(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    past = run_config(as_of=f"{world.newest - timedelta(hours=3):%Y-%m-%dT%H:%M}", shadow=False)
    result = materialise(world, instance, on_a_live_market(world), partition_key=KEYS[0], **past)
    [failure] = result.get_step_failure_events()
    assert "never carried out" in str(failure.step_failure_data.error)
    assert world.journal.accounts() == []


def test_on_history_the_past_is_traded_unless_shadow_is_asked_for(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    as_of = f"{world.newest - timedelta(hours=3):%Y-%m-%dT%H:%M}"
    shadow = run_config(as_of=as_of, shadow=True)
    assert materialise(world, instance, world.reader, partition_key=KEYS[0], **shadow).success
    assert world.journal.accounts() == []
    assert materialise(
        world, instance, world.reader, partition_key=KEYS[0], **run_config(as_of=as_of)
    ).success
    assert world.journal.accounts() == [ACCOUNT.name]


def test_every_decision_adds_the_portfolio_after_it_to_the_plots_of_the_snapshots(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    materialise(world, instance, world.reader, partition_key=KEYS[0])
    [record] = instance.fetch_observations(portfolio_snapshots.key, limit=10).records
    assert record.partition_key == f"{world.newest:%Y-%m-%d}"
    assert record.asset_observation is not None
    numbers = {name: each.value for name, each in record.asset_observation.metadata.items()}
    [stored] = world.journal.snapshots(ACCOUNT.name)
    assert datetime.fromtimestamp(numbers.pop("at"), UTC) == world.newest
    assert numbers == readable(figures(stored))
    assert numbers["equity"] == pytest.approx(2100, abs=5)


def test_a_portfolio_that_cannot_be_valued_leaves_the_decision_and_a_warning(
    world: DecisionWorld, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise NotStored("the disk is full")

    monkeypatch.setattr(world.journal, "save_snapshot", refuse)
    result = materialise(world, instance, world.reader, partition_key=KEYS[0])
    assert result.success
    assert shown(instance)[KEYS[0]] == expected_ids(world)[KEYS[0]]
    warnings = [
        entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == logging.WARNING
    ]
    assert "no portfolio snapshot after this decision: NotStored: the disk is full" in warnings


def test_a_pair_that_fails_leaves_the_decisions_of_the_others(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    reader = ReaderWithoutEth(*(getattr(world.reader, each.name) for each in fields(world.reader)))
    result = materialise(world, instance, reader, tags=ALL)
    assert not result.success
    [failure] = result.get_step_failure_events()
    message = str(failure.step_failure_data.user_failure_data)
    assert "1 of 3 pairs have no decision" in message
    assert "ETH-USDT: NotStored: no features of ETH/USDT" in message
    [note] = notes_of(world).newest(5)  # at once: the sensor of failed runs has not looked
    assert (note.run_id, note.job, note.partition) == (result.run_id, "decide", "ETH-USDT")
    assert note.reason.startswith("NotStored: no features of ETH/USDT")
    expected = expected_ids(world)
    del expected["ETH-USDT"]
    assert shown(instance) == expected


def test_a_single_pair_fails_with_its_own_error(world: DecisionWorld, instance: dg.DagsterInstance) -> None:
    reader = ReaderWithoutEth(*(getattr(world.reader, each.name) for each in fields(world.reader)))
    result = materialise(world, instance, reader, partition_key="ETH-USDT")
    [failure] = result.get_step_failure_events()
    cause = failure.step_failure_data.error and failure.step_failure_data.error.cause
    assert cause
    assert cause.cls_name == "NotStored"


def test_where_the_failure_cannot_be_noted_the_run_fails_with_its_own_error(
    world: DecisionWorld, instance: dg.DagsterInstance
) -> None:
    (world.folder / "failures.lock").mkdir()
    reader = ReaderWithoutEth(*(getattr(world.reader, each.name) for each in fields(world.reader)))
    result = materialise(world, instance, reader, partition_key="ETH-USDT")
    [failure] = result.get_step_failure_events()
    cause = failure.step_failure_data.error and failure.step_failure_data.error.cause
    assert cause
    assert cause.cls_name == "NotStored"
