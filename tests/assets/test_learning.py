"""One small fold through Dagster: trained in its own process, tested, judged, scored; then known again."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.features import features
from assets.learning_checks import (
    champions_can_trade,
    evaluations_are_sane,
    policies_are_what_their_manifest_says,
    scores_are_possible,
)
from assets.market import ohlcv_from
from assets.partitions import PAIR_MONTHS
from assets.performance import model_performance
from assets.policies import champion_policy, policy_evaluation, ppo_policy
from ml.learning.policy import WEIGHTS
from ml.learning.promotion import PromotionRules
from ml.learning.registry import PolicyRegistry
from ml.learning.training import TrainingConfig
from tests.assets.running import check_alone, no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryJournal, MemoryNews, MemoryPerformance, MemoryPromotions, MemoryTable
from tests.doubles.streamed import nothing_streamed
from tests.ml.decision.decision_world import COSTS, input_reader, with_market
from tests.ml.decision.trading_day import RULES
from trading.errors import NotStored
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.simulation.market import SimulatedMarket

ohlcv = ohlcv_from(None)
PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H4, "simulated")
MARKET = SimulatedMarket(
    (PAIR,), Timeframe.H4, 5, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 5, 20, tzinfo=UTC)
)
TRAINING = TrainingConfig(
    total_timesteps=2048, environments=16, rollout_steps=32, batch_size=256, epochs=2, learning_rate=0.001, gamma=0.99,
    gae_lambda=0.95, clip_range=0.2, entropy_coefficient=0.01, hidden_sizes=(16,), episode_candles=24, train_months=2,
    embargo_candles=6, seed=1,
)  # fmt: skip
GATE = PromotionRules(
    minimum_folds=2, minimum_coverage=0.5, minimum_trades=0, minimum_excess_return=0.0, minimum_deflated_sharpe=0.5,
    minimum_trials=1,
)  # fmt: skip
FOLD = "2024-05-01|BTC-USDT"
LEARNING = [ppo_policy, policy_evaluation, evaluations_are_sane]


class Harness:
    def __init__(self, folder: Path, rules: PromotionRules) -> None:
        self.candles, self.features = MemoryTable(CANDLE_SCHEMA), MemoryTable(None)
        self.promotions, self.performance = MemoryPromotions(), MemoryPerformance()
        self.policies = PolicyRegistry(folder, self.promotions)
        reader = input_reader(
            folder, self.candles, MemoryJournal(), universe=UNIVERSE, policies=self.policies
        )
        self.resources: dict[str, Any] = {
            "universe": UNIVERSE, "candle_source": MARKET, "candle_store": self.candles, "bus": MemoryEventLog(),
            "arrival": no_arrival, "stream_coverage": nothing_streamed(),
            "feature_store": self.features, "training": TRAINING, "costs": {PAIR: COSTS},
            "policies": self.policies, "promotion": rules, "pipes": dg.PipesSubprocessClient(), "rules": RULES,
            "input_reader": reader, "performance_store": self.performance,
        }  # fmt: skip

    def run(
        self, *assets: Any, key: str | None = None, span: tuple[str, str] | None = None, **resources: Any
    ) -> dg.ExecuteInProcessResult:
        tags = partition_range(*span) if span else {}
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("pair", [PAIR.key])
            return dg.materialize(
                list(assets),
                instance=instance,
                partition_key=key,
                tags=tags,
                resources=self.resources | resources,
            )


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    made = Harness(tmp_path_factory.mktemp("policies"), GATE)
    made.run(ohlcv, features, span=("2024-01-01|BTC-USDT", FOLD))
    made.run(*LEARNING, key=FOLD)
    return made


def test_a_policy_learns_from_the_months_before_and_never_beyond_the_embargo(harness: Harness) -> None:
    manifest = harness.policies.bundle(PAIR, date(2024, 5, 1)).manifest
    assert manifest.training_start == datetime(2024, 3, 1, tzinfo=UTC)
    assert manifest.training_end == datetime(2024, 4, 30, tzinfo=UTC)  # six 4h candles before May
    assert manifest.frames == 2048


def test_the_same_inputs_are_not_trained_on_twice_and_again_forces_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    monkeypatch.setattr("assets.policies.train_in_own_process", lambda *_: trained.append(1))
    harness.run(ppo_policy, key=FOLD)
    assert trained == []
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [PAIR.key])
        config = {"ops": {"ppo_policy": {"config": {"again": True}}}}
        dg.materialize(
            [ppo_policy],
            instance=instance,
            partition_key=FOLD,
            run_config=config,
            resources=harness.resources,
        )
    assert trained == [1]


def test_the_evaluation_reports_policy_and_baselines_with_a_plot(harness: Harness) -> None:
    result = harness.run(policy_evaluation, evaluations_are_sane, key=FOLD)
    [event] = result.asset_materializations_for_node("policy_evaluation")
    assert {"policy_return", "buy_and_hold_return", "sharpe", "maximum_drawdown"} <= set(event.metadata)
    assert "data:image/svg+xml" in event.metadata["equity"].value
    assert [each.passed for each in result.get_asset_check_evaluations()] == [True]


def test_too_few_folds_leave_the_champion_empty_and_say_why(harness: Harness) -> None:
    result = harness.run(champion_policy, key=PAIR.key)
    [event] = result.asset_materializations_for_node("champion_policy")
    assert harness.policies.champion(PAIR) is None
    assert event.metadata["promoted"].value is False
    assert "tested on 1 whole month in a row (2024-05), 2 or more needed" in event.metadata["reasons"].value
    assert event.metadata["trials"].value == 1


def test_without_any_fold_the_gate_says_what_to_materialise(tmp_path: Path) -> None:
    empty = Harness(tmp_path, GATE)
    with pytest.raises(NotStored, match="materialise ppo_policy"):
        empty.run(champion_policy, key=PAIR.key)


def test_every_model_is_scored_and_the_policy_only_in_its_test_month(harness: Harness) -> None:
    harness.run(model_performance, span=("2024-04-29", "2024-05-02"))
    rows = harness.performance.read(date(2024, 4, 29), date(2024, 5, 3))
    april = {row["model"] for row in rows if row["day"].month == 4}
    may = {row["model"] for row in rows if row["day"].month == 5}
    assert april == {"technical", "analyst", "buy_and_hold"}
    assert may - april == {f"ppo {harness.policies.bundle(PAIR, date(2024, 5, 1)).policy_id}"}
    assert all(row["candles"] > 0 for row in rows)


def test_the_scores_of_a_day_are_those_of_its_votes_one_by_one(harness: Harness) -> None:
    """The policy decides candle by candle from the exposure before; the first decision of a day starts flat."""
    day, policy = datetime(2024, 5, 2, tzinfo=UTC), harness.policies.bundle(PAIR, date(2024, 5, 1))
    harness.run(model_performance, span=("2024-05-01", "2024-05-03"))
    rows = harness.features.between(PAIR, day - timedelta(hours=4), day + timedelta(hours=20))
    opens = harness.candles.between(PAIR, day, day + timedelta(days=2))["open"].to_list()
    outcomes = [opens[number + 1] / opens[number] - 1 for number in range(6)]
    exposure, traded, votes = 0.0, 0.0, []
    for row in rows.iter_rows(named=True):
        before, exposure = exposure, policy.act(row, exposure).exposure
        traded += abs(exposure - before)
        votes.append(exposure)
    [stored] = [
        row for row in harness.performance.read(day.date(), date(2024, 5, 3)) if "ppo" in row["model"]
    ]
    assert (stored["candles"], stored["votes"]) == (6, sum(votes))
    earned = sum(vote * outcome for vote, outcome in zip(votes, outcomes, strict=True))
    assert stored["pnl"] == pytest.approx(earned - traded * COSTS.per_side)


def test_news_are_read_once_per_asset_and_not_at_every_candle(harness: Harness) -> None:
    asked: list[str] = []

    class Counting(MemoryNews):
        def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
            asked.append(asset)
            return super().sentiment(asset, start, end)

    reader = with_market(harness.resources["input_reader"], news=Counting())
    harness.run(model_performance, span=("2024-05-01", "2024-05-10"), input_reader=reader)
    assert sorted(asked) == ["BTC", "USDT"]


def test_a_training_process_that_dies_leaves_no_policy_and_says_what_to_do(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading.errors import TrainingFailed

    monkeypatch.setattr("assets.policies.sys.executable", "/bin/false")
    with pytest.raises(TrainingFailed, match="materialise the partition again"):
        harness.run(ppo_policy, key="2024-04-01|BTC-USDT")
    with pytest.raises(NotStored):
        harness.policies.bundle(PAIR, date(2024, 4, 1))


def test_weights_that_are_not_those_of_their_manifest_are_neither_tested_nor_promoted(
    harness: Harness, tmp_path: Path
) -> None:
    """The bundle is damaged in a copy of the registry, after the training and before the evaluation."""
    copy = PolicyRegistry(tmp_path / "policies", harness.promotions)
    shutil.copytree(harness.policies.folder_of_pair(PAIR).parent, tmp_path / "policies")
    [weights] = [path for path in (tmp_path / "policies").rglob("*") if path.name == WEIGHTS]
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    evaluated: list[str] = []

    @dg.asset(deps=[ppo_policy], partitions_def=PAIR_MONTHS)
    def evaluation(context: dg.AssetExecutionContext) -> None:
        evaluated.append(context.partition_key)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pair", [PAIR.key])
        [check] = policies_are_what_their_manifest_says.check_keys
        result = dg.materialize(
            [ppo_policy, policies_are_what_their_manifest_says, evaluation],
            instance=instance,
            selection=dg.AssetSelection.checks(check) | dg.AssetSelection.assets("evaluation"),
            partition_key=FOLD,
            resources=harness.resources | {"policies": copy},
            raise_on_error=False,
        )
    [found] = result.get_asset_check_evaluations()
    assert not found.passed
    assert list(found.metadata["faults"].value) == ["BTC/USDT 2024-05"]
    assert evaluated == []


def checked(harness: Harness, check: Any, asset: Any) -> dg.AssetCheckEvaluation:
    return check_alone(check, [asset], harness.resources)


def test_the_bundle_that_was_trained_is_what_its_manifest_says(harness: Harness) -> None:
    assert checked(harness, policies_are_what_their_manifest_says, ppo_policy).passed


def test_a_champion_whose_bundle_is_lost_fails_its_check(harness: Harness) -> None:
    assert checked(harness, champions_can_trade, champion_policy).passed
    harness.promotions.record(PAIR, "gone", promoted=True, evidence={}, at=datetime(2024, 6, 1, tzinfo=UTC))
    found = checked(harness, champions_can_trade, champion_policy)
    assert not found.passed
    assert "no bundle of policy gone" in str(found.metadata["faults"].value)


def test_a_score_with_more_votes_than_candles_fails_its_check(harness: Harness) -> None:
    harness.run(model_performance, span=("2024-05-01", "2024-05-01"))
    assert checked(harness, scores_are_possible, model_performance).passed
    harness.performance._days[date(2024, 5, 1)][0]["votes"] = 99
    found = checked(harness, scores_are_possible, model_performance)
    assert not found.passed
    assert "more votes than candles" in str(found.metadata["faults"].value)
