"""The report of a back-test: metrics beside buy and hold, months, intervals, and every trade."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.backtest import Backtest, Totals
from trading.errors import InvalidValue
from trading.market import Pair, Timeframe, Universe
from trading.metrics import Interval, Metric, MetricsSummary, drawdowns, summarise, with_intervals

Array = npt.NDArray[np.float64]

METRIC_COLUMNS = ("metric", "strategy", "buy and hold", "likely between")
COST_COLUMNS = ("costs", "total return", "maximum drawdown", "trades", "fees")
TRADE_COLUMNS = ("entry", "exit", "direction", "entry price", "exit price", "return", "costs", "ended by")


@dataclass(frozen=True, slots=True)
class Resampling:
    """How confidence intervals are computed: block bootstrap of the returns per UTC day and of the trades."""

    resamples: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise InvalidValue(f"confidence is {self.confidence}: allowed is between 0 and 1")


@dataclass(frozen=True, slots=True, eq=False)
class BacktestReport:
    """Equity is counted in what the account opened with; shares are of equity (0.1 = 10 %)."""

    pair: Pair
    strategy: str
    dataset: str
    timeframe: str
    first_open: datetime
    last_close: datetime
    candles: int
    summary: MetricsSummary
    holding: MetricsSummary  # everything bought at the first chance, at the same costs
    result: Backtest
    at_costs: Mapping[float, Totals]  # the same plan by multiples of all its costs
    curves: pl.DataFrame  # close_time, close, equity, holding, drawdown; one row per candle
    months: pl.DataFrame  # year, month, return
    resampling: Resampling
    taker_fees: tuple[tuple[date, float], ...]  # each from its day on; those that these candles paid
    notes: tuple[str, ...]
    scope: str  # which part of the history, on which terms; empty: all that is stored

    @property
    def name(self) -> str:
        """A file name of its own for each question."""
        parts = ("backtest", self.dataset, self.pair.key, self.strategy, self.scope)
        return "-".join(part for part in parts if part)

    @property
    def trades(self) -> pl.DataFrame:
        return self.result.trades

    @property
    def headline(self) -> str:
        """One sentence."""
        time = f"{self.first_open:%Y-%m-%d} to {self.last_close:%Y-%m-%d}"
        return (
            f"{self.strategy} on {self.pair}, {self.dataset}, {time}: "
            f"{self.summary.total_return:+.1%} after costs in {_count(self.trades.height, 'trade')}"
            f"{self._pause_words()}, buy and hold {self.holding.total_return:+.1%}"
        )

    @property
    def paused_days(self) -> int:
        """Whole days from the drawdown pause to the end; 0 when trading was never paused."""
        paused_at = self.result.totals.paused_at
        return (self.last_close - paused_at).days if paused_at else 0

    def _pause_words(self) -> str:
        paused_at = self.result.totals.paused_at
        if not paused_at:
            return ""
        days = _count((self.last_close - self.first_open).days, "day")
        return (
            f" until the drawdown pause of {paused_at:%Y-%m-%d}, then none for {self.paused_days} of {days}"
        )

    def _fee_words(self) -> str:
        """Say which fee held from when on; of the first one only what it is: nothing here was traded before it."""
        (_, first), *later = self.taker_fees
        return ", ".join([f"{100 * first:.2f} %", *(f"{100 * fee:.2f} % since {day}" for day, fee in later)])

    @property
    def explanations(self) -> tuple[str, ...]:
        """Notes on what kept the strategy from trading and on the intervals."""
        totals = self.result.totals
        refused = [f"{count} by {rule.replace('_', ' ')}" for rule, count in totals.refused.items() if count]
        lines = [
            f"likely between: {self.resampling.confidence:.0%} of {self.resampling.resamples} resamples, in blocks, of "
            "its own daily returns and trades",
            "a trade is a position from flat to flat; one that is open at the end counts as its last close stands",
            f"taker fee {self._fee_words()} of the value traded, as the venue charged it at the time",
        ]
        if totals.paused_at:
            lines.append(
                f"paused by drawdown at {totals.paused_at:%Y-%m-%d %H:%M} UTC: nothing was opened after it"
            )
        if refused:
            lines.append(
                f"{_count(sum(totals.refused.values()), 'order')} refused, counted at each candle: {', '.join(refused)}"
            )
        return tuple(lines)

    def cost_rows(self) -> list[tuple[str, ...]]:
        """Format what the same plan earns at multiples of its costs, as text in COST_COLUMNS."""
        return [
            (
                f"{multiple:g} x",
                f"{totals.total_return:+.2%}",
                f"{totals.max_drawdown:.2%}",
                f"{totals.trades:,}",
                f"{totals.fees:.2%}",
            )
            for multiple, totals in self.at_costs.items()
        ]

    def metric_rows(self) -> list[tuple[str, ...]]:
        """Format label, value, that of buy and hold, and interval, as text."""
        buy_and_hold = {metric.name: value for metric, value, _ in self.holding.rows()}
        return [
            (
                metric.label,
                metric.text(value),
                metric.text(buy_and_hold[metric.name]),
                _format_interval(metric, interval),
            )
            for metric, value, interval in self.summary.rows()
        ]

    def trade_rows(self, maximum: int) -> Iterator[tuple[str, ...]]:
        """Format the newest trades as text, newest first."""
        for trade in reversed(self.trades.tail(maximum).to_dicts()):
            costs = trade["entry_fee"] + trade["exit_fee"] + trade["margin_cost"]
            yield (
                f"{trade['entry_time']:%Y-%m-%d %H:%M}",
                f"{trade['exit_time']:%Y-%m-%d %H:%M}",
                trade["direction"],
                f"{trade['entry_price']:.8g}",
                f"{trade['exit_price']:.8g}",
                f"{trade['return']:+.2%}",
                f"{costs / (trade['quantity'] * trade['entry_price']):.2%}",
                trade["reason"].replace("_", " "),
            )

    def headline_numbers(self) -> dict[str, float | int]:
        """Return the few numbers that are compared over time."""
        names = ("total_return", "annualised_sharpe", "maximum_drawdown", "probabilistic_sharpe", "exposure")
        known = {name: getattr(self.summary, name) for name in names}
        return {name: value for name, value in known.items() if value is not None} | {
            "buy_and_hold_return": self.holding.total_return,
            "paused_days": self.paused_days,
            "refused_orders": sum(self.result.totals.refused.values()),
            **{
                f"return_at_{multiple:g}x_costs": each.total_return
                for multiple, each in self.at_costs.items()
            },
        }

    def facts(self) -> dict[str, Any]:
        """Return everything but the curves as plain JSON values, with what an outsider needs to check the sums."""
        totals = self.result.totals
        pnl = float(self.trades["pnl"].sum())
        return {
            "pair": str(self.pair),
            "strategy": self.strategy,
            "dataset": self.dataset,
            "timeframe": self.timeframe,
            "from": self.first_open.isoformat(),
            "to": self.last_close.isoformat(),
            "candles": self.candles,
            **self.summary.as_json(),
            "buy_and_hold": self.holding.as_json(),
            "trades": self.trades.height,
            "fees": totals.fees,
            "taker_fees": {day.isoformat(): fee for day, fee in self.taker_fees},
            "margin_costs": totals.margin_costs,
            "at_costs": {
                f"{multiple:g}x": {
                    "total_return": each.total_return,
                    "maximum_drawdown": each.max_drawdown,
                    "trades": each.trades,
                    "fees": each.fees,
                }
                for multiple, each in self.at_costs.items()
            },
            "refused": totals.refused,
            "paused_days": self.paused_days,
            "paused_at": totals.paused_at.isoformat() if totals.paused_at else None,
            "unexplained": totals.final_equity - 1.0 - pnl,
            "backward_trades": self.trades.filter(pl.col("exit_time") < pl.col("entry_time")).height,
            "notes": list(self.notes),
        }


def report(
    *,
    pair: Pair,
    strategy: str,
    universe: Universe,
    candles: pl.DataFrame,
    result: Backtest,
    buy_and_hold: Backtest,
    at_costs: Mapping[float, Totals],
    resampling: Resampling,
    taker_fees: Sequence[tuple[date, float]],
    notes: tuple[str, ...],
    scope: str = "",
) -> BacktestReport:
    """Build the report; `result` and `buy_and_hold` opened with an equity of 1 and ran over `candles`."""
    per_year = universe.timeframe.per_year
    pnls = result.trades["pnl"].to_numpy()
    summary = with_intervals(
        _summary(result, per_year),
        np.append(1.0, result.daily_equity),
        per_year / Timeframe.D1.per_year,
        trade_pnls=pnls,
        resamples=resampling.resamples,
        confidence=resampling.confidence,
        seed=resampling.seed,
    )
    return BacktestReport(
        pair=pair,
        strategy=strategy,
        dataset=universe.dataset,
        timeframe=universe.timeframe.value,
        first_open=candles["open_time"][0],
        last_close=candles["close_time"][-1],
        candles=candles.height,
        summary=summary,
        holding=_summary(buy_and_hold, per_year),
        result=result,
        at_costs=at_costs,
        curves=candles.select(
            "close_time",
            "close",
            equity=pl.Series(result.equity),
            holding=pl.Series(buy_and_hold.equity),
            drawdown=pl.Series(drawdowns(result.equity)),
        ),
        months=monthly_returns(candles["close_time"], result.equity),
        resampling=resampling,
        taker_fees=_paid_fees(taker_fees, candles["open_time"][0].date(), candles["open_time"][-1].date()),
        notes=notes,
        scope=scope,
    )


def _paid_fees(fees: Sequence[tuple[date, float]], first: date, last: date) -> tuple[tuple[date, float], ...]:
    """Return the fees that held between these days."""
    begun = [number for number, (day, _) in enumerate(fees) if day <= first]
    return tuple(each for each in fees[begun[-1] if begun else 0 :] if each[0] <= last) or tuple(fees[:1])


def monthly_returns(close_time: pl.Series, equity: Array) -> pl.DataFrame:
    """Compute `year`, `month`, `return`: what each UTC month added, from 1.0 before the first close.

    A candle belongs to the month in which it was open: one that closes at midnight closes the month before.
    """
    moments = close_time.dt.offset_by("-1us")
    ends = (
        pl.DataFrame({"year": moments.dt.year(), "month": moments.dt.month(), "equity": equity})
        .group_by("year", "month", maintain_order=True)
        .last()
    )
    before = pl.col("equity").shift(1, fill_value=1.0)
    return ends.select("year", "month", (pl.col("equity") / before - 1).alias("return"))


def _summary(result: Backtest, per_year: float) -> MetricsSummary:
    return summarise(
        result.equity,
        per_year,
        trade_pnls=result.trades["pnl"].to_numpy(),
        turnover=result.totals.turnover,
        exposures=np.nan_to_num(result.exposure, nan=0.0),  # no position where no equity is left
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _format_interval(metric: Metric, interval: Interval | None) -> str:
    return f"{metric.text(interval.low)} … {metric.text(interval.high)}" if interval else ""
