"""NautilusTrader: `python -m benchmarks.peers.nautilus_engine MARKET.npz TRADES.npz`.

It fills a market order given at a bar's close at that bar's last price, so each bar is given the next bar's open as
its last price: decisions then fill where they do elsewhere. It trades one unit throughout, because its money has 9
decimals and fees would leave 1e-27 of an account that is always all in; equity is compounded from its fills.
"""

import sys
import time
from decimal import Decimal

import nautilus_trader
import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

from benchmarks.peers.protocol import Ledger, Market, compound, microseconds, report

VENUE = Venue("SIM")
NAME = InstrumentId(Symbol("BTCUSDT"), VENUE)
DIGITS = 6  # of prices: a stop below a price in cents is exact
MINUTE = 60_000_000_000


def make_instrument(fee: float) -> CurrencyPair:
    increment = Price(10**-DIGITS, DIGITS)
    return CurrencyPair(
        instrument_id=NAME, raw_symbol=NAME.symbol, base_currency=BTC, quote_currency=USDT,
        price_precision=DIGITS, size_precision=6, price_increment=increment,
        size_increment=Quantity.from_str("0.000001"), lot_size=None, max_quantity=None, min_quantity=None,
        max_notional=None, min_notional=None, max_price=None, min_price=None,
        margin_init=Decimal(0), margin_maint=Decimal(0), maker_fee=Decimal(str(fee)), taker_fee=Decimal(str(fee)),
        ts_event=0, ts_init=0,
    )  # fmt: skip


class Crossing(Strategy):
    def __init__(self, market: Market, traded: CurrencyPair, bars: BarType) -> None:
        super().__init__()
        self.entries, self.exits = market.entries.tolist(), market.exits.tolist()
        self.below = 1 - market.stop
        self.traded, self.bars = traded, bars
        self.unit = Quantity.from_str("1.000000")
        self.row = -1
        self.protection = None
        self.long = False

    def on_start(self) -> None:
        self.subscribe_bars(self.bars)

    def on_bar(self, bar) -> None:
        self.row += 1
        if self.entries[self.row]:
            self.submit_order(self.order_factory.market(NAME, OrderSide.BUY, self.unit))
        elif self.exits[self.row] and self.long:
            self.cancel_order(self.protection)
            self.submit_order(self.order_factory.market(NAME, OrderSide.SELL, self.unit))

    def on_position_opened(self, event) -> None:
        self.long = True
        trigger = self.traded.make_price(event.avg_px_open * self.below)
        self.protection = self.order_factory.stop_market(NAME, OrderSide.SELL, self.unit, trigger)
        self.submit_order(self.protection)

    def on_position_closed(self, event) -> None:
        self.long = False


def make_bars(market: Market, traded: CurrencyPair, kind: BarType) -> list:
    """Make bars, each of which ends with the next one's open."""
    frame = pd.DataFrame(
        {
            "open": market.open,
            "high": np.maximum(market.high, market.next_open),
            "low": np.minimum(market.low, market.next_open),
            "close": market.next_open,
            "volume": np.full(market.open.size, 1e6),
        },
        index=pd.to_datetime(market.open_time * 1000 + MINUTE, unit="ns", utc=True),
    )
    return BarDataWrangler(kind, traded).process(frame)


def main(market_file: str, trades_file: str) -> None:
    market = Market.read(market_file)
    traded = make_instrument(market.fee)
    kind = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")
    quiet = LoggingConfig(bypass_logging=True)
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id=TraderId("PEER-001"), logging=quiet, run_analysis=False)
    )
    engine.add_venue(
        VENUE, oms_type=OmsType.NETTING, account_type=AccountType.CASH, base_currency=None,
        starting_balances=[Money(5_000_000_000, USDT), Money(10, BTC)],
    )  # fmt: skip
    engine.add_instrument(traded)
    engine.add_data(make_bars(market, traded, kind))
    engine.add_strategy(Crossing(market, traded, kind))
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    ledger, fees = read_ledger(engine, market)
    report("NautilusTrader", nautilus_trader.__version__, seconds, ledger, trades_file, fees_of_value=fees)


def read_ledger(engine: BacktestEngine, market: Market) -> tuple[Ledger, float]:
    """Read closed trades from the fills: a decision fills at the close it was made at, which is the next bar's open."""
    fills = engine.trader.generate_fills_report().sort_values("ts_event", kind="stable")
    buying = (fills["order_side"] == "BUY").to_numpy()
    price = fills["last_px"].astype(float).to_numpy()
    stopped = (fills["order_type"] == "STOP_MARKET").to_numpy()
    row = microseconds(pd.to_datetime(fills["ts_event"], utc=True))
    row = (row - market.open_time[0]) // 60_000_000 - 1  # of the bar that ended then
    leaving = np.flatnonzero(~buying)
    entering = np.flatnonzero(buying)[: leaving.size]
    paid = fills["commission"].astype(str).str.split().str[0].astype(float).to_numpy()
    entry, exit_ = price[entering], price[leaving]
    ledger = Ledger(
        entry_time=market.open_time[row[entering] + 1],
        exit_time=market.open_time[row[leaving] + ~stopped[leaving]],
        entry_price=entry,
        exit_price=exit_,
        equity=compound(entry, exit_, market.fee),
    )
    return ledger, float(paid.sum() / price.sum())


if __name__ == "__main__":
    main(*sys.argv[1:])
