"""What following a judge would have earned."""

from itertools import pairwise

import pytest

from ml.track_record.earnings import earnings
from ml.track_record.votes import with_outcomes
from tests.ml.track_record.voted import BTC, FIRST, FRAME, HOUR, candles, table, vote
from trading.fills import Costs

COSTS = {str(BTC): Costs(taker_fee=0.004, half_spread=0.0005, slippage=0.0005)}


def test_fees_are_paid_for_each_change_of_side_and_holding_pays_them_once() -> None:
    votes = table(vote(0, "LONG", usd=0.01), vote(1, "LONG"), vote(2, "HOLD"), vote(3, "SHORT", usd=0.02))
    opens = [100, 100, 110, 121, 121, 108.9, 108.9]
    [made] = earnings(with_outcomes(votes, candles(opens), FRAME, 1, FIRST + 99 * HOUR), COSTS)
    assert made.gross == pytest.approx(0.1 + 0.1 + 0.1)
    assert made.net == pytest.approx(0.3 - 3 * 0.005)  # in, out, in on the other side
    assert made.buy_and_hold == pytest.approx(0.1 + 0.1 - 0.1 - 0.005)
    assert (made.candles, made.usd) == (4, pytest.approx(0.03))


def test_a_coin_on_the_same_candles_loses_its_fees_and_a_seer_is_above_nearly_all_of_them() -> None:
    opens = [100.0, 100.0]
    for number in range(200):
        opens.append(opens[-1] * (1.02 if (number * 7) % 3 else 0.97))
    sides = ["LONG" if after > before else "SHORT" for before, after in pairwise(opens[1:])]
    votes = table(*(vote(number, side) for number, side in enumerate(sides)))
    [made] = earnings(with_outcomes(votes, candles(opens), FRAME, 1, FIRST + 999 * HOUR), COSTS)
    assert made.candles == 200
    assert made.net > made.random_high > made.random
    assert made.random == pytest.approx(
        -0.005 * 200, abs=0.1
    )  # a coin changes sides every other candle: 2 x 0.5 %


def test_nothing_to_follow_is_nothing() -> None:
    assert earnings(with_outcomes(table(), candles([1, 2]), FRAME, 1, FIRST), COSTS) == []
