import math
from dataclasses import replace
from decimal import Decimal

import pytest

from trading.risk.rules import PRE_CHECK

from .risk_case import LIMITS, STATE, decide, verdict


@pytest.mark.parametrize(
    ("spent", "passes"),
    [(None, True), (0.0, True), (5.0, True), (5.01, False), (math.nan, False), (-1.0, False)],
)
def test_nothing_is_opened_once_models_have_cost_more_than_a_day_may(
    spent: float | None, passes: bool
) -> None:
    found = verdict(decide(state=replace(STATE, model_usd=spent)), "model budget")
    assert (found.passes, found.limit) == (passes, LIMITS.model_budget_usd)


def test_the_verdict_says_what_was_spent_of_how_much() -> None:
    found = verdict(decide(state=replace(STATE, model_usd=Decimal("1.5"))), "model budget")
    assert found.note == "1.50 USD spent on language models this UTC day, at most 5"


def test_it_is_asked_before_the_agents_are() -> None:
    assert "model budget" in PRE_CHECK
