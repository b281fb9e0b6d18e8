"""Metrics of a back-test, their confidence intervals, and tests for luck and overfitting; docs/metrics.md lists all."""

from trading.metrics.activity import (
    average_loss,
    average_win,
    expectancy,
    exposure,
    hit_rate,
    profit_factor,
    turnover,
)
from trading.metrics.bootstrap import Interval, block_length_of, bootstrap, percentile_interval
from trading.metrics.catalogue import BY_NAME, METRICS, Metric, Unit
from trading.metrics.pbo import Overfitting, probability_of_overfitting
from trading.metrics.performance import (
    annualised_sharpe,
    annualised_volatility,
    cagr,
    calmar_ratio,
    drawdowns,
    longest_drawdown,
    maximum_drawdown,
    returns_of,
    sortino_ratio,
    tail_ratio,
    total_return,
)
from trading.metrics.sharpe_tests import (
    TrackRecord,
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    independent_trials,
    minimum_track_record,
    probabilistic_sharpe_ratio,
)
from trading.metrics.summary import MetricsSummary, summarise, with_intervals

__all__ = [
    "BY_NAME", "METRICS", "Interval", "Metric", "MetricsSummary", "Overfitting", "TrackRecord", "Unit",
    "annualised_sharpe", "annualised_volatility", "average_loss", "average_win", "block_length_of", "bootstrap",
    "cagr", "calmar_ratio", "deflated_sharpe_ratio", "drawdowns", "expectancy", "expected_maximum_sharpe",
    "exposure", "hit_rate", "independent_trials", "longest_drawdown", "maximum_drawdown", "minimum_track_record",
    "percentile_interval", "probabilistic_sharpe_ratio", "probability_of_overfitting", "profit_factor",
    "returns_of", "sortino_ratio", "summarise", "tail_ratio", "total_return", "turnover", "with_intervals",
]  # fmt: skip
