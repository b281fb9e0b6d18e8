import math
from copy import copy
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from tests.doubles.strange_values import STRANGE, kind
from tests.trading.risk.risk_case import (
    BUY_BACK,
    CALM,
    CLOSE,
    FRESH,
    IMPOSSIBLE,
    INSTRUMENT,
    LIMITS,
    LONG,
    SHORT,
    STATE,
    decide,
    refused_by,
    verdict,
)
from trading.errors import InvalidValue
from trading.market import Instrument
from trading.risk import MarketState, Proposal

NO_AMOUNTS = ("recent_orders", "others", "halts", "permit", "model_usd")
AMOUNTS = [field.name for field in fields(STATE) if field.name not in NO_AMOUNTS]


@pytest.mark.parametrize("wrong", IMPOSSIBLE)
@pytest.mark.parametrize("name", AMOUNTS)
def test_an_impossible_account_number_is_refused_by_name(name: str, wrong: float) -> None:
    assessment = decide(state=replace(STATE, **{name: wrong}))
    assert refused_by(assessment, "numbers")
    assert f"{name} is {wrong}" in assessment.rejection_reason


@pytest.mark.parametrize("wrong", [*IMPOSSIBLE, 0.0])
def test_an_impossible_entry_is_refused_by_name(wrong: float) -> None:
    assert "entry is " in decide(replace(LONG, entry=wrong)).rejection_reason


def changed(name: str, value: Decimal) -> Instrument:
    return replace(INSTRUMENT, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [Decimal("sNaN"), Decimal("-1"), Decimal("Infinity")])
@pytest.mark.parametrize("name", ["minimum_quantity", "minimum_cost", "taker_fee"])
def test_an_impossible_instrument_is_refused_by_name(name: str, wrong: Decimal) -> None:
    assessment = decide(instrument=changed(name, wrong))
    assert refused_by(assessment, "numbers")
    assert name in assessment.rejection_reason


@pytest.mark.parametrize("name", ["price_increment", "quantity_increment"])
def test_an_infinite_increment_is_refused_by_name(name: str) -> None:
    assert name in decide(instrument=changed(name, Decimal("Infinity"))).rejection_reason


@pytest.mark.parametrize(
    "quantity", [None, Decimal("0"), Decimal("-1"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity")]
)
def test_closing_an_impossible_quantity_is_refused(quantity: Decimal | None) -> None:
    assert refused_by(decide(replace(CLOSE, reduce_quantity=quantity)), "numbers")


@pytest.mark.parametrize(
    ("market", "name"),
    [
        (MarketState(math.nan), "btc_correlation"), (MarketState(1.01), "btc_correlation"),
    ],
)  # fmt: skip
def test_an_impossible_market_is_refused_by_name(market: MarketState, name: str) -> None:
    assert f"{name} is" in decide(market=market).rejection_reason


def test_a_number_with_more_digits_than_any_amount_is_refused() -> None:
    long = Decimal("1000." + "1" * 60)
    assert (
        "available_quote is 1000.111" in decide(state=replace(STATE, available_quote=long)).rejection_reason
    )


@pytest.mark.parametrize("entry", [np.float32(100), np.float64(100), np.int64(100), 100, Decimal(100)])
def test_every_kind_of_number_means_the_same(entry: Any) -> None:
    assert decide(replace(LONG, entry=entry)) == decide()


@pytest.mark.parametrize("wrong", ["100", True, None, b"100", [100.0], np.array([100.0]), np.bool_(True), 1j])
def test_what_is_no_number_is_refused_by_name(wrong: Any) -> None:
    assert "entry is" in decide(replace(LONG, entry=wrong)).rejection_reason
    assert refused_by(decide(replace(LONG, stop=wrong)), "stop-loss")
    assert refused_by(decide(state=replace(STATE, equity=wrong)), "numbers")


@pytest.mark.parametrize("wrong", [None, math.nan, "3", -1])
def test_an_unknown_order_count_is_refused(wrong: Any) -> None:
    assessment = decide(state=replace(STATE, recent_orders=wrong))
    assert refused_by(assessment, "numbers")
    assert "recent_orders is" in assessment.rejection_reason
    assert not verdict(assessment, "order rate").passes


def test_an_order_count_of_numpy_is_accepted() -> None:
    assert decide(state=replace(STATE, recent_orders=np.int64(19))).approved
    assert refused_by(decide(state=replace(STATE, recent_orders=np.int64(20))), "order rate")


@pytest.mark.parametrize("proposal", [LONG, SHORT, CLOSE, BUY_BACK])
def test_without_a_side_nothing_is_ordered(proposal: Proposal) -> None:
    assessment = decide(replace(proposal, side=None))  # type: ignore[arg-type]
    assert refused_by(assessment, "numbers")
    assert "side is None" in assessment.rejection_reason


@pytest.mark.parametrize(
    ("part", "value"),
    [("proposal", LONG), ("proposal", CLOSE), ("state", STATE), ("ages", FRESH), ("market", CALM)],
)
def test_no_missing_field_raises(part: str, value: Any) -> None:
    optional = {
        "policy_days",
        "sentiment_hours",
        "prices",
        "btc_correlation",
        "oldest_price",
        "feed_gap",
        "permit",
        "model_usd",
        "book_seconds",
        "reconciliation_seconds",
        "wanted_share",
    }
    for field in fields(value):
        assessment = decide(**{part: replace(value, **{field.name: None})})
        assessment.facts()
        if assessment.approved:
            needless = {"reduce_quantity", "reduces", "converts"} | (
                {"stop", "take_profit"} if value is CLOSE else set()
            )
            assert field.name in optional | needless, field.name


def test_buying_back_does_not_need_to_know_the_base_balance() -> None:
    assert decide(BUY_BACK, replace(STATE, available_base=math.nan)).approved


@pytest.mark.parametrize(
    ("name", "wrong", "allowed"),
    [
        ("risk_per_trade", 0.06, "above 0, up to 0.05"), ("correlated_size", 0.0, "above 0, up to 1"),
        ("cool_down_candles", 0, "from 1 to 1000"), ("reserve", -0.1, "from 0 to 0.5"),
        ("losing_streak", 0, "from 1 to 100"),
        ("cool_down_minutes", math.nan, "above 0"), ("orders_per_minute", math.inf, "from 1 to 10000"),
    ],
)  # fmt: skip
def test_an_impossible_limit_is_an_error_naming_field_value_and_range(
    name: str, wrong: float, allowed: str
) -> None:
    with pytest.raises(InvalidValue, match=rf"{name} is {wrong}: allowed is {allowed}"):
        replace(LIMITS, **{name: wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("strange", STRANGE, ids=kind)
@pytest.mark.parametrize(
    ("part", "value"),
    [("proposal", LONG), ("proposal", CLOSE), ("state", STATE), ("ages", FRESH), ("market", CALM),
     ("instrument", INSTRUMENT), ("limits", LIMITS)],
)  # fmt: skip
def test_no_field_of_any_kind_raises(part: str, value: Any, strange: Any) -> None:
    for field in fields(value):
        damaged = copy(value)
        object.__setattr__(damaged, field.name, strange)
        assessment = decide(**{part: damaged})
        assert assessment.facts()["verdicts"]
        assert assessment.approved or assessment.adjusted_size == 0


@pytest.mark.parametrize("part", ["proposal", "state", "ages", "market", "instrument", "limits"])
def test_whatever_stands_in_the_place_of_an_argument_is_refused(part: str) -> None:
    assert not any(decide(**{part: strange}).approved for strange in STRANGE)
