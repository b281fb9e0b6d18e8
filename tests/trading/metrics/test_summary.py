import json
import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from trading.errors import InvalidValue
from trading.metrics import (
    METRICS,
    MetricsSummary,
    annualised_sharpe,
    profit_factor,
    returns_of,
    summarise,
    with_intervals,
)
from trading.metrics.catalogue import BY_NAME, reference
from trading.metrics.summary import curve_statistics, trade_statistics

Array = npt.NDArray[np.float64]
DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
PER_YEAR = 365.0  # the curves are daily
PNLS = np.array([0.02, -0.01, 0.03, -0.02, 0.01])


def wandering(seed: int = 0, count: int = 400) -> Array:
    return np.cumprod(np.append(1.0, 1 + np.random.default_rng(seed).normal(0.0005, 0.01, count)))


def full() -> MetricsSummary:
    return summarise(wandering(), PER_YEAR, trade_pnls=PNLS, turnover=3.0, exposures=[1.0, 0.0])


def drawn(summary: MetricsSummary, equity: Array, pnls: Array | None = PNLS) -> MetricsSummary:
    return with_intervals(summary, equity, 1.0, trade_pnls=pnls, resamples=200, confidence=0.9, seed=1)


def test_every_field_of_a_summary_is_in_the_catalogue() -> None:
    assert [field.name for field in fields(MetricsSummary)] == [*BY_NAME, "intervals"]


def test_a_summary_holds_the_single_metrics() -> None:
    summary = full()
    assert summary.annualised_sharpe == annualised_sharpe(returns_of(wandering()), PER_YEAR)
    assert summary.profit_factor == profit_factor(PNLS)
    assert summary.trades == 5
    assert summary.exposure == 0.5


def test_the_bootstrap_computes_what_the_summary_shows() -> None:
    """One resample that is the curve itself gives the summary's own values."""
    summary, returns = full(), returns_of(wandering())
    for statistics in (curve_statistics(returns[None], 1.0), trade_statistics(PNLS[None])):
        for name, values in statistics.items():
            assert values.shape == (1,)
            assert values[0] == pytest.approx(getattr(summary, name), rel=1e-12)


def test_every_drawn_interval_holds_its_middle() -> None:
    summary = drawn(full(), wandering())
    assert set(summary.intervals) == set(curve_statistics(np.ones((1, 2)), 1.0)) | set(
        trade_statistics(PNLS[None])
    )
    assert all(each.low <= each.high for each in summary.intervals.values())
    sharpe = summary.intervals["annualised_sharpe"]
    assert summary.annualised_sharpe is not None
    assert sharpe.low < summary.annualised_sharpe < sharpe.high


def test_intervals_come_from_days_however_fine_the_candles_are() -> None:
    """A year of minutes is resampled as its 365 days, with the candles per day as the unit of the longest drawdown."""
    days = wandering(count=365)
    minutes = with_intervals(full(), days, 1440.0, resamples=200, confidence=0.9, seed=1).intervals
    daily = with_intervals(full(), days, 1.0, resamples=200, confidence=0.9, seed=1).intervals
    assert minutes["annualised_sharpe"] == daily["annualised_sharpe"]
    assert minutes["longest_drawdown"].high == 1440 * daily["longest_drawdown"].high
    assert "tail_ratio" not in daily


def test_the_same_seed_draws_the_same_intervals() -> None:
    assert drawn(full(), wandering()).intervals == drawn(full(), wandering()).intervals


def test_a_curve_that_never_moved_has_values_but_no_ratios() -> None:
    equity = np.ones(50)
    summary = drawn(summarise(equity, PER_YEAR, trade_pnls=[]), equity, np.array([]))
    assert summary.total_return == summary.maximum_drawdown == 0.0
    assert (
        summary.annualised_sharpe is summary.sortino_ratio is summary.calmar_ratio is summary.hit_rate is None
    )
    assert summary.trades == 0
    assert "annualised_sharpe" not in summary.intervals


@pytest.mark.parametrize(
    "equity", [[1.0], [1.0, 1.1], [1.0, 0.0, 0.0], [2e-8, 2.1e-8, 1.9e-8], [1e300, 1.1e300, 1e300]]
)
def test_the_shortest_and_strangest_curves_have_a_summary(equity: list[float]) -> None:
    summary = drawn(summarise(equity, PER_YEAR), np.array(equity), None)
    assert all(value is None or math.isfinite(value) for _, value, _ in summary.rows())


def test_an_account_that_owes_money_is_ruined_from_there_on() -> None:
    summary = drawn(summarise([1.0, 0.5, -0.2, 3.0], PER_YEAR), np.array([1.0, 0.5, -0.2, 3.0]), None)
    assert summary.total_return == -1.0
    assert summary.maximum_drawdown == 1.0
    assert summary.longest_drawdown == 3
    assert summary.intervals["total_return"].low == -1.0


@pytest.mark.parametrize("equity", [[], [math.nan], [-1.0, 1.0]])
def test_a_curve_that_cannot_be_has_none(equity: list[float]) -> None:
    with pytest.raises(InvalidValue, match="equity"):
        summarise(equity, PER_YEAR)


def test_a_summary_survives_json() -> None:
    plain = drawn(full(), wandering()).as_json()
    assert json.loads(json.dumps(plain)) == plain


def test_metrics_read_as_people_write_them() -> None:
    assert BY_NAME["total_return"].text(-0.1234) == "-12.34%"
    assert BY_NAME["annualised_sharpe"].text(1.5) == "1.50"
    assert BY_NAME["trades"].text(11_962) == "11,962"
    assert BY_NAME["calmar_ratio"].text(None) == "–"


def test_the_document_has_the_table_of_the_catalogue() -> None:
    assert reference() in DOCUMENT.read_text(), (
        "docs/metrics.md: put in what trading.metrics.catalogue.reference() gives"
    )
    assert len({metric.label for metric in METRICS}) == len(METRICS)
