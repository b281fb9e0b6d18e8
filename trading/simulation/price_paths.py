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
Flags = npt.NDArray[np.bool_]

BLOCK = 2048  # candles; fixed, so that no number depends on how far anybody looks
DIGITS = 7  # significant, in the first price of a block
STEPS = 12  # trades along one candle: the first is its open, the last its close
YEAR = timedelta(days=365)

REGIME_VOLATILITY = (
    0.30,
    0.60,
    1.30,
)  # quiet, ordinary, stormy: weeks of BTC/USDT on Binance
# from 2017 to 2020 lie between 0.26 and 1.4 (5 % and 90 % quantile of hourly returns)
REGIME_STAY = (timedelta(days=3), timedelta(days=2), timedelta(hours=12))  # mean
WANDER = 0.3  # standard deviation of log volatility within a regime
WANDER_MEMORY = timedelta(hours=6)
CORRELATION = 0.7  # of any two assets' returns; hourly BTC/USDT and XRP/USDT of 2018 to 2020 have 0.64
JUMP_EVERY = timedelta(days=4)  # mean
JUMP_SIZE = 0.015  # standard deviation of one jump's log return
IDLE_EVERY = timedelta(days=20)  # mean; a window in which nothing trades
OUTAGE_EVERY = timedelta(days=25)  # mean
OUTAGE_LENGTH = timedelta(hours=1)  # mean; at least one candle


@dataclass(frozen=True, slots=True)
class Weather:
    """What all assets of one block share; arrays of length BLOCK."""

    volatility: Floats  # standard deviation of a log return over one candle
    common: Floats  # shape (BLOCK, STEPS), standard normal
    jumps: Floats  # log return of the common jump, mostly zero
    idle: Flags  # nothing trades anywhere
    missing: Flags  # the venue is down and publishes nothing
    regime: int  # in force at the end
    wander: float  # log volatility against the regime's, at the end


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one block; arrays of length BLOCK."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def stream(seed: int, block: int, name: str) -> np.random.Generator:
    """An own generator for every block and purpose: adding a pair changes no other price."""
    return np.random.Generator(np.random.PCG64([seed, block, *name.encode()]))


def weather(seed: int, block: int, duration: timedelta, before: Weather | None) -> Weather:
    rng = stream(seed, block, "weather")
    uniform, shock = rng.random((BLOCK, 2)), rng.standard_normal(BLOCK)
    regimes, regime = _regimes(uniform, duration, before.regime if before else 1)
    wander = _wander(shock, duration, before.wander if before else 0.0)
    scale = np.sqrt(duration / YEAR)
    jumping = rng.random(BLOCK) < duration / JUMP_EVERY
    return Weather(
        volatility=np.asarray(REGIME_VOLATILITY)[regimes] * np.exp(wander) * scale,
        common=rng.standard_normal((BLOCK, STEPS)),
        jumps=np.where(jumping, JUMP_SIZE * rng.standard_normal(BLOCK), 0.0),
        idle=_not_first(rng.random(BLOCK) < min(duration / IDLE_EVERY, 0.01)),
        missing=_outages(rng, duration),
        regime=regime,
        wander=float(wander[-1]),
    )


def asset_path(shared: Weather, rng: np.random.Generator, log_price: float, scale: float) -> Floats:
    """Log prices of shape (BLOCK, STEPS), going on from `log_price`; `scale` multiplies the volatility."""
    own = rng.standard_normal((BLOCK, STEPS))
    normal = np.sqrt(CORRELATION) * shared.common + np.sqrt(1 - CORRELATION) * own
    deviation = (scale * shared.volatility / np.sqrt(STEPS))[:, np.newaxis]
    returns = deviation * normal - deviation**2 / 2  # the price, not its logarithm, has no drift
    returns[:, STEPS // 2] += scale * shared.jumps - (shared.jumps != 0) * (scale * JUMP_SIZE) ** 2 / 2
    return log_price + np.cumsum(returns.ravel()).reshape(BLOCK, STEPS)


def bars(log_prices: Floats, idle: Flags) -> Bars:
    """Candles along a path; an idle candle repeats the close before it."""
    magnitude = math.floor(log_prices[0, 0] / math.log(10))
    prices = np.round(np.exp(log_prices), DIGITS - 1 - magnitude)
    last = np.maximum.accumulate(np.where(idle, 0, np.arange(BLOCK)))
    close = prices[last, -1]
    traded = ~idle
    return Bars(
        open=np.where(traded, prices[:, 0], close),
        high=np.where(traded, prices.max(axis=1), close),
        low=np.where(traded, prices.min(axis=1), close),
        close=close,
    )


def volumes(
    candles: Bars, shared: Weather, rng: np.random.Generator, turnover: float, share_of_year: float
) -> Floats:
    """Base currency; `turnover` in quote currency per year at ordinary volatility. More when prices move."""
    ordinary = REGIME_VOLATILITY[1] * np.sqrt(share_of_year)
    moved = np.log(candles.high / candles.low) / ordinary
    activity = (shared.volatility / ordinary) * (0.5 + 0.5 * moved) * np.exp(0.4 * rng.standard_normal(BLOCK))
    return np.where(shared.idle, 0.0, np.round(turnover * share_of_year * activity / candles.close, 6))


def _regimes(uniform: Floats, duration: timedelta, regime: int) -> tuple[npt.NDArray[np.int64], int]:
    """A Markov chain: leave with the probability that gives the mean stay, to either other regime alike."""
    leave = [min(duration / stay, 0.9) for stay in REGIME_STAY]
    chain = np.empty(BLOCK, dtype=np.int64)
    for i, (chance, choice) in enumerate(uniform.tolist()):
        if chance < leave[regime]:
            regime = (regime + (1 if choice < 0.5 else 2)) % 3
        chain[i] = regime
    return chain, regime


def _wander(shock: Floats, duration: timedelta, level: float) -> Floats:
    """First-order autoregression with the given memory and standard deviation."""
    keep = float(np.exp(-(duration / WANDER_MEMORY)))
    push = WANDER * float(np.sqrt(1 - keep**2))
    levels = []
    for value in shock.tolist():
        level = keep * level + push * value
        levels.append(level)
    return np.asarray(levels)


def _outages(rng: np.random.Generator, duration: timedelta) -> Flags:
    """Runs of missing candles inside the block."""
    missing = np.zeros(BLOCK, dtype=np.bool_)
    starts = np.flatnonzero(rng.random(BLOCK) < min(duration / OUTAGE_EVERY, 0.01))
    lengths = np.ceil(rng.exponential(OUTAGE_LENGTH / duration, starts.size)).astype(int)
    for start, length in zip(starts, lengths, strict=True):
        missing[start : start + length] = True
    return _not_first(missing)


def _not_first(flags: Flags) -> Flags:
    """Each block opens with a candle that trades, so blocks need not know each other's idle candles."""
    flags[0] = False
    return flags
