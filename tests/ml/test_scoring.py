from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ml.scoring import DayOutcomes, analyst_votes, day_outcomes, score_votes, technical_votes
from ml.sentiment.pair import PairSentiment
from tests.ml.decision.trading_day import RISING, RULES, candles
from trading.fills import Costs
from trading.indicators import feature_table
from trading.market import Timeframe

FREE = Costs(0.0, 0.0, 0.0)
COSTLY = Costs(0.0026, 0.0001, 0.0002)


def day(rows: int = 1001, last_hours: int = 24) -> DayOutcomes:
    table = candles(RISING, rows)
    end = table["close_time"][-1]
    return day_outcomes(
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


def test_rows_in_warm_up_are_not_scored() -> None:
    table = candles(RISING, rows=150)  # SMA 200 is never warm
    found = day_outcomes(
        table, feature_table(table, Timeframe.H1), table["close_time"][0], table["close_time"][-1]
    )
    assert found.rows.is_empty()


def test_a_vote_that_the_market_proved_right_is_a_hit_and_its_cost_is_paid_once() -> None:
    result = score_votes("m", np.array([1.0, 1.0, -1.0]), np.array([0.01, -0.02, -0.03]), COSTLY)
    assert result.votes == 3
    assert result.hit_rate == pytest.approx(2 / 3)
    assert result.mean_return == pytest.approx(0.02 / 3)
    assert result.pnl == pytest.approx(0.02 - 3 * COSTLY.per_side)


def test_a_model_that_never_votes_has_no_hit_rate_and_earns_nothing() -> None:
    result = score_votes("m", np.zeros(3), np.array([0.1, 0.1, 0.1]), COSTLY)
    assert (result.votes, result.hit_rate, result.mean_return, result.pnl) == (0, None, None, 0.0)


def test_the_technical_agent_votes_with_a_clear_trend() -> None:
    votes = technical_votes(day(), RULES.signals)
    assert votes.mean() > 0.8


def test_the_analyst_does_not_vote_when_the_news_is_too_old() -> None:
    found = day()
    newest = datetime(2023, 1, 1, tzinfo=UTC)
    old = PairSentiment(0.9, 0.9, 2, newest, "m")
    assert not analyst_votes(found, lambda _: old, RULES.analyst).any()
    assert not analyst_votes(found, lambda _: None, RULES.analyst).any()
    fresh = analyst_votes(found, lambda at: PairSentiment(-0.9, 0.9, 2, at, "m"), RULES.analyst)
    assert (fresh == -1).all()
    assert score_votes("analyst", fresh, found.returns, FREE).votes == len(found.returns)
