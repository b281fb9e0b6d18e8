"""Many `TradingEnv` as one batch of arrays: one gather per step instead of one Python call per environment.

All episodes start together and have the same length, so they also end together.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ml.learning.env import TARGETS, EpisodeMarket
from ml.learning.observation import Observations


class BatchedTradingEnv(VecEnv):
    """The same numbers as `environments` single ones that start from the same rows and take the same actions.

    `seed` decides the random starts; `set_options([{"start": row}, ...])` fixes those of the next reset.
    """

    def __init__(self, market: EpisodeMarket, environments: int, seed: int) -> None:
        self.market = market
        self._random = np.random.default_rng(seed)
        self._targets = np.array(TARGETS, dtype=np.float32)
        self._rewards = market.rewards.reshape(-1)  # flat: one index is gathered faster than three
        self._rows = self._position = self._actions = np.zeros(environments, dtype=np.int64)
        self._remaining = 0
        super().__init__(environments, market.observation_space, market.action_space)

    def reset(self) -> Observations:
        if self._seeds[0] is not None:
            self._random = np.random.default_rng(self._seeds[0])
        starts = [options.get("start") for options in self._options]
        self._begin(self._random_starts() if None in starts else np.array(starts, dtype=np.int64))
        self._reset_seeds()
        self._reset_options()
        return self._observations()

    def step_async(self, actions: npt.NDArray[np.int64]) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        rewards = self._rewards.take((self._rows * 2 + self._position) * 2 + self._actions)
        self._rows, self._position, self._remaining = self._rows + 1, self._actions, self._remaining - 1
        observations = self._observations()
        if self._remaining:
            return observations, rewards, np.zeros(self.num_envs, bool), [{} for _ in range(self.num_envs)]
        self._begin(self._random_starts())
        return self._observations(), rewards, np.ones(self.num_envs, bool), _endings(observations)

    def _begin(self, starts: npt.NDArray[np.int64]) -> None:
        self._rows, self._position = starts, np.zeros_like(starts)
        self._remaining = self.market.episode_candles

    def _random_starts(self) -> npt.NDArray[np.int64]:
        return self.market.rows_of(self._random.integers(self.market.starts, size=self.num_envs))

    def _observations(self) -> Observations:
        observations = self.market.observations.take(self._rows, axis=0)
        observations[:, -1] = self._targets.take(self._position)
        return observations

    def close(self) -> None:
        """Do nothing: no resource is open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        return [None if attr_name == "render_mode" else getattr(self, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        raise NotImplementedError("the environments share one state: change the market instead")

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        raise NotImplementedError("there are no single environments to call")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        return [False] * self._count(indices)

    def _count(self, indices: VecEnvIndices) -> int:
        return len(list(self._get_indices(indices)))


def _endings(observations: Observations) -> list[dict[str, Any]]:
    """Info of episodes that the time limit, not the market, ended: PPO values their last state."""
    return [{"terminal_observation": last, "TimeLimit.truncated": True} for last in observations]
