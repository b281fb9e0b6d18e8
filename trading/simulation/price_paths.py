"""Random paths of assets against one numeraire, in blocks of fixed size, and the candles along them.

The size of a move depends on the past, its direction does not. Volatility switches between three regimes and
wanders within each; prices jump at times. Volatilities are standard deviations of log returns over a year.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

BLOCK_LENGTH = 2048  # candles; fixed, so that no number depends on how far anybody looks
SIGNIFICANT_DIGITS = 7  # significant, in the first price of a block
STEPS_PER_CANDLE = 12  # trades along one candle: the first is its open, the last its close
YEAR = timedelta(days=365)

# Quiet, ordinary, stormy: weeks of BTC/USDT on Binance from 2017 to 2020 lie between 0.26 and 1.4 (5 % and 90 %.
# quantile of hourly returns).
REGIME_VOLATILITY = (0.30, 0.60, 1.30)
REGIME_DURATION = (timedelta(days=3), timedelta(days=2), timedelta(hours=12))  # mean
VOLATILITY_NOISE = 0.3  # standard deviation of log volatility within a regime
VOLATILITY_NOISE_MEMORY = timedelta(hours=6)
CORRELATION = 0.7  # of any two assets' returns; hourly BTC/USDT and XRP/USDT of 2018 to 2020 have 0.64
JUMP_EVERY = timedelta(days=4)  # mean
JUMP_SIZE = 0.015  # standard deviation of one jump's log return
IDLE_EVERY = timedelta(days=20)  # mean; a window in which nothing trades
OUTAGE_EVERY = timedelta(days=25)  # mean
OUTAGE_LENGTH = timedelta(hours=1)  # mean; at least one candle


@dataclass(frozen=True, slots=True)
class BlockConditions:
    """The conditions that all assets of one block share; arrays of BLOCK_LENGTH."""

    volatility: Floats  # standard deviation of a log return over one candle
    common: Floats  # shape (BLOCK_LENGTH, STEPS_PER_CANDLE), standard normal
    jumps: Floats  # log return of the common jump, mostly zero
    idle: Booleans  # nothing trades anywhere
    missing: Booleans  # the venue is down and publishes nothing
    regime: int  # in force at the end
    log_volatility: float  # log volatility against the regime's, at the end


@dataclass(frozen=True, slots=True)
class SimulatedBars:
    """Candles of one block; arrays of BLOCK_LENGTH."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def random_stream(seed: int, block: int, name: str) -> np.random.Generator:
    """Make a generator for one block and purpose: adding a pair changes no other price."""
    return np.random.Generator(np.random.PCG64([seed, block, *name.encode()]))


def draw_conditions(
    seed: int, block: int, duration: timedelta, before: BlockConditions | None
) -> BlockConditions:
    rng = random_stream(seed, block, "weather")
    uniform, shock = rng.random((BLOCK_LENGTH, 2)), rng.standard_normal(BLOCK_LENGTH)
    regimes, regime = _regimes(uniform, duration, before.regime if before else 1)
    log_volatility = _log_volatility(shock, duration, before.log_volatility if before else 0.0)
    scale = np.sqrt(duration / YEAR)
    jumping = rng.random(BLOCK_LENGTH) < duration / JUMP_EVERY
    return BlockConditions(
        volatility=np.asarray(REGIME_VOLATILITY)[regimes] * np.exp(log_volatility) * scale,
        common=rng.standard_normal((BLOCK_LENGTH, STEPS_PER_CANDLE)),
        jumps=np.where(jumping, JUMP_SIZE * rng.standard_normal(BLOCK_LENGTH), 0.0),
        idle=_clear_first(rng.random(BLOCK_LENGTH) < min(duration / IDLE_EVERY, 0.01)),
        missing=_outages(rng, duration),
        regime=regime,
        log_volatility=float(log_volatility[-1]),
    )


