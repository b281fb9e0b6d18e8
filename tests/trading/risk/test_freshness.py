import math
from dataclasses import replace
from typing import Any

import pytest

from tests.trading.risk.risk_case import CLOSE, FRESH, decide, refused_by, verdict
from trading.risk import Ages


@pytest.mark.parametrize("old", [24.01, -0.01, math.nan, math.inf])
def test_a_price_of_the_account_that_is_too_old_is_refused_and_named(old: float) -> None:
    assessment = decide(ages=replace(FRESH, prices=old, oldest_price="XRP-USDT"))
    assert refused_by(assessment, "price age")
    assert "XRP-USDT" in assessment.rejection_reason


@pytest.mark.parametrize("old", [62.1, -1.0, math.nan])
def test_a_policy_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, policy_days=old)), "policy age")


@pytest.mark.parametrize("old", [72.1, -1.0, math.nan])
def test_sentiment_that_is_too_old_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, sentiment_hours=old)), "sentiment age")


def test_an_input_that_was_not_used_has_no_age() -> None:
    assessment = decide(ages=Ages(0.0, 0.0, 0.0, 0.0, None, "", None, None, 0.0))
    assert assessment.approved
    assert verdict(assessment, "policy age").note == verdict(assessment, "sentiment age").note == "not used"


@pytest.mark.parametrize(
    ("name", "rule"), [("features", "feature age"), ("balance", "balance age"), ("candle", "candle age")]
)
@pytest.mark.parametrize("old", [2.01, -0.01, math.nan, math.inf])
def test_an_input_older_than_its_limit_is_refused_by_name(name: str, rule: str, old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, **{name: old})), rule)


@pytest.mark.parametrize("old", [24.1, -1.0, math.nan, math.inf])
def test_a_market_in_which_nothing_was_traded_lately_is_refused(old: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, trade=old)), "trade age")


@pytest.mark.parametrize("skew", [2.01, -1.0, math.nan, math.inf])
def test_an_input_from_the_future_is_refused(skew: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, clock_skew_seconds=skew)), "clock skew")


@pytest.mark.parametrize("wrong", [None, math.nan, "0.1", True])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("candle", "candle age"), ("features", "feature age"), ("balance", "balance age"),
        ("clock_skew_seconds", "clock skew"),
    ],
)  # fmt: skip
def test_an_unknown_age_that_every_decision_needs_is_refused(name: str, rule: str, wrong: Any) -> None:
    assessment = decide(ages=replace(FRESH, **{name: wrong}))
    assert refused_by(assessment, rule)
    assert ("nan" if isinstance(wrong, float) else "not known") in assessment.rejection_reason


@pytest.mark.parametrize("age", [0.0, 999.9, 1000.0, math.nan, -1.0])
def test_an_entry_is_refused_while_trades_of_the_newest_candles_may_be_missing(age: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, feed_gap=age)), "feed gap")


@pytest.mark.parametrize("age", [None, 1000.1])
def test_a_gap_before_what_the_features_read_refuses_nothing(age: float | None) -> None:
    assert decide(ages=replace(FRESH, feed_gap=age)).approved


@pytest.mark.parametrize("age", [10.1, math.nan, -1.0])
def test_an_entry_is_refused_while_the_order_book_is_not_seen(age: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, book_seconds=age)), "book age")


@pytest.mark.parametrize("age", [None, 0.0, 10.0])
def test_a_book_that_was_just_seen_or_that_nobody_watches_refuses_nothing(age: float | None) -> None:
    assert decide(ages=replace(FRESH, book_seconds=age)).approved


@pytest.mark.parametrize("age", [600.1, math.nan, -1.0])
def test_an_entry_is_refused_while_nobody_has_compared_the_balances(age: float) -> None:
    assert refused_by(decide(ages=replace(FRESH, reconciliation_seconds=age)), "reconciliation age")


@pytest.mark.parametrize("age", [None, 0.0, 600.0])
def test_balances_that_were_compared_or_that_no_exchange_has_refuse_nothing(age: float | None) -> None:
    assert decide(ages=replace(FRESH, reconciliation_seconds=age)).approved


def test_balances_that_nobody_has_compared_keep_no_position_open() -> None:
    assert decide(CLOSE, ages=replace(FRESH, reconciliation_seconds=1e6)).approved


def test_an_old_book_keeps_no_position_open() -> None:
    assert decide(CLOSE, ages=replace(FRESH, book_seconds=1e6)).approved


def test_a_feed_gap_keeps_no_position_open() -> None:
    assert decide(CLOSE, ages=replace(FRESH, feed_gap=0.0)).approved
