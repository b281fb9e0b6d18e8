"""Trading one pair as a Gymnasium environment: actions are target exposures, rewards log growth of equity."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from ml.learning.observation import LIMIT, Normaliser, Observations, observe
from trading.backtest import holding_prices, step
from trading.errors import InvalidValue
from trading.fills import Costs

TARGETS = (0.0, 1.0)  # exposure that each action asks for
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeMarket:
    """The rows of one pair as environments read them: the observation of each row, and the reward of each action."""

    observations: Observations  # (n, f + 1), the last column is the exposure and filled in by the environment
    rewards: npt.NDArray[np.float32]  # (n - 1, position, action): log growth of equity until the next mark
    episode_candles: int

    @classmethod
    def of(
        cls,
        features: Array,
        opens: Array,
        closes: Array,
        costs: Costs,
        normaliser: Normaliser,
        episode_candles: int,
    ) -> "EpisodeMarket":
        """Build it from features (n, f), opens and closes (n,). InvalidValue when no episode fits into the rows."""
        if not 1 <= episode_candles < len(features):
            raise InvalidValue(
                f"an episode of {episode_candles} candles does not fit into {len(features)} rows: "
                "shorten episode_candles or train on more months"
            )
        return cls(observe(features, 0.0, normaliser), _rewards(opens, closes, costs), episode_candles)

    @property
    def starts(self) -> int:
        """Return the number of rows that an episode can start from."""
        return len(self.observations) - self.episode_candles

    @property
    def observation_space(self) -> "gym.spaces.Box[np.float32]":
        return gym.spaces.Box(-LIMIT, LIMIT, (self.observations.shape[1],), np.float32)

    @property
    def action_space(self) -> "gym.spaces.Discrete[np.int64]":
        return gym.spaces.Discrete(len(TARGETS))


def _rewards(opens: Array, closes: Array, costs: Costs) -> npt.NDArray[np.float32]:
    """Exposures are 0 or 1 and no price changes those, so every possible growth can be computed in advance."""
    price, next_price = holding_prices(opens, closes)
    growths = [
        [
            step(
                np.full_like(price, current), np.full_like(price, target), price, next_price, costs=costs
            ).growth
            for target in TARGETS
        ]
        for current in TARGETS
    ]
    logarithms: npt.NDArray[np.float64] = np.log(np.moveaxis(np.array(growths), -1, 0))
    return logarithms.astype(np.float32)


class TradingEnv(gym.Env[Observations, np.int64]):
    """Episodes of fixed length from a random row, starting flat; they end by truncation, never by ruin.

    `reset(options={"start": row})` starts from that row.
    """

    def __init__(self, market: EpisodeMarket) -> None:
        self.market = market
        self.observation_space: gym.Space[Observations] = market.observation_space
        self.action_space = market.action_space
        self._row = self._end = self._position = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        super().reset(seed=seed)
        start = (options or {}).get("start")
        self._row = int(self.np_random.integers(self.market.starts)) if start is None else int(start)
        self._end = self._row + self.market.episode_candles
        self._position = 0
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        reward = float(self.market.rewards[self._row, self._position, action])
        self._row, self._position = self._row + 1, int(action)
        return self._observation(), reward, False, self._row == self._end, {}

    def _observation(self) -> Observations:
        observation: Observations = self.market.observations[self._row].copy()
        observation[-1] = TARGETS[self._position]
        return observation
