"""The pre-check refuses what the rules would refuse whatever is proposed, and nothing else."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from ml.decision.receipt import to_json_value
from tests.trading.risk.risk_case import (
    CALM,
    FRESH,
    IMPOSSIBLE,
    INSTRUMENT,
    LIMITS,
    LONG,
    SHORT,
    STATE,
    decide,
)
from trading.market import EPOCH, Pair, PairStatus
from trading.risk import (
    PRE_CHECK,
    RULES,
    AccountState,
    Ages,
    Halt,
    HaltKind,
    LivePermit,
    RiskAssessment,
    pre_check,
)

CASES: dict[str, dict[str, Any]] = {
    "numbers": {"state": replace(STATE, equity=float("nan"))},
    "pair": {"instrument": replace(INSTRUMENT, pair=Pair("XRP", "USDT"))},
    "status": {"instrument": replace(INSTRUMENT, status=PairStatus.CANCEL_ONLY)},
    "candle age": {"ages": replace(FRESH, candle=2.5)},
    "clock skew": {"ages": replace(FRESH, clock_skew_seconds=None)},
    "feature age": {"ages": replace(FRESH, features=2.5)},
    "balance age": {"ages": replace(FRESH, balance=2.5)},
    "reconciliation age": {"ages": replace(FRESH, reconciliation_seconds=601.0)},
    "trade age": {"ages": replace(FRESH, trade=25.0)},
    "feed gap": {"ages": replace(FRESH, feed_gap=3.0)},
    "book age": {"ages": replace(FRESH, book_seconds=10.5)},
    "price age": {"ages": replace(FRESH, prices=25.0)},
    "order rate": {"state": replace(STATE, recent_orders=20)},
    "model budget": {"state": replace(STATE, model_usd=5.01)},
    "live permit": {"state": replace(STATE, permit=LivePermit(True, (), ("no key",)))},
    **{
        kind.value: {"state": replace(STATE, halts=(Halt(kind, EPOCH, None, "a test"),))} for kind in HaltKind
    },
}


def check(
    state: AccountState = STATE, ages: Ages = FRESH, instrument: Any = INSTRUMENT
) -> RiskAssessment | None:
    return pre_check("ETH-USDT", 100.0, state, CALM, ages, instrument, LIMITS)


def test_there_is_a_case_of_every_rule() -> None:
    assert set(CASES) == set(PRE_CHECK)


@pytest.mark.parametrize("rule", CASES)
def test_what_it_refuses_is_refused_whatever_is_proposed(rule: str) -> None:
    found = check(**CASES[rule])
    assert found is not None
    assert found.rejection_reason.startswith(f"{rule}: ")
    for proposal in (LONG, SHORT):
        assert decide(proposal, **CASES[rule]).rejection_reason == found.rejection_reason


def test_a_sound_account_is_refused_nothing() -> None:
    assert check() is None


@pytest.mark.parametrize(
    "ages", [replace(FRESH, policy_days=63.0), replace(FRESH, sentiment_hours=73.0)], ids=["policy", "news"]
)
def test_an_input_whose_agent_may_abstain_refuses_nothing_before_the_vote(ages: Ages) -> None:
    assert check(ages=ages) is None
    assert not decide(ages=ages).approved


@pytest.mark.parametrize("name", [each.name for each in fields(AccountState)])
@pytest.mark.parametrize("value", [*IMPOSSIBLE, None, "text"])
def test_it_never_raises_and_never_passes_what_the_rules_cannot_judge(name: str, value: Any) -> None:
    broken = replace(STATE, **{name: value})
    found = check(broken)
    if found is not None:
        assert not decide(state=broken).approved
        assert json.dumps(to_json_value(found.facts()))


def test_its_verdicts_are_those_of_its_rules_in_their_order() -> None:
    found = check(**CASES["drawdown"])
    assert found is not None
    assert [each.rule for each in found.verdicts] == [name for name in RULES if name in PRE_CHECK]
    assert found.adjusted_size == 0


def test_a_rule_that_cannot_even_be_prepared_refuses() -> None:
    found = check(instrument=None)
    assert found is not None
    assert "cannot be judged" in found.rejection_reason


def test_the_documentation_names_the_rules_that_are_asked_before_the_vote() -> None:
    text = (Path(__file__).parents[3] / "docs" / "risk.md").read_text(encoding="utf-8")
    section = text.partition("## Before the vote")[2].partition("\n## ")[0]
    first, last = PRE_CHECK[0], PRE_CHECK[-1]
    assert f"from `{first}` to `{last}`, but for `policy age` and `sentiment age`" in " ".join(
        section.split()
    )
    names = list(RULES)
    between = names[names.index(first) : names.index(last) + 1]
    assert set(between) - set(PRE_CHECK) == {"policy age", "sentiment age"}
