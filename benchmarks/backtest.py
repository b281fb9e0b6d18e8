"""Back-test: a year of minutes, a hundred of them at once, and the first one of a process.

The floor is a minimal compiled loop for the same trades: averages, fills, stop, fee, equity curve and drawdown,
without a ledger and without rules. Floor and kernel run in turn in one process, best of several; their trades and
equity are compared first. Peers (`make bench-peers`) read the same candles and signals from
`python -m benchmarks.market`.
"""

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import market
from benchmarks.crossings import CrossingPlans, ema_crossings
from benchmarks.row import Benchmark, Row, best, row
from trading.backtest import (
    AccountRules,
    Backtest,
    Bars,
    Decisions,
    Margin,
    Plan,
    run,
    sweep,
)
from trading.fills import Costs

Array = npt.NDArray[np.float64]

# Every rule is on, and wide enough to let each trade happen: a pause would end the work after a few trades.
RULES = AccountRules(
    costs=Costs(market.FEE, 0.0, 0.0),
    drawdown_pause=1.0,
    daily_loss=1.0,
    losing_streak=5,
    cool_down=timedelta(0),
    cool_down_candles=0,
    trailing_after=1.5,
    leverage=3.0,
    shorts=True,
    margin=Margin(opening_fee=0.0002, rollover_fee=0.0002, rollover_hours=4.0, liquidation_level=0.4),
)
PAIRS = list(itertools.product(range(5, 15), range(20, 60, 4)))  # 100 combinations
ROUNDS = 15
PACKAGES = ("numpy", "numba", "TA-Lib")
FIRST_CALL = """
import time
begin = time.perf_counter()
from datetime import timedelta
import numpy as np
from trading.backtest import AccountRules, Bars, Plan, run
from trading.fills import Costs
rules = AccountRules(Costs(0.004, 0.0, 0.0), 0.1, 0.03, 5, timedelta(minutes=30), 1.5, 1.0, False, None)
prices = np.linspace(1.0, 2.0, 100)
run(Bars(np.arange(100), prices, prices, prices, prices), Plan(np.ones(100)), rules)
print(time.perf_counter() - begin)
"""
IMPORT = "import time; begin = time.perf_counter(); import numba; print(time.perf_counter() - begin)"


def backtest_year() -> Iterator[Row]:
    candles, bars = _year()
    floor = _compile_floor()
    arguments = (candles.open, candles.low, candles.close, market.FAST, market.SLOW, market.STOP, market.FEE)

    def ours() -> Backtest:
        return run(bars, Plan(ema_crossings(bars.close, market.FAST, market.SLOW), stop=market.STOP), RULES)

    _check_agreement(ours(), floor(*arguments), candles)
    ours_seconds, floor_seconds = best(ours, ROUNDS), best(lambda: floor(*arguments), ROUNDS)
    yield row(
        "backtest_year",
        f"{bars.close.size} one-minute candles checked once before: averages, {ours().totals.trades} trades with "
        "2 % stop and 0.40 % fee, every fill and trade recorded, all account rules looked at",
        ours_seconds * 1e3,
        "ms",
        "floor: minimal Numba loop for the same trades",
        floor_seconds * 1e3,
        target=">= 0.4 (at most 2.5 x the floor); promise: 10 ms",
        packages=PACKAGES,
    )
    checked = best(lambda: Bars(bars.open_time, bars.open, bars.high, bars.low, bars.close), ROUNDS)
    yield row(
        "backtest_check",
        "looking at every price and time of these candles once, when their bars are made",
        checked * 1e3,
        "ms",
        "backtest_year",
        ours_seconds * 1e3,
        target="none",
        packages=PACKAGES,
    )


def backtest_signals() -> Iterator[Row]:
    candles, bars = _year()
    entries, exits = candles.entries, candles.exits
    floor = _compile_signals_floor()
    arguments = (candles.open, candles.low, candles.close, entries, exits, market.STOP, market.FEE)

    def ours() -> Backtest:
        return run(bars, Plan(Decisions.of_signals(entries, exits), stop=market.STOP), RULES)

    _check_agreement(ours(), floor(*arguments), candles)
    ours_seconds, floor_seconds = best(ours, ROUNDS), best(lambda: floor(*arguments), ROUNDS)
    yield row(
        "backtest_signals",
        f"the trades of backtest_year from {entries.sum() + exits.sum()} signals that are given as one flag per candle",
        ours_seconds * 1e3,
        "ms",
        "floor: minimal Numba loop for the same signals",
        floor_seconds * 1e3,
        target=">= 20 x vectorbt (make bench-peers)",
        packages=PACKAGES,
    )


def backtest_sweep100() -> Iterator[Row]:
    bars = _year()[1]

    def ours() -> Any:
        return sweep(bars, CrossingPlans(bars.close, PAIRS, market.STOP), RULES)

    def singly() -> list[Backtest]:
        return [run(bars, Plan(ema_crossings(bars.close, *pair), stop=market.STOP), RULES) for pair in PAIRS]

    finals = [one.totals.final_equity for one in singly()]
    if ours().totals["final_equity"].to_list() != finals:
        raise AssertionError("a sweep differs from its single runs: no time is worth telling")
    together, alone = best(ours, 5), best(singly, 2)
    yield row(
        "backtest_sweep100",
        f"{len(PAIRS)} pairs of averages over the year, {os.cpu_count()} threads, each its single run to the bit",
        together * 1e3,
        "ms",
        "single runs one after the other",
        alone * 1e3,
        target=">= 40 x vectorbt (make bench-peers); stretch 150 x",
        packages=PACKAGES,
    )


