"""Which votes count, and what followed them."""

import pytest

from ml.track_record.votes import one_vote_per_candle, with_outcomes
from tests.ml.track_record.voted import FIRST, FRAME, HOUR, candles, table, vote

OPENS = [100, 110, 121, 133.1, 120]


def test_the_outcome_runs_from_the_open_after_the_vote_to_the_open_a_horizon_later() -> None:
    votes = table(
        vote(0, "LONG"), vote(1, "SHORT"), vote(1, "HOLD", agent="quant"), vote(1, None, agent="analyst")
    )
    found = with_outcomes(votes, candles(OPENS), FRAME, 2, FIRST + 10 * HOUR)
    assert found["direction"].to_list() == [1, -1, 0, 0]
    assert found["outcome"].to_list() == pytest.approx([133.1 / 110 - 1, *[120 / 121 - 1] * 3])


def test_what_nobody_knew_yet_is_left_out() -> None:
    votes = table(*(vote(number, "LONG") for number in range(5)))
    for now in range(7):
        found = with_outcomes(votes, candles(OPENS), FRAME, 1, FIRST + now * HOUR)
        # The vote on candle n is judged by the opens of n + 1 and n + 2; the latter's candle closes at n + 3.
        assert found["decision_id"].to_list() == [f"{number}" for number in range(3) if number + 3 <= now]


def test_a_candle_that_is_missing_is_no_outcome() -> None:
    votes = table(vote(0, "LONG"), vote(1, "LONG"), vote(2, "LONG"))
    holed = candles(OPENS).filter([True, True, False, True, True])
    found = with_outcomes(votes, holed, FRAME, 1, FIRST + 10 * HOUR)
    assert found["decision_id"].to_list() == ["2"]


def test_a_judge_votes_once_on_a_candle_and_what_was_traded_goes_first() -> None:
    votes = table(
        vote(0, "LONG", decision_id="shadow", shadow=True),
        vote(0, "SHORT", decision_id="traded"),
        vote(0, "LONG", decision_id="other", model="rules/2", shadow=True),
        vote(1, "LONG", decision_id="b", shadow=True),
        vote(1, "LONG", decision_id="a", shadow=True),
        vote(1, None, decision_id="nobody", model="none"),
    )
    assert one_vote_per_candle(votes)["decision_id"].to_list() == ["traded", "other", "a"]
