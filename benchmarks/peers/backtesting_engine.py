"""backtesting.py: `python -m benchmarks.peers.backtesting_engine MARKET.npz TRADES.npz`.

Its stop is an absolute price given with the order, so it is computed from the open that the order will fill at:
what a broker's relative stop does. Only where the market then opens so far above the last close that the stop would
lie above that close too, the engine refuses it, and gets the close less a hair: such a stop comes too late.
"""

import sys
import time
import warnings

import backtesting
import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy

from benchmarks.peers.protocol import Ledger, Market, report

CASH = 1e45  # it trades whole units, and fees leave 1e-27 of what there was
warnings.simplefilter("ignore")


def make_strategy(market: Market) -> type[Strategy]:
    entries, exits = market.entries.tolist(), market.exits.tolist()
    stops = np.minimum(market.next_open * (1 - market.stop), market.close * (1 - 1e-9)).tolist()

    class Crossing(Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            row = len(self.data) - 1
            if entries[row]:
                self.buy(sl=stops[row])
            elif exits[row]:
                self.position.close()

    return Crossing


def main(market_file: str, trades_file: str) -> None:
    market = Market.read(market_file)
    prices = {"Open": market.open, "High": market.high, "Low": market.low, "Close": market.close}
    candles = pd.DataFrame(prices, index=pd.to_datetime(market.open_time, unit="us"))
    began = time.perf_counter()
    found = Backtest(candles, make_strategy(market), cash=CASH, commission=market.fee).run()
    seconds = time.perf_counter() - began
    trades = found["_trades"].sort_values("ExitBar")
    equity = found["_equity_curve"]["Equity"].to_numpy()
    ledger = Ledger(
        entry_time=market.open_time[trades["EntryBar"].to_numpy()],
        exit_time=market.open_time[trades["ExitBar"].to_numpy()],
        entry_price=trades["EntryPrice"].to_numpy(np.float64),
        exit_price=trades["ExitPrice"].to_numpy(np.float64),
        equity=equity[trades["ExitBar"].to_numpy()] / CASH,
    )
    report("backtesting.py", backtesting.__version__, seconds, ledger, trades_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
