"""Name, label, unit and meaning of every metric, in the order they are shown; docs/metrics.md is made of it."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """The unit of a metric."""

    SHARE = "share"  # shown in per cent
    YEARLY_SHARE = "share per year"
    RATIO = "ratio"
    PROBABILITY = "probability"
    MULTIPLE = "multiples of equity"
    CANDLES = "candles"
    COUNT = "number"


PER_CENT = {Unit.SHARE, Unit.YEARLY_SHARE, Unit.PROBABILITY}
WHOLE = {Unit.CANDLES, Unit.COUNT}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `name` is the field of `MetricsSummary`, `absent` says when there is no value."""

    name: str
    label: str
    unit: Unit
    meaning: str
    absent: str = ""

    def text(self, value: float | None) -> str:
        """Format a value as a person reads it; an en dash where the metric does not exist."""
        if value is None:
            return "–"
        if self.unit in WHOLE:
            return f"{value:,.0f}"
        return f"{value:,.2%}" if self.unit in PER_CENT else f"{value:,.2f}"


NO_TRADES = "there was no trade"
METRICS = (
    Metric("total_return", "Total return", Unit.SHARE, "Last equity over first, less one."),
    Metric(
        "cagr",
        "Growth per year (CAGR)",
        Unit.YEARLY_SHARE,
        "Total return compounded to a year; a shorter curve is extrapolated.",
        "one candle, or beyond the largest number",
    ),
    Metric(
        "annualised_volatility",
        "Volatility per year",
        Unit.YEARLY_SHARE,
        "Sample standard deviation (n - 1) of returns per candle times the root of candles per year.",
        "fewer than two returns",
    ),
    Metric(
        "annualised_sharpe",
        "Sharpe ratio",
        Unit.RATIO,
        "Mean over sample standard deviation of returns per candle, times the root of candles per year; against a "
        "rate of zero (Sharpe 1994, equations 4-6).",
        "fewer than two returns, or returns that do not vary",
    ),
    Metric(
        "sortino_ratio",
        "Sortino ratio",
        Unit.RATIO,
        "Mean over root mean square of the returns below zero, gains counting as zero, times the root of candles per "
        "year (Sortino and Price 1994).",
        "no return below zero",
    ),
    Metric(
        "calmar_ratio",
        "Calmar ratio",
        Unit.RATIO,
        "CAGR over maximum drawdown of the whole curve (Young 1991, who looks at 36 months).",
        "the curve never fell, or has no CAGR",
    ),
    Metric(
        "maximum_drawdown",
        "Maximum drawdown",
        Unit.SHARE,
        "Deepest fall below an earlier peak, as a share of the peak (Magdon-Ismail and Atiya 2004).",
    ),
    Metric(
        "longest_drawdown",
        "Longest drawdown, candles",
        Unit.CANDLES,
        "Candles in the longest run below an earlier peak, recovered or not.",
    ),
    Metric(
        "tail_ratio",
        "Tail ratio",
        Unit.RATIO,
        "Size of the 95th over size of the 5th percentile of returns (empyrical).",
        "the 5th percentile is zero, as when mostly out of the market",
    ),
    Metric(
        "probabilistic_sharpe",
        "Probability of a Sharpe ratio above 0",
        Unit.PROBABILITY,
        "Given length, skewness and kurtosis of the returns per candle, taken as independent (Bailey and Lopez de "
        "Prado 2012, equation 11). Says nothing of how many strategies were tried: see the deflated Sharpe ratio.",
        "as the Sharpe ratio",
    ),
    Metric(
        "trades",
        "Trades",
        Unit.COUNT,
        "Positions from flat to flat, whatever was added or taken off between; one that is open at the end counts as "
        "its last close stands.",
        "no list of trades was given",
    ),
    Metric("hit_rate", "Hit rate", Unit.SHARE, "Trades that gained after costs, of all trades.", NO_TRADES),
    Metric(
        "profit_factor",
        "Profit factor",
        Unit.RATIO,
        "Sum of all gains over the sum of all losses.",
        "no trade lost",
    ),
    Metric(
        "expectancy", "Expectancy", Unit.SHARE, "Mean profit per trade, of the opening equity.", NO_TRADES
    ),
    Metric(
        "average_win",
        "Average win",
        Unit.SHARE,
        "Mean of the trades that gained, of the opening equity.",
        "none gained",
    ),
    Metric(
        "average_loss",
        "Average loss",
        Unit.SHARE,
        "Mean size of the trades that lost, of the opening equity.",
        "none lost",
    ),
    Metric(
        "turnover",
        "Turnover",
        Unit.MULTIPLE,
        "Value traded, both sides, over equity at the time, summed.",
        "not given",
    ),
    Metric(
        "exposure",
        "Exposure",
        Unit.SHARE,
        "Mean size of the position, long or short, of equity.",
        "not given",
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}


def reference() -> str:
    """Render the table of docs/metrics.md."""
    rows = (
        f"| {metric.label} | `{metric.name}` | {metric.unit} | {metric.meaning} | {metric.absent or 'always exists'} |"
        for metric in METRICS
    )
    head = "| metric | field | unit | meaning | no value where |\n| --- | --- | --- | --- | --- |"
    return "\n".join((head, *rows)) + "\n"
