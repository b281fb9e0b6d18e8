"""The gate as it is shipped, on evaluations of the product, against luck and against skill."""

import pytest

from ml.learning.promotion import judge_promotion
from orchestration.settings import load_settings
from tests.ml.learning.gate_markets import (
    LOOKS,
    evaluations,
    following_exposures,
    market_with_edge,
    market_without_edge,
    random_exposures,
)

RULES = load_settings({}).promotion


@pytest.mark.parametrize("trades_a_month", [1, 3, 8])
def test_random_policies_on_forty_markets_without_an_edge_never_pass_in_ten_looks(
    trades_a_month: int,
) -> None:
    promoted = []
    for number in range(40):
        market = market_without_edge(number)
        months = evaluations(market, random_exposures(market, trades_a_month, number))
        verdicts = [judge_promotion(months[:look], RULES, ()) for look in LOOKS]
        assert [verdict.evidence["whole_months"] for verdict in verdicts] == list(LOOKS)
        promoted += [number for verdict in verdicts if verdict.promoted]
    assert promoted == []


def test_a_policy_that_follows_a_strong_edge_passes_in_every_market() -> None:
    for number in range(10):
        market = market_with_edge(number)
        months = evaluations(market, following_exposures(market))
        assert judge_promotion(months[:12], RULES, ()).promoted


def test_a_random_policy_where_there_is_an_edge_is_still_luck() -> None:
    market = market_with_edge(1)
    assert not judge_promotion(evaluations(market, random_exposures(market, 8, 1)), RULES, ()).promoted
