"""Training one policy: PPO (Schulman et al., 2017) as a function of rows, settings and seed."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.learning.masking import Mask
from ml.learning.observation import Normaliser
from ml.learning.policy import Layers
from trading.errors import InvalidValue
from trading.fills import Costs

if TYPE_CHECKING:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecEnv

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """Names are those of the paper and of stable-baselines3; a frame is one step of one environment."""

    total_timesteps: int  # frames; rounded up to whole rollouts of environments x rollout_steps
    environments: int
    rollout_steps: int
    batch_size: int
    epochs: int
    learning_rate: float
    gamma: float
    gae_lambda: float
    clip_range: float
    entropy_coefficient: float
    hidden_sizes: tuple[int, ...]
    episode_candles: int
    train_months: int
    embargo_candles: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse what cannot run or would turn into NaN."""
        for name in ("environments", "rollout_steps", "epochs", "episode_candles", "train_months"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        self._require("embargo_candles", self.embargo_candles >= 0, "0 or more")
        self._require("seed", 0 <= self.seed < 2**32, "0 to 4294967295")
        self._require("learning_rate", 0 < self.learning_rate <= 1, "above 0, at most 1")
        self._require("gamma", 0 < self.gamma <= 1, "above 0, at most 1")
        self._require("gae_lambda", 0 <= self.gae_lambda <= 1, "0 to 1")
        self._require("clip_range", 0 < self.clip_range < 1, "between 0 and 1")
        self._require("entropy_coefficient", 0 <= self.entropy_coefficient <= 1, "0 to 1")
        sizes = bool(self.hidden_sizes) and all(1 <= size <= 4096 for size in self.hidden_sizes)
        self._require("hidden_sizes", sizes, "one size or more, each 1 to 4096")
        self._check_batches()

    def _check_batches(self) -> None:
        rollout = self.environments * self.rollout_steps
        # One advantage has no standard deviation to be normalised by: its batch would be NaN.
        divides = 2 <= self.batch_size <= rollout and rollout % self.batch_size == 0
        self._require("batch_size", divides, f"2 or more, dividing environments x rollout_steps = {rollout}")
        self._require(
            "total_timesteps", self.total_timesteps >= rollout, f"at least one rollout, {rollout} frames"
        )

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise InvalidValue(f"{name} is {getattr(self, name)}: allowed is {allowed}")

    @property
    def frames(self) -> int:
        """Return the number of frames that are really trained on: whole rollouts."""
        rollout = self.environments * self.rollout_steps
        return -(-self.total_timesteps // rollout) * rollout


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The rows of one fold, oldest first; a row without a known feature was dropped and counted."""

    feature_names: tuple[str, ...]
    features: Array  # (n, f)
    opens: Array  # (n,)
    closes: Array  # (n,)
    costs: Costs
    start: datetime  # open time of the first row
    end: datetime  # close time of the last one
    dropped_rows: int
    masked_rows: int = 0  # in or around an unrepaired feed gap
    stretch: npt.NDArray[np.int64] | None = None  # (n,), rises where rows are masked in between; None: no gap

    @classmethod
    def of(
        cls, table: pl.DataFrame, feature_names: Sequence[str], costs: Costs, masked: Mask | None = None
    ) -> "TrainingData":
        """Build it from a table with open_time, close_time, open, close and the features, sorted by open_time.

        A row with an unknown feature (warm-up) is left out as if its candle were missing; a masked one is left out,
        too, and no episode goes on across it.
        """
        gaps = None if masked is None or not masked.any() else pl.Series(masked)
        usable = table if gaps is None else table.with_columns(_stretch=gaps.cum_sum()).filter(~gaps)
        known = complete_rows(usable, feature_names)
        if known.is_empty():
            raise InvalidValue(f"none of {table.height} training rows has all features: train on more months")
        return cls(
            feature_names=tuple(feature_names),
            features=known.select(feature_names).cast(pl.Float64).to_numpy(),
            opens=known["open"].to_numpy(),
            closes=known["close"].to_numpy(),
            costs=costs,
            start=known["open_time"][0],
            end=known["close_time"][-1],
            dropped_rows=usable.height - known.height,
            masked_rows=table.height - usable.height,
            stretch=None if gaps is None else known["_stretch"].cast(pl.Int64).to_numpy(),
        )

    def digest(self) -> str:
        """Compute the SHA-256 of everything that the training reads, apart from its settings."""
        content = hashlib.sha256(repr((self.feature_names, asdict(self.costs))).encode())
        for values in (self.features, self.opens, self.closes):
            content.update(np.ascontiguousarray(values).tobytes())
        if self.stretch is not None:
            content.update(np.ascontiguousarray(self.stretch).tobytes())
        return content.hexdigest()


@dataclass(frozen=True, slots=True)
class Progress:
    """After one rollout. `mean_reward` is its log growth of equity per candle, exploration included."""

    frames: int
    total_frames: int
    mean_reward: float
    frames_per_second: float


@dataclass(frozen=True, slots=True, eq=False)
class TrainedPolicy:
    """The result of a training, before it is written as a bundle."""

    normaliser: Normaliser
    layers: Layers
    frames: int
    frames_per_second: float
    reward_curve: tuple[float, ...]


def complete_rows(table: pl.DataFrame, feature_names: Sequence[str]) -> pl.DataFrame:
    """Select the rows in which every feature is a finite number."""
    if missing := [name for name in feature_names if name not in table.columns]:
        raise InvalidValue(f"the table has no feature {', '.join(missing)}")
    return table.filter(
        pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in feature_names)
    )


def train(
    data: TrainingData, config: TrainingConfig, on_progress: Callable[[Progress], None]
) -> TrainedPolicy:
    """Fit the normaliser on the rows and train from scratch; the same arguments give the same weights.

    Pins torch to one thread in this process (two slow each other down on networks of this size) and seeds
    the global generators of random, NumPy and torch. Whatever `on_progress` raises ends the training.
    """
    import torch

    from ml.learning.env import EpisodeMarket
    from ml.learning.vector_env import BatchedTradingEnv

    torch.set_num_threads(1)
    normaliser = Normaliser.fit(data.features, data.feature_names)
    market = EpisodeMarket.of(
        data.features,
        data.opens,
        data.closes,
        data.costs,
        normaliser=normaliser,
        episode_candles=config.episode_candles,
        stretch=data.stretch,
    )
    algorithm = proximal_policy_optimisation(
        BatchedTradingEnv(market, config.environments, config.seed), config
    )
    clock = time.perf_counter()
    curve: list[float] = []

    def after_rollout(frames: int, mean_reward: float) -> None:
        curve.append(mean_reward)
        on_progress(Progress(frames, config.frames, mean_reward, frames / (time.perf_counter() - clock)))

    algorithm.learn(config.total_timesteps, callback=_callback(after_rollout))
    speed = config.frames / (time.perf_counter() - clock)
    return TrainedPolicy(
        normaliser=normaliser,
        layers=network_layers(algorithm),
        frames=algorithm.num_timesteps,
        frames_per_second=speed,
        reward_curve=tuple(curve),
    )


def proximal_policy_optimisation(environment: "VecEnv", config: TrainingConfig) -> "PPO":
    """Build stable-baselines3's PPO with these settings, on the CPU: a network of this size is faster there."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.logger import Logger
    from torch import nn

    algorithm = PPO(
        "MlpPolicy",
        environment,
        learning_rate=config.learning_rate,
        n_steps=config.rollout_steps,
        batch_size=config.batch_size,
        n_epochs=config.epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy_coefficient,
        policy_kwargs={"net_arch": list(config.hidden_sizes), "activation_fn": nn.Tanh},
        seed=config.seed,
        device="cpu",
    )
    algorithm.set_logger(Logger(folder=None, output_formats=[]))  # else each leaves a folder under /tmp
    # Growth per candle is about 0.001, a random head predicts about 1: that noise hides every advantage
    # until it is unlearnt. From zero, a perfectly predictive feature is learnt in about a third of the frames.
    value_head: nn.Linear = algorithm.policy.value_net
    nn.init.zeros_(value_head.weight)
    return algorithm


def _callback(after_rollout: Callable[[int, float], None]) -> "BaseCallback":
    from stable_baselines3.common.callbacks import BaseCallback

    class Rollouts(BaseCallback):
        """Passes on each rollout's mean reward; SB3's own statistics would need a monitor per environment."""

        def _on_rollout_start(self) -> None:
            self.means: list[float] = []

        def _on_step(self) -> bool:
            # Here and not from the buffer: there, rewards carry the value of what the clock cut off.
            self.means.append(float(self.locals["rewards"].mean()))
            return True

        def _on_rollout_end(self) -> None:
            after_rollout(self.num_timesteps, sum(self.means) / len(self.means))

    return Rollouts()


def network_layers(algorithm: "PPO") -> Layers:
    """Return (weight (inputs, outputs), bias) of each layer of the policy's half of the network, for NumPy."""
    from torch import nn

    policy: Any = algorithm.policy
    linear = [module for module in policy.mlp_extractor.policy_net if isinstance(module, nn.Linear)]
    return [
        (np.ascontiguousarray(module.weight.detach().numpy().T), module.bias.detach().numpy().copy())
        for module in (*linear, policy.action_net)
    ]
