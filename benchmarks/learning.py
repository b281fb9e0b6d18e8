"""Learning: frames of PPO, steps of the environment and one decision of a policy, each beside its usual form.

Both sides of a comparison run in the same process on the same rows, with torch on one thread.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.row import Benchmark, Call, Row, best, row, seconds
from ml.learning.env import EpisodeMarket, TradingEnv
from ml.learning.manifest import Manifest
from ml.learning.observation import Normaliser
from ml.learning.policy import Policy
from ml.learning.training import TrainingConfig, TrainingData, train
from trading.fills import Costs

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

PACKAGES = ("numpy", "torch", "stable-baselines3", "gymnasium")
ROWS, FEATURES, EPISODE = 8760, 40, 336  # a year of hours, two weeks each
CONFIG = TrainingConfig(
    total_timesteps=200_000, environments=64, rollout_steps=128, batch_size=4096, epochs=4,
    learning_rate=0.0003, gamma=0.99, gae_lambda=0.95, clip_range=0.2, entropy_coefficient=0.01,
    hidden_sizes=(64, 64), episode_candles=EPISODE, train_months=12, embargo_candles=24, seed=1,
)  # fmt: skip


def ppo_frames() -> Iterator[Row]:
    from stable_baselines3 import PPO

    rows = _rows()
    ours = train(rows, CONFIG, lambda progress: None).frames_per_second
    peer = PPO("MlpPolicy", _dummy(_market(rows), 8), device="cpu", seed=1)
    frames = 8 * peer.n_steps
    peers = frames / seconds(lambda: peer.learn(frames))
    yield row(
        "ppo_frames",
        f"PPO from rollout to update, {FEATURES} features, 64x64 tanh, batched environments, batch 4096, 4 epochs",
        ours,
        "frames/s",
        "stable-baselines3 defaults: 8 environments in DummyVecEnv, batch 64, 10 epochs",
        peers,
        target=">= 60 x peer, > 40000",
        packages=PACKAGES,
    )


def env_steps() -> Iterator[Row]:
    from ml.learning.vector_env import BatchedTradingEnv

    market = _market(_rows())
    ours = _steps_per_second(BatchedTradingEnv(market, CONFIG.environments, seed=1), 20_000)
    peer = _steps_per_second(_dummy(market, CONFIG.environments), 1_000)
    yield row(
        "env_steps",
        f"environment steps, {CONFIG.environments} at once, random actions",
        ours,
        "steps/s",
        "the same environment in DummyVecEnv",
        peer,
        target=">= 40 x peer",
        packages=PACKAGES,
    )


def policy_inference() -> Iterator[Row]:
    import torch
    from torch import nn

    torch.set_num_threads(1)
    rows = _rows()
    policy = random_policy(Normaliser.fit(rows.features, rows.feature_names))
    modules: list[nn.Module] = []
    for weight, bias in policy.layers:
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = torch.as_tensor(weight.T), torch.as_tensor(bias)
        modules += [linear, nn.Tanh()]
    network = nn.Sequential(*modules[:-1])
    observation = torch.zeros(1, FEATURES + 1)
    observed = rows.features[0]
    ours = _microseconds(lambda: policy.act(observed, 1.0))
    with torch.no_grad():
        peer = _microseconds(lambda: network(observation))
    yield row(
        "policy_inference",
        f"one decision from a feature row to an exposure: check {FEATURES} features, normalise, network, probability",
        ours,
        "us",
        "forward pass of the same network in torch, observation ready",
        peer,
        target="<= 10 us",
        packages=PACKAGES,
    )


def _rows() -> TrainingData:
    random = np.random.default_rng(0)
    closes = 100 * np.exp(np.cumsum(random.normal(0, 0.005, ROWS)))
    return TrainingData(
        feature_names=tuple(f"feature_{number}" for number in range(FEATURES)),
        features=random.normal(size=(ROWS, FEATURES)), opens=np.append(100.0, closes[:-1]), closes=closes,
        costs=Costs(0.004, 0.0001, 0.0002), start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC), dropped_rows=0,
    )  # fmt: skip


def _market(rows: TrainingData) -> EpisodeMarket:
    normaliser = Normaliser.fit(rows.features, rows.feature_names)
    return EpisodeMarket.of(rows.features, rows.opens, rows.closes, rows.costs, normaliser, EPISODE)


def random_policy(normaliser: Normaliser) -> Policy:
    """Build a policy of random weights: what a decision costs does not depend on them."""
    random = np.random.default_rng(1)
    sizes = (len(normaliser.names) + 1, *CONFIG.hidden_sizes, 2)
    layers = [
        (random.normal(size=shape).astype(np.float32), np.zeros(shape[1], np.float32))
        for shape in itertools.pairwise(sizes)
    ]
    manifest = object.__new__(Manifest)  # acting reads nothing of it but the names
    for name, value in (("feature_names", normaliser.names), ("policy_id", "random")):
        object.__setattr__(manifest, name, value)
    return Policy(manifest, normaliser, layers)


def _dummy(market: EpisodeMarket, environments: int) -> "DummyVecEnv":
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: TradingEnv(market)] * environments)


def _steps_per_second(environments: "VecEnv", steps: int) -> float:
    actions = np.random.default_rng(1).integers(2, size=(steps, environments.num_envs))
    environments.reset()

    def walk() -> None:
        for action in actions:
            environments.step(action)

    return steps * environments.num_envs / seconds(walk)


def _microseconds(call: Call, calls: int = 5_000) -> float:
    def repeat() -> None:
        for _ in range(calls):
            call()

    return best(repeat, 5) / calls * 1e6


BENCHMARKS: dict[str, Benchmark] = {
    "ppo_frames": ppo_frames,
    "env_steps": env_steps,
    "policy_inference": policy_inference,
}


def run() -> Iterator[Row]:
    """One JSON-able row per number; a ratio above 1 means faster than the peer."""
    for benchmark in BENCHMARKS.values():
        yield from benchmark()
