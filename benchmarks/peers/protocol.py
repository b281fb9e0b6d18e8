"""The files that every engine's script reads and writes. NumPy only: it runs in every environment."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Market:
    """`benchmarks.market`'s file; everything (n,). Signals of the last candle are dropped: no open follows."""

    open_time: npt.NDArray[np.int64]
    open: Array
    high: Array
    low: Array
    close: Array
    entries: npt.NDArray[np.bool_]
    exits: npt.NDArray[np.bool_]
    fee: float
    stop: float

    @classmethod
    def read(cls, file: str | Path) -> "Market":
        columns = dict(np.load(file).items())
        for name in ("entries", "exits"):
            columns[name] = columns[name].copy()
            columns[name][-1] = False
        return cls(**columns | {"fee": float(columns["fee"]), "stop": float(columns["stop"])})

    @cached_property
    def next_open(self) -> Array:
        """Price at which the decision at each close is executed; the last has none and gets its close."""
        return np.append(self.open[1:], self.close[-1])


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """Closed trades in order, each (k,): open times of the candles in microseconds, prices without fees."""

    entry_time: npt.NDArray[np.int64]
    exit_time: npt.NDArray[np.int64]
    entry_price: Array
    exit_price: Array
    equity: Array  # after the trade, in the opening equity

    def write(self, file: str | Path) -> None:
        np.savez(file, **{name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def read(cls, file: str | Path) -> "Ledger":
        return cls(**dict(np.load(file).items()))


def compound(entry_price: Array, exit_price: Array, fee: float) -> Array:
    """Return equity after each trade had all of it been in every trade: for engines that traded one size throughout."""
    return np.cumprod(exit_price * (1 - fee) / (entry_price * (1 + fee)))


def microseconds(times: Any) -> npt.NDArray[np.int64]:
    """Convert a pandas series of times in UTC to microseconds since 1970."""
    return np.asarray(times.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64))


def best_of(run: Callable[[], Result], runs: int) -> tuple[float, Result]:
    """Return the seconds of the fastest of `runs` after a first that does not count, and the last result."""
    run()
    best = float("inf")
    for _ in range(runs):
        began = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - began)
    return best, result


def report(engine: str, version: str, seconds: float, ledger: Ledger, file: str | Path, **more: Any) -> None:
    """Print one JSON line and write the ledger to `file`."""
    ledger.write(file)
    final = float(ledger.equity[-1]) if ledger.equity.size else 1.0
    plain = {
        "engine": engine,
        "version": version,
        "seconds": seconds,
        "trades": ledger.equity.size,
        "final_equity": final,
    }
    print(json.dumps(plain | more), flush=True)
