"""Our own back-test of the signals that the peers are given, with their few rules: all in, no short, one stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import overload

import numpy as np
import numpy.typing as npt

from benchmarks.crossings import CrossingPlans, ema_crossings
from benchmarks.market import FAST, SLOW
from benchmarks.peers.protocol import Ledger, Market, best_of
from trading.backtest import (
    AccountRules,
    Backtest,
    Bars,
    Decisions,
    Plan,
    Sweep,
    run,
    sweep,
)
from trading.fills import Costs

RUNS = 30
SWEEPS = 3
NEVER = float("inf")
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OurResult:
    """Our back-test of the signals of a market."""

    seconds: float  # signals given
    from_prices: float  # averages and crosses too
    ledger: Ledger
    stopped: int  # trades that a stop ended
    gapped: Flags  # per trade: the stop was passed between two candles


def make_rules(market: Market) -> AccountRules:
    """Return rules that are all watched, at limits that are never reached: the peers have none."""
    return AccountRules(
        costs=Costs(taker_fee=market.fee, half_spread=0.0, slippage=0.0),
        drawdown_pause=NEVER, daily_loss=NEVER, losing_streak=0, cool_down=timedelta(0),
        cool_down_candles=0, trailing_after=1.0, leverage=1.0, shorts=False, margin=None,
    )  # fmt: skip


def signal_plan(entries: Flags, exits: Flags, stop: float) -> Plan:
    return Plan(Decisions.of_signals(entries, exits), stop=stop)


class SignalPlans(Sequence[Plan]):
    """Plans of (n,) signals, each made when it is asked for: the peers' time starts with signals, so does ours."""

    def __init__(self, signals: list[tuple[Flags, Flags]], stop: float) -> None:
        self._signals, self._stop = signals, stop

    def __len__(self) -> int:
        return len(self._signals)

    @overload
    def __getitem__(self, number: int) -> Plan: ...
    @overload
    def __getitem__(self, number: slice) -> "SignalPlans": ...
    def __getitem__(self, number: int | slice) -> "Plan | SignalPlans":
        if isinstance(number, slice):
            return SignalPlans(self._signals[number], self._stop)
        return signal_plan(*self._signals[number], self._stop)


def backtest(market: Market) -> OurResult:
    bars, limits = make_bars(market), make_rules(market)
    signals = market.entries, market.exits, market.stop
    seconds, found = best_of(lambda: run(bars, signal_plan(*signals), limits), RUNS)
    from_prices, same = best_of(lambda: run(bars, crossing_plan(market), limits), RUNS)
    assert same.totals == found.totals, "averages computed here and in the market file cross elsewhere"
    trades = found.trades.filter(found.trades["reason"] != "end")
    ledger = make_ledger(found, market)
    row = np.searchsorted(market.open_time, ledger.exit_time)
    passed = market.open[row] <= ledger.entry_price * (1 - market.stop)
    return OurResult(seconds, from_prices, ledger, int((trades["reason"] == "stop").sum()), passed)


def make_ledger(found: Backtest, market: Market) -> Ledger:
    trades = found.trades.filter(found.trades["reason"] != "end")
    entry, leave = (trades[name].to_physical().to_numpy() for name in ("entry_time", "exit_time"))
    return Ledger(
        entry_time=entry,
        exit_time=leave,
        entry_price=trades["entry_price"].to_numpy(),
        exit_price=trades["exit_price"].to_numpy(),
        equity=found.equity[np.searchsorted(market.open_time, leave)],
    )


def run_sweep(
    market: Market, entries: Flags, exits: Flags, pairs: list[tuple[int, int]]
) -> tuple[float, float, Sweep]:
    """Return seconds for one back-test per column of signals, then with the averages of `pairs` too; and their sums."""
    bars, limits = make_bars(market), make_rules(market)
    columns = [(entries[:, column].copy(), exits[:, column].copy()) for column in range(entries.shape[1])]
    plans = SignalPlans(columns, market.stop)
    given, found = best_of(lambda: sweep(bars, plans, limits), SWEEPS)
    from_prices, _ = best_of(
        lambda: sweep(bars, CrossingPlans(market.close, pairs, market.stop), limits), SWEEPS
    )
    return given, from_prices, found


def crossing_plan(market: Market) -> Plan:
    return Plan(ema_crossings(market.close, FAST, SLOW), stop=market.stop)


def make_bars(market: Market) -> Bars:
    return Bars(market.open_time, market.open, market.high, market.low, market.close)
