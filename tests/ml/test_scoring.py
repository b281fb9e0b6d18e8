from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from ml.scoring import Outcomes, known_outcomes, score_votes, technical_votes
from tests.ml.decision.trading_day import RISING, RULES, candles
from trading.fills import Costs
from trading.indicators import feature_table
from trading.market import Timeframe
from trading.signals import technical_signal

COSTLY = Costs(0.0026, 0.0001, 0.0002)


def day(table: pl.DataFrame | None = None, last_hours: int = 24) -> Outcomes:
    table = candles(RISING, 1001) if table is None else table
    end = table["close_time"][-1]
    return known_outcomes(
        table, feature_table(table, Timeframe.H1), end - timedelta(hours=last_hours), end + timedelta(hours=1)
    )


def test_an_outcome_runs_from_the_next_open_to_the_one_after_it() -> None:
    table = candles(RISING)
    found = day()
    opens = table["open"].to_list()
    first = table["open_time"].to_list().index(found.rows["open_time"][0])
    assert found.returns[0] == pytest.approx(opens[first + 2] / opens[first + 1] - 1)


def test_candles_whose_outcome_is_not_known_yet_are_not_scored() -> None:
    table = candles(RISING)
    assert day().rows["open_time"][-1] == table["open_time"][-3]


def test_what_follows_an_outage_of_days_is_no_outcome_of_the_vote_before_it() -> None:
    table = candles(RISING, 1001)
    outage = table.filter(~pl.int_range(pl.len()).is_between(930, 989))  # 60 hours
    scored = day(outage, last_hours=200).rows["open_time"]
    before = table["open_time"][929]
    assert before - timedelta(hours=2) in scored
    assert before not in scored
    assert table["open_time"][990] in scored


def test_a_day_is_a_slice_of_the_candles_that_close_in_it() -> None:
    found = day(last_hours=72)
    start = found.rows["close_time"][10]
    part = found.rows[found.within(start, start + timedelta(hours=24))]
    assert part["close_time"].to_list() == [start + hour * timedelta(hours=1) for hour in range(24)]


def test_rows_in_warm_up_are_not_scored() -> None:
    assert day(candles(RISING, rows=150), last_hours=150).rows.is_empty()  # SMA 200 is never warm


def test_a_vote_that_the_market_proved_right_is_a_hit_and_its_cost_is_paid_once() -> None:
    result = score_votes("m", np.array([1.0, 1.0, -1.0]), np.array([0.01, -0.02, -0.03]), COSTLY)
    assert result.votes == 3
    assert result.hit_rate == pytest.approx(2 / 3)
    assert result.mean_return == pytest.approx(0.02 / 3)
    assert result.pnl == pytest.approx(0.02 - 3 * COSTLY.per_side)


def test_a_model_that_never_votes_has_no_hit_rate_and_earns_nothing() -> None:
    result = score_votes("m", np.zeros(3), np.array([0.1, 0.1, 0.1]), COSTLY)
    assert (result.votes, result.hit_rate, result.mean_return, result.pnl) == (0, None, None, 0.0)


def test_the_technical_agent_votes_with_a_clear_trend_as_it_does_on_each_candle_alone() -> None:
    found = day(last_hours=300)
    votes = technical_votes(found, RULES.signals)
    alone = [
        technical_signal(row, row["close"], RULES.signals).direction.sign
        for row in found.rows.iter_rows(named=True)
    ]
    assert votes.tolist() == alone
    assert votes[-24:].mean() > 0.8