def backtest_cold() -> Iterator[Row]:
    _run_in_new_process(FIRST_CALL)  # puts the compiled code on disk where it is not there yet
    ours = min(_run_in_new_process(FIRST_CALL) for _ in range(3))
    numba = min(_run_in_new_process(IMPORT) for _ in range(3))
    yield row(
        "backtest_cold",
        "first back-test of a new process, from before the first import to its result, compiled code on disk",
        ours,
        "s",
        "importing Numba alone",
        numba,
        target="< 1 s",
        packages=PACKAGES,
    )


@cache
def _year() -> tuple[market.BenchmarkMarket, Bars]:
    year = market.year()
    return year, Bars(year.open_time, year.open, year.high, year.low, year.close)


def _compile_floor() -> Callable[..., Any]:
    from numba import njit

    @njit  # type: ignore[untyped-decorator]
    def floor(opened, low, close, fast, slow, stop, fee):  # type: ignore[no-untyped-def]
        """Return equity, worst drawdown and trades; averages in their fastest form, a * price + b * average."""
        equity = np.empty(close.size)
        quick, steady = close[:fast].mean(), close[:slow].mean()
        quick_new, steady_new = 2.0 / (fast + 1), 2.0 / (slow + 1)
        quick_old, steady_old = 1.0 - quick_new, 1.0 - steady_new
        for price in close[fast:slow]:
            quick = quick_new * price + quick_old * quick
        above = quick > steady
        equity[:slow] = 1.0
        cash, quantity, level, peak, worst, trades, order = 1.0, 0.0, 0.0, 1.0, 0.0, 0, 0
        for candle in range(slow, close.size):
            if order == 1 and quantity == 0.0:
                quantity, cash = cash / (opened[candle] * (1.0 + fee)), 0.0
                level = opened[candle] * (1.0 - stop)
                trades += 1
            elif order == -1 and quantity > 0.0:
                cash, quantity = quantity * opened[candle] * (1.0 - fee), 0.0
            order = 0
            if quantity > 0.0 and low[candle] <= level:
                cash, quantity = quantity * min(opened[candle], level) * (1.0 - fee), 0.0
            quick = quick_new * close[candle] + quick_old * quick
            steady = steady_new * close[candle] + steady_old * steady
            if (quick > steady) != above:
                above = not above
                order = 1 if above else -1
            value = cash + quantity * close[candle]
            equity[candle] = value
            peak = max(peak, value)
            worst = max(worst, 1.0 - value / peak)
        return equity, worst, trades

    return floor  # type: ignore[no-any-return]


def _compile_signals_floor() -> Callable[..., Any]:
    from numba import njit

    @njit  # type: ignore[untyped-decorator]
    def floor(opened, low, close, entries, exits, stop, fee):  # type: ignore[no-untyped-def]
        """Return equity, worst drawdown and trades."""
        equity = np.empty(close.size)
        cash, quantity, level, peak, worst, trades = 1.0, 0.0, 0.0, 1.0, 0.0, 0
        equity[0] = cash
        for candle in range(1, close.size):
            if entries[candle - 1] and quantity == 0.0:
                quantity, cash = cash / (opened[candle] * (1.0 + fee)), 0.0
                level = opened[candle] * (1.0 - stop)
                trades += 1
            elif exits[candle - 1] and quantity > 0.0:
                cash, quantity = quantity * opened[candle] * (1.0 - fee), 0.0
            if quantity > 0.0 and low[candle] <= level:
                cash, quantity = quantity * min(opened[candle], level) * (1.0 - fee), 0.0
            value = cash + quantity * close[candle]
            equity[candle] = value
            peak = max(peak, value)
            worst = max(worst, 1.0 - value / peak)
        return equity, worst, trades

    return floor  # type: ignore[no-any-return]


def _check_agreement(
    ours: Backtest, floor: tuple[Array, float, int], candles: market.BenchmarkMarket
) -> None:
    equity, worst, trades = floor
    same = np.allclose(ours.equity, equity, rtol=1e-9, atol=0.0) and math.isclose(
        ours.totals.max_drawdown, worst
    )
    if not same or ours.totals.trades != trades or trades != candles.entries[:-1].sum():
        raise AssertionError(
            f"kernel and floor disagree: {ours.totals.trades} and {trades} trades, "
            f"final equity {ours.equity[-1]} and {equity[-1]}"
        )


def _run_in_new_process(program: str) -> float:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


BENCHMARKS: dict[str, Benchmark] = {
    "backtest_year": backtest_year,
    "backtest_signals": backtest_signals,
    "backtest_sweep100": backtest_sweep100,
    "backtest_cold": backtest_cold,
}
