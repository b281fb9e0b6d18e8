"""freqtrade: `python -m benchmarks.peers.freqtrade_engine MARKET.npz TRADES.npz`.

Its back-test loop on candles from memory, with the market's description given instead of fetched. It stakes one
amount throughout, because an account that is always all in falls below the smallest amounts it trades; equity is
compounded from its fills.
"""

import importlib.metadata
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting

from benchmarks.peers.protocol import Ledger, Market, compound, microseconds, report

PAIR = "BTC/USDT"
STRATEGY = """
import os
import numpy as np
from freqtrade.strategy import IStrategy

class Crossing(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    minimal_roi = {}
    stoploss = -float(os.environ["PEER_STOP"])
    startup_candle_count = 0
    use_exit_signal = True
    process_only_new_candles = True

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = dataframe["entries"]
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe["exit_long"] = dataframe["exits"]
        return dataframe
"""
DESCRIPTION = {
    "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "active": True, "spot": True, "swap": False,
    "future": False, "option": False, "margin": False, "type": "spot", "contract": False, "linear": None,
    "contractSize": None, "taker": 0.001, "maker": 0.001, "info": {},
    "precision": {"amount": 1e-12, "price": 1e-9},
    "limits": {"amount": {"min": None, "max": None}, "cost": {"min": None, "max": None},
               "price": {"min": None, "max": None}, "leverage": {"min": None, "max": None}},
}  # fmt: skip


class OfflineExchange(Exchange):
    """An exchange with one pair and no network."""

    _ft_has: ClassVar = {"ohlcv_candle_limit": 1000}

    def reload_markets(self, *arguments, **options) -> None:
        self._markets = {PAIR: DESCRIPTION}

    @property
    def precisionMode(self) -> int:  # noqa: N802
        return 4  # tick size

    @property
    def precision_mode_price(self) -> int:
        return 4


def configuration(market: Market, folder: Path) -> dict:
    (folder / "crossing.py").write_text(STRATEGY)
    return {
        "runmode": RunMode.BACKTEST, "dry_run": True, "dry_run_wallet": 1_000_000_000, "stake_currency": "USDT",
        "stake_amount": 100_000, "max_open_trades": 1, "tradable_balance_ratio": 1.0, "timeframe": "1m",
        "fee": market.fee, "strategy": "Crossing", "strategy_path": str(folder), "user_data_dir": folder,
        "datadir": folder, "trading_mode": "spot", "margin_mode": "", "candle_type_def": CandleType.SPOT,
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": [], "key": "", "secret": ""},
        "pairlists": [{"method": "StaticPairList"}], "entry_pricing": {"price_side": "same"},
        "exit_pricing": {"price_side": "same"}, "unfilledtimeout": {"entry": 10, "exit": 10}, "export": "none",
        "dataformat_ohlcv": "feather", "dataformat_trades": "feather", "internals": {}, "original_config": {},
    }  # fmt: skip


def main(market_file: str, trades_file: str) -> None:
    logging.disable(logging.WARNING)
    market = Market.read(market_file)
    os.environ["PEER_STOP"] = str(market.stop)
    with tempfile.TemporaryDirectory() as folder:
        config = configuration(market, Path(folder))
        exchange = OfflineExchange(config, validate=False)
        exchange.reload_markets()
        backtesting = Backtesting(config, exchange)
        backtesting._set_strategy(backtesting.strategylist[0])
        candles = pd.DataFrame(
            {
                "date": pd.to_datetime(market.open_time, unit="us", utc=True),
                "open": market.open, "high": market.high, "low": market.low, "close": market.close,
                "volume": np.full(market.open.size, 1e6),
                "entries": market.entries.astype(int), "exits": market.exits.astype(int),
            }
        )  # fmt: skip
        first, last = candles["date"].iloc[0], candles["date"].iloc[-1]
        began = time.perf_counter()
        found = backtesting.backtest({PAIR: candles}, first.to_pydatetime(), last.to_pydatetime())
        seconds = time.perf_counter() - began
    trades = found["results"]
    trades = trades[trades["exit_reason"] != "force_exit"]
    entry, leave = trades["open_rate"].to_numpy(), trades["close_rate"].to_numpy()
    ledger = Ledger(
        entry_time=microseconds(trades["open_date"]),
        exit_time=microseconds(trades["close_date"]),
        entry_price=entry,
        exit_price=leave,
        equity=compound(entry, leave, market.fee),
    )
    report("freqtrade", importlib.metadata.version("freqtrade"), seconds, ledger, trades_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
