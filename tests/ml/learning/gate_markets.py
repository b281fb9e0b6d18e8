"""Markets without an edge and with one, and what random and skilled policies earn in them, month by month."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.learning.evaluation import Evaluation, evaluate_exposures
from ml.learning.folds import rows_of_month
from ml.learning.manifest import Manifest
from trading.fills import Costs
from trading.market import Pair, Timeframe, month_start, months_between, next_month
from trading.simulation.market import SimulatedMarket

Array = npt.NDArray[np.float64]
PAIR = Pair("BTC", "USDT")
MONTHS = months_between(date(2023, 1, 1), date(2024, 3, 1))
COSTS = Costs(0.0026, 0.0001, 0.0002)  # 0.29 % a side
LOOKS = range(6, 16)  # the gate looks after each of these months: ten times
STRONG_EDGE = 0.4  # autocorrelation of hourly returns


@cache
def simulated() -> pl.DataFrame:
    start, end = month_start(MONTHS[0]), month_start(next_month(MONTHS[-1]))
    market = SimulatedMarket((PAIR,), Timeframe.H1, seed=1, start=start, end=end)
    return market.candles(PAIR, start, end)


def market_without_edge(number: int) -> pl.DataFrame:
    """Draw a martingale in price from the simulated market.

    The sign of each return is drawn anew; odd numbers permute the returns first, even ones keep the clusters of
    volatility.
    """
    rng = np.random.default_rng((1, number))
    opens = simulated()["open"].to_numpy()
    returns = opens[1:] / opens[:-1] - 1.0
    if number % 2:
        returns = rng.permutation(returns)
    return _candles(1.0 + returns * rng.choice((-1.0, 1.0), returns.size))


def market_with_edge(number: int, edge: float = STRONG_EDGE) -> pl.DataFrame:
    """Draw hourly log returns with the simulated market's volatility that follow the one before: AR(1)."""
    rng = np.random.default_rng((2, number))
    deviation = float(np.diff(np.log(simulated()["open"].to_numpy())).std())
    noise = rng.normal(scale=deviation * np.sqrt(1 - edge**2), size=simulated().height - 1).tolist()
    returns, last = [], 0.0
    for each in noise:
        last = edge * last + each
        returns.append(last)
    return _candles(np.exp(returns))


def random_exposures(candles: pl.DataFrame, trades: float, number: int) -> Iterator[Array]:
    """Yield each month's exposures of a policy that changes it at random, so many times a month on average."""
    rng = np.random.default_rng((3, number, int(trades)))
    for month in by_month(candles):
        changes = rng.random(month.height) < trades / month.height
        yield (changes.cumsum() % 2).astype(np.float64)


def following_exposures(candles: pl.DataFrame, edge: float = STRONG_EDGE) -> Iterator[Array]:
    """Yield each month's exposures of a policy that buys after a large rise and sells after a large fall.

    Large is what outweighs the costs of a side: the returns to come add up to edge / (1 - edge) of the last one.
    """
    large = COSTS.taker_fee + COSTS.half_spread + COSTS.slippage
    large *= (1 - edge) / edge
    last = pl.col("close") / pl.col("open") - 1
    wanted = pl.when(last > large).then(1.0).when(last < -large).then(0.0)
    for month in by_month(candles):
        yield month.select(wanted.forward_fill().fill_null(0.0)).to_series().to_numpy()


def evaluations(candles: pl.DataFrame, exposures: Iterator[Array]) -> list[Evaluation]:
    return [
        evaluate_exposures(_manifest(month), rows, targets, COSTS)
        for month, rows, targets in zip(MONTHS, by_month(candles), exposures, strict=True)
    ]


def by_month(candles: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the months of any of these markets: all have the simulated one's times."""
    return (candles.slice(first, length) for first, length in _month_rows())


@cache
def _month_rows() -> list[tuple[int, int]]:
    lengths = [rows_of_month(simulated(), month).height for month in MONTHS]
    return list(zip([0, *accumulate(lengths)], lengths, strict=False))


def _candles(ratios: Array) -> pl.DataFrame:
    """Build gapless prices on the times of the simulated market: each candle closes where the next one opens."""
    opens = 100.0 * np.cumprod(np.append(1.0, ratios))
    closes = np.append(opens[1:], opens[-1])
    times = {name: simulated()[name] for name in ("open_time", "close_time")}
    return pl.DataFrame({**times, "open": opens, "close": closes})


@cache
def _manifest(month: date) -> Manifest:
    beginning = datetime(2022, 1, 1, tzinfo=UTC)
    return Manifest(
        policy_id=f"of {month}", pair=str(PAIR), timeframe="1h", dataset="simulated-1h", feature_names=(), mean=(),
        std=(), hidden_sizes=(), config={}, costs={}, training_start=beginning, training_end=month_start(month),
        training_rows=0, dropped_rows=0, embargo_candles=0, test_month=month, seed=1, frames=0, frames_per_second=0.0,
        reward_curve=(), versions={}, inputs_hash="", recipe="recipe", files={},
    )  # fmt: skip
