import math
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.trading.risk.risk_case import CALM, INSTRUMENT, LONG, STATE, decide, other, refused_by
from trading.market import Pair
from trading.orders import Side

BITCOIN = replace(INSTRUMENT, pair=Pair("BTC", "USDT"))


def test_a_third_position_that_would_lose_with_two_others_is_refused() -> None:
    two = replace(STATE, others=(other(0.9), other(0.81)))
    assert refused_by(decide(state=two), "correlated positions")
    assert decide(state=replace(STATE, others=(other(0.9), other(0.8)))).approved


def test_a_position_on_the_other_side_of_an_opposite_market_counts_and_a_hedge_does_not() -> None:
    opposite = replace(STATE, others=(other(-0.9, Side.SELL), other(-0.9, Side.SELL)))
    assert refused_by(decide(state=opposite), "correlated positions")
    assert decide(state=replace(STATE, others=(other(0.9, Side.SELL), other(0.9, Side.SELL)))).approved


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_a_correlation_that_is_not_known_counts_as_high(unknown: float | None) -> None:
    assert refused_by(decide(state=replace(STATE, others=(other(unknown),) * 2)), "correlated positions")


@pytest.mark.parametrize(
    ("correlation", "size"), [(0.8, "20"), (0.81, "10"), (-0.81, "10"), (1.0, "10"), (None, "10")]
)
def test_a_pair_that_moves_with_bitcoin_gets_half_the_size(correlation: float | None, size: str) -> None:
    market = replace(CALM, btc_correlation=correlation)
    assert decide(market=market).adjusted_size == Decimal(size)


def test_bitcoin_itself_is_not_compared_with_bitcoin() -> None:
    proposal = replace(LONG, pair_key="BTC-USDT")
    market = replace(CALM, btc_correlation=None)
    assert decide(proposal, instrument=BITCOIN, market=market).adjusted_size == 20


def test_a_position_on_no_side_or_with_no_known_correlation_counts_as_correlated() -> None:
    for unknown in (other(None), other("0.1"), other(0.9, None), other(-0.9, None)):  # type: ignore[arg-type]
        assert refused_by(decide(state=replace(STATE, others=(unknown, unknown))), "correlated positions")
