"""Markets, settings and policies for the tests of learning."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from ml.learning.bundle import write_bundle
from ml.learning.env import EpisodeMarket
from ml.learning.folds import build_fold
from ml.learning.manifest import Manifest
from ml.learning.observation import Normaliser
from ml.learning.policy import Layers, Policy, load_bundle
from ml.learning.training import TrainedPolicy, TrainingConfig, TrainingData, train
from ml.learning.training_job import build_manifest
from ml.learning.training_request import TrainingRequest
from trading.fills import Costs
from trading.market import TIME, Pair, Timeframe

NAMES = ("signal", "noise")
PAIR = Pair("BTC", "USDT")
COSTS = Costs(0.001, 0.0001, 0.0002)
JANUARY, MARCH = date(2021, 1, 1), date(2021, 3, 1)

TINY = TrainingConfig(
    total_timesteps=512,
    environments=4,
    rollout_steps=64,
    batch_size=128,
    epochs=2,
    learning_rate=0.003,
    gamma=0.9,
    gae_lambda=0.9,
    clip_range=0.2,
    entropy_coefficient=0.0,
    hidden_sizes=(16, 8),
    episode_candles=48,
    train_months=2,
    embargo_candles=24,
    seed=3,
)


@cache
def table() -> pl.DataFrame:
    """Three months of hours whose `signal` predicts the return from the next open to the one after it."""
    rows = (31 + 28 + 31) * 24
    random = np.random.default_rng(11)
    returns = random.choice([-0.01, 0.01], size=rows + 2)
    opens = 100 * np.cumprod(np.append(1.0, 1 + returns))[:rows]
    times = [datetime(2021, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(rows)]
    frame = pl.DataFrame(
        {
            "open_time": pl.Series(times, dtype=TIME),
            "open": opens,
            "close": opens * (1 + returns[:rows]),
            "signal": np.sign(returns[1 : rows + 1]),
            "noise": random.normal(size=rows),
        }
    )
    return frame.with_columns(close_time=pl.col("open_time") + timedelta(hours=1))


@cache
def data() -> TrainingData:
    return TrainingData.of(request().fold.training_rows(table()), NAMES, COSTS)


@cache
def market(episode_candles: int = 48) -> EpisodeMarket:
    rows = data()
    normaliser = Normaliser.fit(rows.features, NAMES)
    return EpisodeMarket.of(rows.features, rows.opens, rows.closes, COSTS, normaliser, episode_candles)


def request(
    config: TrainingConfig = TINY, tables: tuple[Path, ...] = (), output: Path = Path()
) -> TrainingRequest:
    months = [JANUARY, date(2021, 2, 1)]
    cut = build_fold(MARCH, months, config.train_months, config.embargo_candles, Timeframe.H1)
    return TrainingRequest(tables, NAMES, PAIR, Timeframe.H1, "simulated-1h", cut, COSTS, config, output)


@cache
def trained(config: TrainingConfig = TINY) -> TrainedPolicy:
    return train(data(), config, lambda progress: None)


def manifest_and_layers(config: TrainingConfig = TINY) -> tuple[Manifest, Layers]:
    return build_manifest(request(config), data(), trained(config)), trained(config).layers


def bundle(folder: Path, config: TrainingConfig = TINY, month: date = MARCH) -> Path:
    described, layers = manifest_and_layers(config)
    return write_bundle(folder, replace(described, test_month=month), layers)


def policy(folder: Path, config: TrainingConfig = TINY) -> Policy:
    return load_bundle(bundle(folder, config))
