"""Every metric of one back-test at once, with confidence intervals, for tables, reports and metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.metrics import activity, formulas, performance
from trading.metrics.bootstrap import Interval, bootstrap, percentile_interval
from trading.metrics.catalogue import METRICS, Metric
from trading.metrics.checks import Array, check_confidence, check_per_year, checked_numbers, ruined_at_zero
from trading.metrics.sharpe_tests import TrackRecord, probabilistic_sharpe_ratio

DAYS_PER_YEAR = 365.0  # crypto never closes


@dataclass(frozen=True, slots=True)
class MetricsSummary:
    """The metrics of one back-test; `catalogue.METRICS` explains each field and gives its unit. None: no such value."""

    total_return: float
    cagr: float | None
    annualised_volatility: float | None
    annualised_sharpe: float | None
    sortino_ratio: float | None
    calmar_ratio: float | None
    maximum_drawdown: float
    longest_drawdown: int
    tail_ratio: float | None
    probabilistic_sharpe: float | None
    trades: int | None
    hit_rate: float | None
    profit_factor: float | None
    expectancy: float | None
    average_win: float | None
    average_loss: float | None
    turnover: float | None
    exposure: float | None
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    """By field name, for those that could be computed."""

    def rows(self) -> list[tuple[Metric, float | None, Interval | None]]:
        """Return every metric with its value and interval, in the order of the catalogue."""
        return [(each, getattr(self, each.name), self.intervals.get(each.name)) for each in METRICS]

    def as_json(self) -> dict[str, Any]:
        plain = {each.name: getattr(self, each.name) for each in METRICS}
        return {**plain, "intervals": {name: [each.low, each.high] for name, each in self.intervals.items()}}


def summarise(
    equity: npt.ArrayLike,
    per_year: float,
    *,
    trade_pnls: npt.ArrayLike | None = None,
    turnover: float | None = None,
    exposures: npt.ArrayLike | None = None,
) -> MetricsSummary:
    """Compute every metric of one back-test.

    `equity` (n,) is that at the close of each candle, `trade_pnls` are after costs in the unit of the opening
    equity (1.0), `exposures` (m,) are position values as shares of equity. An account that owes money counts as
    ruined, worth zero, from there on. Raises InvalidValue as the single metrics do.
    """
    values = ruined_at_zero(equity)
    check_per_year(per_year)
    returns = performance.returns_of(values)
    record = TrackRecord.of(returns)
    pnls = None if trade_pnls is None else checked_numbers("trade_pnls", trade_pnls)
    return MetricsSummary(
        total_return=performance.total_return(values),
        cagr=performance.cagr(values, per_year),
        annualised_volatility=performance.annualised_volatility(returns, per_year),
        annualised_sharpe=performance.annualised_sharpe(returns, per_year),
        sortino_ratio=performance.sortino_ratio(returns, per_year),
        calmar_ratio=performance.calmar_ratio(values, per_year),
        maximum_drawdown=performance.maximum_drawdown(values),
        longest_drawdown=performance.longest_drawdown(values),
        tail_ratio=performance.tail_ratio(returns),
        probabilistic_sharpe=None if record is None else probabilistic_sharpe_ratio(record),
        trades=None if pnls is None else pnls.size,
        hit_rate=None if pnls is None else activity.hit_rate(pnls),
        profit_factor=None if pnls is None else activity.profit_factor(pnls),
        expectancy=None if pnls is None else activity.expectancy(pnls),
        average_win=None if pnls is None else activity.average_win(pnls),
        average_loss=None if pnls is None else activity.average_loss(pnls),
        turnover=turnover,
        exposure=None if exposures is None else activity.exposure(exposures),
    )


def with_intervals(
    summary: MetricsSummary,
    daily_equity: npt.ArrayLike,
    candles_per_day: float,
    *,
    trade_pnls: npt.ArrayLike | None = None,
    resamples: int,
    confidence: float,
    seed: int,
) -> MetricsSummary:
    """Add percentile intervals of the curve's and the trades' metrics to a summary.

    `daily_equity` (d,) is that before the first day and at the last close of each; days, whose returns say as much
    of chance as their minutes do and are a thousandth of them, and trades are resampled apart, in blocks; see
    `bootstrap`. A metric that does not exist, on the curve or on too many resamples, gets no interval, nor does
    anything of fewer than two days or trades, nor the tail ratio: that of days is another one than that of candles.
    """
    check_confidence(confidence)
    resampled: dict[str, Array] = {}
    returns = performance.returns_of(ruined_at_zero(daily_equity))
    if returns.size >= 2:
        resampled |= bootstrap(
            returns, lambda rows: curve_statistics(rows, candles_per_day), resamples=resamples, seed=seed
        )
    if trade_pnls is not None and np.size(trade_pnls) >= 2:
        resampled |= bootstrap(trade_pnls, trade_statistics, resamples=resamples, seed=seed)
    intervals = {
        name: interval
        for name, values in resampled.items()
        if getattr(summary, name) is not None and (interval := percentile_interval(values, confidence))
    }
    return replace(summary, intervals=intervals)


def curve_statistics(returns: Array, candles_per_day: float) -> dict[str, Array]:
    """Compute the metrics of daily returns (m, n), each (m,), by field of `MetricsSummary`; for `bootstrap`.

    A drawdown within a day is not in them, and the longest one is that of days, in candles.
    """
    equity = formulas.curve(returns)
    drawdown = formulas.drawdowns(equity).max(axis=-1)
    growth = formulas.cagr(equity, DAYS_PER_YEAR)
    return {
        "total_return": formulas.total_return(equity),
        "cagr": growth,
        "annualised_volatility": formulas.volatility(returns, DAYS_PER_YEAR),
        "annualised_sharpe": formulas.sharpe(returns, DAYS_PER_YEAR),
        "sortino_ratio": formulas.sortino(returns, DAYS_PER_YEAR),
        "calmar_ratio": formulas.ratio(growth, drawdown),
        "maximum_drawdown": drawdown,
        "longest_drawdown": formulas.longest_drawdown(equity) * candles_per_day,
    }


def trade_statistics(pnls: Array) -> dict[str, Array]:
    """Compute the metrics of trades (m, n), each (m,), by field of `MetricsSummary`; for `bootstrap`."""
    return {
        "hit_rate": formulas.hit_rate(pnls),
        "profit_factor": formulas.profit_factor(pnls),
        "expectancy": formulas.mean(pnls),
        "average_win": formulas.average_win(pnls),
        "average_loss": formulas.average_loss(pnls),
    }
