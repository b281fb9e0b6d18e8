"""vectorbt: `python -m benchmarks.peers.vectorbt_engine MARKET.npz TRADES.npz numba|rust [SWEEP.npz TOTALS.npz]`.

Signals stand at the candle they are decided at and are priced at the next candle's open. So the stop is looked for
from the entry candle on, and an exit at an open comes before that candle's range.
"""

import sys
import time
from typing import Any

import numpy as np
import vectorbt as vbt
from vectorbt.portfolio.enums import StopEntryPrice, StopExitPrice

from benchmarks.peers.protocol import Ledger, Market, best_of, report

RUNS = 25
WINDOWS = (9, 21)
CASH = 1e36  # fees leave 1e-27 of it, and vectorbt takes amounts below 1e-12 for nothing


def simulate(market: Market, entries: Any, exits: Any, engine: str) -> Any:
    """Simulate signals (n,), or (n, k) for k back-tests at once."""
    prices = (market.close, market.open, market.high, market.low, market.next_open)
    close, opened, high, low, price = (each.reshape(-1, *[1] * (entries.ndim - 1)) for each in prices)
    return vbt.Portfolio.from_signals(
        close=close, open=opened, high=high, low=low, price=price, entries=entries, exits=exits, sl_stop=market.stop,
        stop_entry_price=StopEntryPrice.FillPrice, stop_exit_price=StopExitPrice.StopMarket,
        fees=market.fee, init_cash=CASH, engine=engine,
    )  # fmt: skip


def run_backtest(market: Market, engine: str) -> Any:
    """Run a back-test with what it leaves behind: orders, trades, the equity curve and its drawdown."""
    return read_results(simulate(market, market.entries, market.exits, engine))


def run_from_prices(market: Market, engine: str) -> Any:
    """Run the same with its own averages and crosses; they start differently from ours, so only the time counts."""
    fast, slow = (vbt.MA.run(market.close, window, ewm=True, engine=engine) for window in WINDOWS)
    entries, exits = fast.ma_crossed_above(slow).to_numpy(), fast.ma_crossed_below(slow).to_numpy()
    return read_results(simulate(market, entries, exits, engine))


def read_results(portfolio: Any) -> Any:
    return portfolio.trades.values, portfolio.value(), portfolio.total_return(), portfolio.max_drawdown()


def make_ledger(trades: Any, market: Market) -> Ledger:
    closed = trades[trades["status"] == 1]
    row, price = closed["exit_idx"], closed["exit_price"]
    stopped = market.low[row] <= closed["entry_price"] * (1 - market.stop)  # a stop goes before a signal
    signalled = market.exits[row] & ~stopped & (price == market.next_open[row])
    return Ledger(
        entry_time=market.open_time[closed["entry_idx"] + 1],
        exit_time=market.open_time[row + signalled],
        entry_price=closed["entry_price"],
        exit_price=price,
        equity=(closed["size"] * price - closed["exit_fees"]) / CASH,
    )


def run_sweep(market: Market, sweep_file: str, totals_file: str, engine: str) -> dict[str, float]:
    """Return seconds for all columns of signals; final equity and trades of each go to `totals_file`."""
    signals = np.load(sweep_file)
    entries, exits = signals["entries"], signals["exits"]
    columns = [(entries[:, each].copy(), exits[:, each].copy()) for each in range(entries.shape[1])]
    at_once, _ = measure(lambda: read_results(simulate(market, entries, exits, engine)))
    one_by_one, found = measure(
        lambda: [read_results(simulate(market, *column, engine))[0] for column in columns]
    )
    pairs = list(zip(signals["fast"].tolist(), signals["slow"].tolist(), strict=True))
    from_averages, _ = measure(lambda: sweep_from_prices(market, pairs, engine))
    ledgers = [make_ledger(trades, market) for trades in found]
    final = [each.equity[-1] if each.equity.size else 1.0 for each in ledgers]
    np.savez(totals_file, equity=final, trades=[each.equity.size for each in ledgers])
    return {
        "seconds_sweep": min(at_once, one_by_one),
        "seconds_sweep_at_once": at_once,
        "seconds_sweep_one_by_one": one_by_one,
        "seconds_sweep_from_prices": from_averages,
    }


def sweep_from_prices(market: Market, pairs: list[tuple[int, int]], engine: str) -> None:
    """Run the pairs one by one, each average computed once."""
    windows = {window for pair in pairs for window in pair}
    averages = {window: vbt.MA.run(market.close, window, ewm=True, engine=engine) for window in windows}
    for fast, slow in pairs:
        crossed = (
            averages[fast].ma_crossed_above(averages[slow]),
            averages[fast].ma_crossed_below(averages[slow]),
        )
        read_results(simulate(market, *(each.to_numpy() for each in crossed), engine))


def measure(run: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def main(market_file: str, trades_file: str, engine: str, *sweep: str) -> None:
    market = Market.read(market_file)
    alone, _ = best_of(lambda: simulate(market, market.entries, market.exits, engine), RUNS)
    seconds, (trades, *_) = best_of(lambda: run_backtest(market, engine), RUNS)
    whole, _ = best_of(lambda: run_from_prices(market, engine), RUNS)
    more = {"seconds_orders_only": alone, "seconds_from_prices": whole}
    if sweep:
        more |= run_sweep(market, *sweep, engine)
    report(f"vectorbt {engine}", vbt.__version__, seconds, make_ledger(trades, market), trades_file, **more)


if __name__ == "__main__":
    main(*sys.argv[1:])
