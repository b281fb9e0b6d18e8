"""Real money is put into the market only where nothing is missing; leaving it is never kept back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.risk.risk_case import BUY_BACK, CLOSE, FRESH, LONG, STATE, decide, refused_by, verdict
from trading.risk import LivePermit

WATCHED = replace(FRESH, book_seconds=1.0)
WORDS = st.lists(st.text(min_size=1, max_size=9), max_size=3).map(tuple)
PERMITS = st.builds(LivePermit, is_live=st.booleans(), holds=WORDS, missing=WORDS, unwatched=WORDS)


@given(PERMITS, st.booleans(), st.booleans())
def test_an_entry_passes_without_real_money_or_where_all_holds_the_champion_voted_and_the_book_is_watched(
    permit: LivePermit, voted: bool, watched: bool
) -> None:
    ages = replace(FRESH, policy_days=10.0 if voted else None, book_seconds=1.0 if watched else None)
    lacks = permit.is_live and (bool(permit.missing) or not voted or not watched)
    against = bool(permit.unwatched) or lacks
    found = verdict(decide(state=replace(STATE, permit=permit), ages=ages), "live permit")
    assert found.passes is not against
    assert (found.value == 0) is found.passes


@given(PERMITS)
@pytest.mark.parametrize("proposal", [CLOSE, BUY_BACK])
def test_a_closing_order_needs_no_permit(proposal: object, permit: LivePermit) -> None:
    assert decide(proposal, replace(STATE, permit=permit)).approved  # type: ignore[arg-type]


@pytest.mark.parametrize("converts", [False, True])
def test_whatever_is_missing_stands_in_the_verdict(converts: bool) -> None:
    permit = LivePermit(
        True, ("mode: live",), ("doctor: red", "confirmation: none"), ("account b has 1 BTC",)
    )
    proposal = replace(LONG, converts=converts, reduce_quantity=LONG.reduce_quantity)
    note = verdict(decide(proposal, replace(STATE, permit=permit), WATCHED), "live permit").note
    assert note == "account b has 1 BTC; doctor: red; confirmation: none"


def test_real_money_with_everything_is_approved_and_the_verdict_says_what_it_rests_on() -> None:
    permit = LivePermit(True, ("mode: live", "doctor: green"), ())
    found = decide(state=replace(STATE, permit=permit), ages=WATCHED)
    assert found.approved
    assert verdict(found, "live permit").note == "mode: live; doctor: green"


def test_paper_in_the_place_of_real_money_says_why() -> None:
    found = decide(state=replace(STATE, permit=LivePermit(False, (), ("doctor: red",))))
    assert found.approved
    assert verdict(found, "live permit").note == "not real money: doctor: red"


@pytest.mark.parametrize("broken", [0, "x", object()])
def test_a_permit_that_cannot_be_read_is_none(broken: object) -> None:
    assert refused_by(decide(state=replace(STATE, permit=broken)), "live permit")  # type: ignore[arg-type]
