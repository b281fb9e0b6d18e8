"""The report of a back-test: months, metrics, trades and the facts that outsiders check."""

import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import table
from trading.backtest import AccountRules, Bars, Plan, run
from trading.errors import InvalidValue
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.reports import BacktestReport, Resampling, monthly_returns, report
from trading.strategies import hold_plan

PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H1, "simulated")
RULES = AccountRules(
    costs=Costs(0.004, 0.0001, 0.0002), drawdown_pause=0.25, daily_loss=math.inf, losing_streak=0,
    cool_down=timedelta(0), cool_down_candles=0, trailing_after=1.5, leverage=1.0, shorts=False, margin=None,
)  # fmt: skip


FEES = (
    (date(2019, 1, 1), 0.9),
    (date(2020, 5, 5), 0.0026),
    (date(2021, 2, 1), 0.004),
    (date(2030, 1, 1), 0.9),
)


def candles(rows: int = 24 * 70) -> pl.DataFrame:
    random = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.004, rows)))
    opened = np.append(close[0], close[:-1])
    spread = np.abs(random.normal(0, 0.002, rows))
    high, low = np.maximum(opened, close) * (1 + spread), np.minimum(opened, close) * (1 - spread)
    return table(high, low, close, np.ones(rows), start=datetime(2021, 1, 30, tzinfo=UTC))


@pytest.fixture(scope="module")
def made() -> BacktestReport:
    bars = Bars.of(history := candles())
    target = np.where(np.arange(history.height) // 9 % 2 == 0, 1.0, 0.0)
    return report(
        pair=PAIR, strategy="every nine hours", universe=UNIVERSE, candles=history,
        result=run(bars, Plan(target, stop=0.01), RULES),
        buy_and_hold=run(bars, hold_plan(history.height), RULES), at_costs={}, resampling=Resampling(200, 0.9, 1),
        taker_fees=FEES, notes=("a note",),
    )  # fmt: skip


def test_months_multiply_up_to_the_total_return(made: BacktestReport) -> None:
    product = float((1 + made.months["return"]).product())
    assert product == pytest.approx(1 + made.summary.total_return, rel=1e-12)


def test_a_candle_that_closes_at_midnight_belongs_to_the_month_that_ends() -> None:
    times = pl.Series([datetime(2021, 2, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in (-1, 0, 1)])
    months = monthly_returns(times.cast(CANDLE_SCHEMA["close_time"]), np.array([1.0, 1.1, 1.21]))
    assert months["month"].to_list() == [1, 2]
    assert months["return"].to_list() == pytest.approx([0.1, 0.1])


def test_trades_explain_the_equity_to_the_last_digits(made: BacktestReport) -> None:
    assert made.trades.height > 10
    assert abs(made.facts()["unexplained"]) < 1e-12


def test_the_facts_are_plain_json(made: BacktestReport) -> None:
    facts = json.loads(json.dumps(made.facts()))
    assert facts["trades"] == made.trades.height
    assert facts["backward_trades"] == 0
    assert facts["total_return"] == made.summary.total_return


def test_a_pause_is_told_with_its_time(made: BacktestReport) -> None:
    paused_at = made.result.totals.paused_at
    assert paused_at is not None
    assert any(f"{paused_at:%Y-%m-%d %H:%M}" in line for line in made.explanations)


def test_the_fees_of_these_candles_are_stated_each_with_the_day_since_when_it_was_charged(
    made: BacktestReport,
) -> None:
    assert any("taker fee 0.26 %, 0.40 % since 2021-02-01 of" in line for line in made.explanations)
    assert made.facts()["taker_fees"] == {"2020-05-05": 0.0026, "2021-02-01": 0.004}


def test_the_headline_says_when_trading_was_paused_and_for_how_long(made: BacktestReport) -> None:
    paused_at = made.result.totals.paused_at
    assert paused_at is not None
    assert made.paused_days > 0
    assert (
        f"until the drawdown pause of {paused_at:%Y-%m-%d}, then none for {made.paused_days} of"
        in made.headline
    )


def test_a_report_without_a_pause_speaks_of_none(made: BacktestReport) -> None:
    free = replace(made.result, totals=replace(made.result.totals, paused_at=None))
    assert "pause" not in replace(made, result=free).headline


def test_every_metric_has_a_row_and_those_of_the_curve_an_interval(made: BacktestReport) -> None:
    rows = {row[0]: row for row in made.metric_rows()}
    assert len(rows) == len(made.summary.rows())
    _, value, held, interval = rows["Total return"]
    assert value.endswith("%")
    assert held.endswith("%")
    assert "…" in interval


def test_the_newest_trades_come_first(made: BacktestReport) -> None:
    rows = list(made.trade_rows(5))
    assert len(rows) == 5
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)


def test_an_impossible_confidence_is_refused() -> None:
    with pytest.raises(InvalidValue, match="confidence"):
        Resampling(100, 1.0, 1)
