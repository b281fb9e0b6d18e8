"""What was confirmed holds for a deployment that allows no more than that, and for no other."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.risk.risk_case import LIMITS
from trading.live_deployment import Deployment, changes
from trading.risk import loosened

DEPLOYED = Deployment(
    account="kraken-1",
    code="aa",
    settings={"kraken.rest_url": "https://api.kraken.com", "signals.stop_atr": "1.5"},
    pairs=("BTC/USDT", "XRP/USDT"),
    limits=asdict(LIMITS),
)
# What each limit does when it is raised; the other way it does the opposite.
ALLOWS_MORE = {
    "risk_per_trade", "position_cap", "asset_cap", "total_exposure", "stop_distance", "trailing_after",
    "correlated_positions", "correlated_above", "correlated_size", "drawdown", "daily_loss", "losing_streak",
    "candle_age", "feature_age", "balance_age", "trade_age", "price_age", "book_age_seconds", "sentiment_age_hours",
    "policy_age_days", "reconciliation_age_seconds",
    "clock_skew_seconds", "model_budget_usd", "orders_per_minute", "failures_in_a_row",
}  # fmt: skip
ALLOWS_LESS = {"reserve", "reward_risk", "cool_down_minutes", "cool_down_candles", "feed_gap_candles"}


def test_every_limit_is_known_by_what_raising_it_does() -> None:
    assert {*asdict(LIMITS)} == ALLOWS_MORE | ALLOWS_LESS


@pytest.mark.parametrize("name", sorted(ALLOWS_MORE | ALLOWS_LESS))
def test_a_limit_that_allows_more_is_named_and_one_that_allows_less_is_not(name: str) -> None:
    value = DEPLOYED.limits[name]
    raised, lowered = ({**DEPLOYED.limits, name: value * factor} for factor in (1.5, 0.5))
    looser, stricter = (raised, lowered) if name in ALLOWS_MORE else (lowered, raised)
    assert loosened(DEPLOYED.limits, looser) == {name: (value, looser[name])}
    assert loosened(DEPLOYED.limits, stricter) == {}
    (said,) = changes(DEPLOYED, replace(DEPLOYED, limits=looser))
    assert said == f"risk.{name} {value:g} -> {looser[name]:g}"


VALUES = st.fixed_dictionaries({name: st.floats(0, 100) for name in sorted(ALLOWS_MORE | ALLOWS_LESS)})


@given(VALUES, VALUES)
def test_limits_that_differ_allow_more_one_way_or_the_other(
    one: dict[str, float], other: dict[str, float]
) -> None:
    there, back = loosened(one, other).keys(), loosened(other, one).keys()
    assert not there & back
    assert there | back == {name for name in one if one[name] != other[name]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"account": "kraken-2"}, "account kraken-1 -> kraken-2"),
        ({"code": "bb"}, "the code aa -> bb"),
        ({"settings": {**DEPLOYED.settings, "signals.stop_atr": "2.0"}}, "signals.stop_atr 1.5 -> 2.0"),
        ({"settings": {**DEPLOYED.settings, "guard.new": "1"}}, "guard.new not set -> 1"),
        ({"settings": {}}, "kraken.rest_url https://api.kraken.com -> not set"),
        ({"pairs": ("XRP/USDT", "ADA/USDT")}, "traded too: ADA/USDT"),
        ({"limits": {**DEPLOYED.limits, "new_limit": 3.0}}, "risk.new_limit not set -> 3"),
    ],
)
def test_every_other_change_is_named(changed: dict[str, object], said: str) -> None:
    assert changes(DEPLOYED, replace(DEPLOYED, **changed))[0] == said  # type: ignore[arg-type]


def test_fewer_pairs_and_the_same_again_are_no_change() -> None:
    assert changes(DEPLOYED, replace(DEPLOYED, pairs=("XRP/USDT",))) == []
    assert changes(DEPLOYED, replace(DEPLOYED, settings=dict(DEPLOYED.settings))) == []
