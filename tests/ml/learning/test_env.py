from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ml.learning.env import EpisodeMarket, TradingEnv
from ml.learning.observation import Normaliser
from ml.learning.vector_env import BatchedTradingEnv
from tests.ml.learning.folds_of_candles import COSTS, data, market
from trading.backtest import run_exposures
from trading.errors import InvalidValue


def test_the_environment_passes_gymnasiums_checks() -> None:
    check_env(TradingEnv(market()), skip_render_check=True)


def test_an_episode_earns_what_the_back_test_of_its_actions_earns() -> None:
    environment, start, rows = TradingEnv(market()), 100, data()
    observation, _ = environment.reset(options={"start": start})
    actions = np.random.default_rng(5).integers(2, size=48)
    rewards: list[float] = []
    for action in actions:
        assert observation[-1] == (actions[len(rewards) - 1] if rewards else 0)
        observation, reward, terminated, truncated, _ = environment.step(action)
        rewards.append(reward)
    assert (terminated, truncated) == (False, True)
    window = slice(start, start + 50)  # one candle more, so that the last decision is marked at an open
    exposures = np.append(actions, [0, 0]).astype(float)
    growth = run_exposures(exposures, rows.opens[window], rows.closes[window], COSTS).growth[:48]
    assert rewards == np.log(growth).astype(np.float32).tolist()


def test_many_environments_at_once_are_the_same_as_many_single_ones() -> None:
    starts, length = [0, 7, 900, market().starts - 1], market().episode_candles
    batch, singles = BatchedTradingEnv(market(), len(starts), seed=1), [TradingEnv(market()) for _ in starts]
    batch.set_options([{"start": start} for start in starts])
    seen: Any = batch.reset()
    firsts = [
        single.reset(options={"start": start})[0] for single, start in zip(singles, starts, strict=True)
    ]
    assert np.array_equal(seen, firsts)
    random = np.random.default_rng(2)
    for row in range(length):
        actions = random.integers(2, size=len(starts))
        seen, rewards, dones, infos = batch.step(actions)
        expected = [single.step(action) for single, action in zip(singles, actions, strict=True)]
        if last := row == length - 1:
            seen = [info["terminal_observation"] for info in infos]
        assert np.array_equal(seen, [observation for observation, *_ in expected])
        assert rewards.tolist() == [reward for _, reward, *_ in expected]
        assert dones.tolist() == [truncated for *_, truncated, _ in expected] == [last] * len(starts)


def test_a_finished_batch_starts_again_flat_and_is_marked_as_truncated() -> None:
    batch = BatchedTradingEnv(market(episode_candles=1), 3, seed=1)
    batch.reset()
    seen, _, dones, infos = batch.step(np.ones(3, dtype=np.int64))
    assert dones.all()
    assert isinstance(seen, np.ndarray)
    assert (seen[:, -1] == 0).all()
    assert all(info["TimeLimit.truncated"] for info in infos)


def test_the_seed_decides_the_starts() -> None:
    first, again, other = (BatchedTradingEnv(market(), 8, seed).reset() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_episode_longer_than_the_rows_is_refused() -> None:
    rows = data()
    with pytest.raises(InvalidValue, match="does not fit into 5 rows"):
        EpisodeMarket.of(
            rows.features[:5],
            rows.opens[:5],
            rows.closes[:5],
            COSTS,
            Normaliser.fit(rows.features, rows.feature_names),
            episode_candles=5,
        )
