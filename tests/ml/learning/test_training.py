import tempfile
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from ml.learning.evaluation import evaluate
from ml.learning.training import Progress, TrainingConfig, TrainingData, proximal_policy_optimisation, train
from ml.learning.vector_env import BatchedTradingEnv
from tests.ml.learning.folds_of_candles import COSTS, NAMES, TINY, data, market, policy, table
from trading.errors import InvalidValue


def test_the_same_rows_settings_and_seed_give_the_same_weights_and_curve() -> None:
    first, again, other = (train(data(), replace(TINY, seed=seed), lambda _: None) for seed in (3, 3, 4))
    same = [np.array_equal(a, b) for (a, _), (b, _) in zip(first.layers, again.layers, strict=True)]
    assert all(same)
    assert first.reward_curve == again.reward_curve
    assert not np.array_equal(first.layers[0][0], other.layers[0][0])


def test_progress_is_reported_after_every_rollout_and_its_rewards_are_the_curve() -> None:
    reports: list[Progress] = []
    trained = train(data(), TINY, reports.append)
    assert [progress.frames for progress in reports] == [256, 512]
    assert tuple(progress.mean_reward for progress in reports) == trained.reward_curve
    assert trained.frames == TINY.frames == 512


def test_a_training_leaves_nothing_in_the_folder_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    train(data(), TINY, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_progress_callback_ends_the_training() -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data(), TINY, stop)


def test_values_start_at_zero_so_that_their_noise_hides_no_advantage() -> None:
    algorithm = proximal_policy_optimisation(BatchedTradingEnv(market(), 4, 1), TINY)
    seen = torch.as_tensor(market().observations[:50])
    assert not algorithm.policy.predict_values(seen).any()


def test_where_a_feature_predicts_the_return_the_policy_beats_holding_out_of_sample(tmp_path: Path) -> None:
    config = replace(TINY, total_timesteps=24_000, environments=16, batch_size=512, epochs=6)
    result = evaluate(policy(tmp_path, config), table(), table(), COSTS)
    assert result.policy.total_return > result.buy_and_hold.total_return + 0.5
    assert result.policy.total_return > 0.5


def test_rows_in_warm_up_are_left_out_and_counted() -> None:
    rows = (
        table()
        .head(100)
        .with_columns(
            noise=pl.when(pl.int_range(pl.len()) >= 10).then(pl.col("noise")),
            signal=pl.when(pl.int_range(pl.len()) == 50).then(float("nan")).otherwise(pl.col("signal")),
        )
    )
    known = TrainingData.of(rows, NAMES, COSTS)
    assert (len(known.features), known.dropped_rows) == (89, 11)
    assert known.start == table()["open_time"][10]


def test_other_rows_have_another_digest() -> None:
    rows = table().head(100)
    changed = rows.with_columns(open=pl.col("open") * 1.0000001)
    digests = [TrainingData.of(part, NAMES, COSTS).digest() for part in (rows, rows, changed)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 1),  # the deviation of one advantage is NaN
        ("batch_size", 100),
        ("batch_size", 512),
        ("total_timesteps", 255),
        ("environments", 0),
        ("rollout_steps", 0),
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("gamma", 1.1),
        ("gae_lambda", -0.1),
        ("clip_range", 0.0),
        ("entropy_coefficient", float("inf")),
        ("hidden_sizes", ()),
        ("hidden_sizes", (64, 0)),
        ("episode_candles", 0),
        ("train_months", 0),
        ("embargo_candles", -1),
        ("seed", -1),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, value: Any) -> None:
    # A rollout that became another one may be refused for the batch that no longer divides it.
    with pytest.raises(InvalidValue, match=f"{name} is|batch_size is"):
        replace(TINY, **{name: value})


def test_the_settings_that_come_with_the_project_are_possible() -> None:
    settings = tomllib.loads((Path(__file__).parents[3] / "marketloom.toml").read_text(encoding="utf-8"))
    policy_settings = settings["policy"]
    config = TrainingConfig(**{**policy_settings, "hidden_sizes": tuple(policy_settings["hidden_sizes"])})
    assert config.frames >= config.total_timesteps
