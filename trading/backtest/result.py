"""The result of a back-test: equity, every fill, every trade, and sums over the whole."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.backtest.bars import Bars, utc
from trading.backtest.records import EntryRefusal, Reason, Records
from trading.market import TIME

Array = npt.NDArray[np.float64]

REASON = pl.Enum([reason.name.lower() for reason in Reason])
DIRECTION = pl.Enum(["long", "short"])
SIDE = pl.Enum(["buy", "sell"])

TRADE_SCHEMA = pl.Schema(
    {
        "entry_time": TIME,  # open time of the candle, or of the row of the path, in which it happened
        "exit_time": TIME,
        "direction": DIRECTION,
        "quantity": pl.Float64(),  # base currency, all that was entered
        "entry_price": pl.Float64(),  # average paid, price concession included, fees not
        "exit_price": pl.Float64(),  # average received; for reason "end" what is left counts at the last close
        "entry_fee": pl.Float64(),  # quote currency
        "exit_fee": pl.Float64(),
        "margin_cost": pl.Float64(),  # opening fee and rollovers
        "pnl": pl.Float64(),  # quote currency, after all of them
        "return": pl.Float64(),  # pnl / value entered
        "reason": REASON,  # of the end: signal, stop, take_profit, trailing, liquidation, end (still open)
    }
)
FILL_SCHEMA = pl.Schema(
    {
        "time": TIME,
        "side": SIDE,
        "quantity": pl.Float64(),
        "price": pl.Float64(),
        "fee": pl.Float64(),
        "held": pl.Float64(),  # position afterwards, below zero short
        "reason": REASON,
    }
)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over one back-test, in quote currency where they are amounts.

    `trades`, `winners` and the gross sums count a position that is still open as its last close stands. A
    refused order counts at every candle at which it was tried, under the first rule that refused it; a target whose
    position protection has ended counts once each time that it comes again (`refused_earlier_exit`).
    """

    final_equity: float
    total_return: float  # share of the opening equity
    max_drawdown: float  # share below the highest close before
    trades: int
    winners: int
    gross_profit: float
    gross_loss: float  # not below zero
    fills: int
    fees: float
    margin_costs: float
    turnover: float  # traded value at the venue's prices, each in multiples of the equity at the time
    held: float  # share of closes at which a position was held
    refused_insolvent: int
    refused_shorts: int
    refused_leverage: int
    refused_drawdown_pause: int
    refused_daily_loss: int
    refused_cool_down: int
    refused_earlier_exit: int
    paused_at: datetime | None  # open time of the candle at whose close the drawdown pause began

    @property
    def refused(self) -> dict[str, int]:
        """Refused orders by the rule that refused them."""
        names = [refusal.name.lower() for refusal in EntryRefusal]
        return {name: getattr(self, f"refused_{name}") for name in names}

    @classmethod
    def of(cls, account: Records, bars: Bars, opening_equity: float) -> "Totals":
        """Read the account (1,) that the kernel leaves."""
        left = dict(zip(account.dtype.names or (), account[0].item(), strict=True))
        same = {name: left[name] for name in cls.__dataclass_fields__ if name in left}
        return cls(
            **same,
            final_equity=left["equity"],
            total_return=left["equity"] / opening_equity - 1.0,
            max_drawdown=left["drawdown"],
            held=left["candles_held"] / len(bars),
            paused_at=utc(bars.open_time[left["paused"]]) if left["paused"] >= 0 else None,
        )


@dataclass(frozen=True, eq=False)
class Backtest:
    """One back-test with everything it leaves behind. Tables are built when they are first asked for."""

    bars: Bars
    equity: Array  # (n,) at each close, in quote currency
    daily_equity: Array  # (d,) at the last close of each UTC day that has a candle
    totals: Totals
    path_candles: int  # candles inside which exits were followed along a finer path
    fill_records: Records
    trade_records: Records
    opening_quantity: float = 0.0  # held before the first open

    @cached_property
    def trades(self) -> pl.DataFrame:
        """One row per position from flat to flat, TRADE_SCHEMA, by the time of its end."""
        trades = self.trade_records
        long = trades["direction"] > 0
        columns = {name: trades[name] for name in trades.dtype.names or ()}
        columns["direction"] = np.where(long, 0, 1)
        columns["return"] = trades["pnl"] / (trades["quantity"] * trades["entry_price"])
        return _build_table(columns, TRADE_SCHEMA)

    @cached_property
    def fills(self) -> pl.DataFrame:
        """One row per order that was executed, FILL_SCHEMA."""
        fills = self.fill_records
        columns = {name: fills[name] for name in fills.dtype.names or ()}
        columns["side"] = np.where(fills["quantity"] > 0, 0, 1)
        columns["quantity"] = np.abs(fills["quantity"])
        return _build_table(columns, FILL_SCHEMA)

    @cached_property
    def quantity(self) -> Array:
        """(n,) what is held at each close, base currency, below zero short."""
        fills = self.fill_records
        begins = np.concatenate([[0], fills["candle"], [self.equity.size]])
        return np.repeat(np.concatenate([[self.opening_quantity], fills["held"]]), np.diff(begins))

    @cached_property
    def exposure(self) -> Array:
        """(n,) position value / equity at each close; NaN where no equity is left."""
        worth = np.where(self.equity > 0, self.equity, np.nan)
        return self.quantity * self.bars.close / worth


def _build_table(columns: dict[str, npt.NDArray[np.generic]], schema: pl.Schema) -> pl.DataFrame:
    """Build a table; values of Enum columns are positions in their categories."""
    series = []
    for name, kind in schema.items():
        values = np.ascontiguousarray(columns[name])
        if isinstance(kind, pl.Enum):
            categories = kind.categories.to_numpy()
            series.append(pl.Series(name, categories[values], dtype=kind))
        else:
            series.append(pl.Series(name, values).cast(kind))
    return pl.DataFrame(series)
