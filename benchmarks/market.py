"""A year of one-minute candles with the signals that every engine is given: `python -m benchmarks.market OUT.npz`.

No recording at hand is a year long, so the market is a seeded walk whose volatility wanders and which jumps,
inside candles and between them, so that stops are hit and gapped through.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.crossings import ema_crossings, signals

CANDLES = 525_600
FAST, SLOW = 9, 21
STOP, FEE = 0.02, 0.004
START = 1_672_531_200_000_000  # 2023-01-01 in microseconds
MINUTE = 60_000_000
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkMarket:
    """Candles and signals, everything (n,); times in microseconds since 1970 UTC, prices positive and rounded to cents.

    An entry or exit is decided at the close of its candle and executed at the next candle's open.
    """

    open_time: npt.NDArray[np.int64]
    open: Array
    high: Array
    low: Array
    close: Array
    entries: npt.NDArray[np.bool_]
    exits: npt.NDArray[np.bool_]


def year(candles: int = CANDLES, seed: int = 7) -> BenchmarkMarket:
    """Simulate a year of candles and the signals on them."""
    random = np.random.default_rng(seed)
    volatility = 0.0007 * np.exp(0.5 * np.sin(np.arange(candles) / 9_000))
    inside = random.normal(0, 1, candles) * volatility + _jumps(random, candles, 1 / 250)
    between = random.normal(0, 0.00002, candles) + _jumps(random, candles, 1 / 2_000)
    between[0] = 0.0
    close = 30_000 * np.exp(np.cumsum(inside + between))
    opens = close * np.exp(-inside)
    reach = np.abs(random.normal(0, 0.6, (2, candles))) * volatility
    high = np.maximum(opens, close) * (1 + reach[0])
    low = np.minimum(opens, close) * (1 - reach[1])
    opens, high, low, close = (np.round(prices, 2) for prices in (opens, high, low, close))
    times = START + MINUTE * np.arange(candles, dtype=np.int64)
    entries, exits = signals(ema_crossings(close, FAST, SLOW))
    return BenchmarkMarket(
        open_time=times, open=opens, high=high, low=low, close=close, entries=entries, exits=exits
    )


def _jumps(random: np.random.Generator, candles: int, chance: float) -> Array:
    return np.where(random.random(candles) < chance, random.normal(0, 0.02, candles), 0.0)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m benchmarks.market OUT.npz", file=sys.stderr)
        return 2
    market = year()
    columns = {name: getattr(market, name) for name in market.__dataclass_fields__}
    np.savez(Path(arguments[0]), **columns, fee=FEE, stop=STOP)
    print(f"{market.close.size} candles, {market.entries.sum()} entries -> {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
