import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from ml.decision.receipt import to_json_value
from tests.trading.risk.risk_case import CLOSE, LONG, SHORT, STATE, decide
from trading.risk import ENTRY_ONLY, RULES, Ages, Proposal


def test_a_sound_proposal_is_approved_with_size_stop_and_take_profit() -> None:
    assessment = decide()
    assert assessment.approved
    assert assessment.rejection_reason == ""
    assert assessment.stop_loss_price == Decimal("98.0")
    assert assessment.take_profit_price == Decimal("104.0")


def test_every_assessment_shows_every_rule_in_the_documented_order() -> None:
    for proposal in (LONG, SHORT, CLOSE, replace(LONG, entry=math.nan)):
        assert [each.rule for each in decide(proposal).verdicts] == list(RULES)


def test_the_documentation_lists_every_rule_in_its_order_and_what_a_closing_order_skips() -> None:
    text = (Path(__file__).parents[3] / "docs" / "risk.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ") and "`" not in line[:4]
    ]
    table = [(cells[0].strip(), cells[-1].strip()) for cells in rows if cells[0].strip() in RULES]
    assert [name for name, _ in table] == list(RULES)
    assert {name for name, closing in table if closing == "skipped"} == ENTRY_ONLY


def test_closing_takes_the_quantity_that_is_asked_without_prices() -> None:
    assessment = decide(CLOSE)
    assert assessment.approved
    assert assessment.adjusted_size == Decimal("3.000")
    assert (assessment.stop_loss_price, assessment.take_profit_price) == (None, None)


def test_closing_goes_on_after_a_drawdown_with_old_opinions_and_a_broken_equity() -> None:
    lost = replace(STATE, equity=1.0, position_value=9e9, exposure_value=math.nan, available_quote=math.nan)
    assert decide(
        CLOSE, lost, Ages(0.0, 999.0, 999.0, 999.0, 999.0, "XRP-USDT", 999.0, 999.0, 999.0)
    ).approved


@pytest.mark.parametrize("proposal", [LONG, SHORT, CLOSE, replace(LONG, entry=math.nan)])
def test_an_assessment_is_json_with_every_rule_in_words(proposal: Proposal) -> None:
    facts = json.loads(json.dumps(to_json_value(decide(proposal).facts())))
    assert [each["rule"] for each in facts["verdicts"]] == list(RULES)
    assert all(each["note"] for each in facts["verdicts"])
    assert set(facts["verdicts"][0]) == {"rule", "value", "limit", "passes", "note"}