def asset_path(shared: BlockConditions, rng: np.random.Generator, log_price: float, scale: float) -> Floats:
    """Draw log prices of shape (BLOCK_LENGTH, STEPS_PER_CANDLE), from `log_price` on; `scale` multiplies volatility."""
    own = rng.standard_normal((BLOCK_LENGTH, STEPS_PER_CANDLE))
    normal = np.sqrt(CORRELATION) * shared.common + np.sqrt(1 - CORRELATION) * own
    deviation = (scale * shared.volatility / np.sqrt(STEPS_PER_CANDLE))[:, np.newaxis]
    returns = deviation * normal - deviation**2 / 2  # the price, not its logarithm, has no drift
    returns[:, STEPS_PER_CANDLE // 2] += (
        scale * shared.jumps - (shared.jumps != 0) * (scale * JUMP_SIZE) ** 2 / 2
    )
    return log_price + np.cumsum(returns.ravel()).reshape(BLOCK_LENGTH, STEPS_PER_CANDLE)


def build_bars(log_prices: Floats, idle: Booleans) -> SimulatedBars:
    """Build the candles along a path; an idle candle repeats the close before it."""
    magnitude = math.floor(log_prices[0, 0] / math.log(10))
    prices = np.round(np.exp(log_prices), SIGNIFICANT_DIGITS - 1 - magnitude)
    last = np.maximum.accumulate(np.where(idle, 0, np.arange(BLOCK_LENGTH)))
    close = prices[last, -1]
    traded = ~idle
    return SimulatedBars(
        open=np.where(traded, prices[:, 0], close),
        high=np.where(traded, prices.max(axis=1), close),
        low=np.where(traded, prices.min(axis=1), close),
        close=close,
    )


def volumes(
    candles: SimulatedBars,
    shared: BlockConditions,
    rng: np.random.Generator,
    turnover: float,
    share_of_year: float,
) -> Floats:
    """Return volumes in base currency, more when prices move; `turnover`: quote currency a year, ordinarily."""
    ordinary = REGIME_VOLATILITY[1] * np.sqrt(share_of_year)
    moved = np.log(candles.high / candles.low) / ordinary
    activity = (
        (shared.volatility / ordinary) * (0.5 + 0.5 * moved) * np.exp(0.4 * rng.standard_normal(BLOCK_LENGTH))
    )
    return np.where(shared.idle, 0.0, np.round(turnover * share_of_year * activity / candles.close, 6))


def _regimes(uniform: Floats, duration: timedelta, regime: int) -> tuple[npt.NDArray[np.int64], int]:
    """Walk a Markov chain: leave with the probability that gives the mean duration, to either other regime alike."""
    leave = [min(duration / mean, 0.9) for mean in REGIME_DURATION]
    chain = np.empty(BLOCK_LENGTH, dtype=np.int64)
    for i, (chance, choice) in enumerate(uniform.tolist()):
        if chance < leave[regime]:
            regime = (regime + (1 if choice < 0.5 else 2)) % 3
        chain[i] = regime
    return chain, regime


def _log_volatility(shock: Floats, duration: timedelta, level: float) -> Floats:
    """First-order autoregression with the given memory and standard deviation."""
    keep = float(np.exp(-(duration / VOLATILITY_NOISE_MEMORY)))
    push = VOLATILITY_NOISE * float(np.sqrt(1 - keep**2))
    levels = []
    for value in shock.tolist():
        level = keep * level + push * value
        levels.append(level)
    return np.asarray(levels)


def _outages(rng: np.random.Generator, duration: timedelta) -> Booleans:
    """Draw runs of missing candles inside the block."""
    missing = np.zeros(BLOCK_LENGTH, dtype=np.bool_)
    starts = np.flatnonzero(rng.random(BLOCK_LENGTH) < min(duration / OUTAGE_EVERY, 0.01))
    lengths = np.ceil(rng.exponential(OUTAGE_LENGTH / duration, starts.size)).astype(int)
    for start, length in zip(starts, lengths, strict=True):
        missing[start : start + length] = True
    return _clear_first(missing)


def _clear_first(flags: Booleans) -> Booleans:
    """Each block opens with a candle that trades, so blocks need not know each other's idle candles."""
    flags[0] = False
    return flags
