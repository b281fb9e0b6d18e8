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
    start_rows: npt.NDArray[np.int64] | None = (
        None  # those that an episode may start from; None: all but the last
    )

    @classmethod
    def of(
        cls,
        features: Array,
        opens: Array,
        closes: Array,
        costs: Costs,
        normaliser: Normaliser,
        episode_candles: int,
        stretch: npt.NDArray[np.int64] | None = None,
    ) -> "EpisodeMarket":
        """Build it from features (n, f), opens and closes (n,). InvalidValue when no episode fits into the rows.

        `stretch` (n,) numbers the rows between feed gaps, as TrainingData has it: no episode leaves its own.
        """
        if not 1 <= episode_candles < len(features):
            raise InvalidValue(
                f"an episode of {episode_candles} candles does not fit into {len(features)} rows: "
                "shorten episode_candles or train on more months"
            )
        rewards = _rewards(opens, closes, costs)
        starts = None if stretch is None else _starts_within(stretch, episode_candles)
        return cls(observe(features, 0.0, normaliser), rewards, episode_candles, starts)

    @property
    def starts(self) -> int:
        """Return the number of rows that an episode can start from."""
        if self.start_rows is not None:
            return len(self.start_rows)
        return len(self.observations) - self.episode_candles

    def rows_of(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows of starts, which are numbered from 0 to `starts` - 1."""
        return numbers if self.start_rows is None else self.start_rows[numbers]

    @property
    def observation_space(self) -> "gym.spaces.Box[np.float32]":
        return gym.spaces.Box(-LIMIT, LIMIT, (self.observations.shape[1],), np.float32)

    @property
    def action_space(self) -> "gym.spaces.Discrete[np.int64]":
        return gym.spaces.Discrete(len(TARGETS))


def _starts_within(stretch: npt.NDArray[np.int64], episode_candles: int) -> npt.NDArray[np.int64]:
    """Return the rows from which an episode stays within its stretch.

    Its last reward is marked at the row behind its last observation, or at the close of the very last row.
    """
    rows = np.arange(len(stretch) - episode_candles)
    ends = np.minimum(rows + episode_candles + 1, len(stretch) - 1)
    starts: npt.NDArray[np.int64] = rows[stretch[rows] == stretch[ends]]
    if not len(starts):
        raise InvalidValue(
            f"no episode of {episode_candles} candles fits between the unrepaired feed gaps: shorten "
            "episode_candles, train on more months, or let the stream repair them"
        )
    return starts


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
        self._row = self._random_start() if start is None else int(start)
        self._end = self._row + self.market.episode_candles
        self._position = 0
        return self._observation(), {}

    def _random_start(self) -> int:
        number = self.np_random.integers(self.market.starts)
        return int(self.market.rows_of(np.array([number]))[0])

    def step(self, action: np.int64) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        reward = float(self.market.rewards[self._row, self._position, action])
        self._row, self._position = self._row + 1, int(action)
        return self._observation(), reward, False, self._row == self._end, {}

    def _observation(self) -> Observations:
        observation: Observations = self.market.observations[self._row].copy()
        observation[-1] = TARGETS[self._position]
        return observation
