"""The vote: who enters, who leaves, and how many must vote."""

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.agents.consensus import Consensus, ConsensusRules, consensus
from ml.agents.opinions import Action, Opinion, abstain
from orchestration.settings import load_settings
from tests.ml.agents.records import record, weights
from tests.ml.agents.test_opinions import opinion
from trading.errors import InvalidValue

RULES = ConsensusRules(
    agreement=0.75, minimum_confidence=0.6, minimum_votes=1, few_votes_confidence=0.6, exit_agreement=0.5
)
NO_RULES = ConsensusRules(0, 0, 1, 0, 0.5)
SHIPPED = load_settings({}).consensus


def test_three_of_four_agree() -> None:
    agreed = consensus([opinion(Action.LONG)] * 3 + [opinion(Action.SHORT, agent="bear")], RULES, None)
    assert agreed.action is Action.LONG
    assert agreed.agreement == pytest.approx(0.75)
    assert agreed.votes == pytest.approx({"LONG": 2.4, "SHORT": 0.8})
    assert agreed.dissent == ("bear: SHORT 0.80",)


@pytest.mark.parametrize("confidence", [step / 100 for step in range(60, 101)])
def test_rounding_never_decides_whether_three_of_four_are_enough(confidence: float) -> None:
    rules = replace(RULES, minimum_confidence=confidence, few_votes_confidence=1.0, minimum_votes=4)
    opinions = [opinion(Action.LONG, confidence)] * 3 + [opinion(Action.SHORT, confidence)]
    assert consensus(opinions, rules, None).action is Action.LONG


def test_two_of_three_are_too_few_and_hold_with_the_reason() -> None:
    agreed = consensus([opinion(Action.LONG)] * 2 + [opinion(Action.SHORT)], RULES, None)
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("3 of 3 agents voted", "LONG: 67% of the weight, 75% needed")


def test_a_vote_to_hold_is_a_vote() -> None:
    agreed = consensus([opinion(Action.LONG), opinion(Action.HOLD)], RULES, None)
    assert agreed.action is Action.HOLD
    assert agreed.votes == {"LONG": 0.8, "HOLD": 0.8}


def test_agreement_with_low_confidence_is_not_enough() -> None:
    agreed = consensus([opinion(Action.LONG, 0.5)] * 4, RULES, None)
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("4 of 4 agents voted", "LONG: confidence 0.50, 0.60 needed")


def test_supporters_with_higher_confidence_weigh_more_in_the_confidence() -> None:
    agreed = consensus([opinion(Action.LONG, 0.9), opinion(Action.LONG, 0.3)], RULES, None)
    assert agreed.confidence == pytest.approx((0.81 + 0.09) / 1.2)
    assert agreed.action is Action.LONG


def test_too_few_votes_hold() -> None:
    agreed = consensus(
        [opinion(Action.LONG), opinion(None, 0)],
        replace(RULES, minimum_votes=2, few_votes_confidence=0.9),
        None,
    )
    assert agreed.action is Action.HOLD
    assert agreed.reasons == (
        "1 of 2 agents voted",
        "LONG: confidence 0.80, 0.90 needed where fewer than 2 agents vote",
    )


@pytest.mark.parametrize(
    ("opinions", "why"),
    [
        ([], ("every agent abstains",)),
        ([opinion(None, 0)], ("every agent abstains",)),
        ([opinion(Action.LONG, 0)], ("1 of 1 agent voted", "every vote has confidence 0")),
    ],
)
def test_nothing_to_count_is_a_hold(opinions: list[Opinion], why: tuple[str, ...]) -> None:
    agreed = consensus(opinions, NO_RULES, None)
    assert (agreed.action, agreed.confidence, agreed.reasons) == (Action.HOLD, 0.0, why)


def test_the_reasons_say_how_many_of_how_many_voted_and_no_share_of_a_single_vote() -> None:
    one = consensus([opinion(Action.HOLD), opinion(None, 0), opinion(None, 0)], RULES, None)
    assert one.reasons == ("1 of 3 agents voted", "HOLD at confidence 0.80")
    two = consensus([opinion(Action.LONG), opinion(Action.LONG), opinion(None, 0)], RULES, None)
    assert two.reasons == ("2 of 3 agents voted", "all for LONG at confidence 0.80")


def test_a_tie_is_a_hold_whatever_agreement_is_required() -> None:
    agreed = consensus([opinion(Action.LONG), opinion(Action.SHORT)], NO_RULES, None)
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("2 of 2 agents voted", "LONG and SHORT have the same weight")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("agreement", 1.1),
        ("minimum_confidence", math.nan),
        ("minimum_votes", 0),
        ("few_votes_confidence", 1.1),
        ("few_votes_confidence", 0.59),
        ("exit_agreement", 0.0),
        ("exit_agreement", math.nan),
    ],
)
def test_impossible_consensus_rules_are_refused_by_name(field: str, wrong: float) -> None:
    with pytest.raises(InvalidValue, match=field):
        replace(RULES, **{field: wrong})  # type: ignore[arg-type]


VOTES = st.builds(opinion, st.sampled_from(Action), st.floats(0, 1), st.sampled_from(["a", "b", "c", "d"]))
OPINIONS = st.lists(st.one_of(VOTES, st.just(abstain("quiet", "model", "no news"))), max_size=8)
HELD = st.sampled_from([None, Action.LONG, Action.SHORT])
ANY_RULES = st.builds(
    lambda confidences, **rules: ConsensusRules(
        minimum_confidence=min(confidences), few_votes_confidence=max(confidences), **rules
    ),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    agreement=st.floats(0, 1),
    minimum_votes=st.integers(1, 4),
    exit_agreement=st.floats(0.01, 1),
)


@given(st.data(), OPINIONS, ANY_RULES, HELD)
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_opinions_does_not_matter(
    data: st.DataObject, opinions: list[Opinion], rules: ConsensusRules, held: Action | None
) -> None:
    assert consensus(data.draw(st.permutations(opinions)), rules, held) == consensus(opinions, rules, held)


@given(OPINIONS, st.integers(1, 5), ANY_RULES, HELD)
@settings(max_examples=100, deadline=None)
def test_abstentions_never_change_the_vote(
    opinions: list[Opinion], abstentions: int, rules: ConsensusRules, held: Action | None
) -> None:
    quiet = [abstain("analyst", "model", "no news")] * abstentions
    both = (consensus(asked, rules, held) for asked in (opinions + quiet, opinions))
    with_quiet, alone = (
        replace(agreed, reasons=()) for agreed in both
    )  # the reasons say how many did not vote
    assert with_quiet == alone


@given(OPINIONS, ANY_RULES, HELD)
@settings(max_examples=100, deadline=None)
def test_a_consensus_stays_within_its_bounds(
    opinions: list[Opinion], rules: ConsensusRules, held: Action | None
) -> None:
    agreed = consensus(opinions, rules, held)
    assert 0 <= agreed.confidence <= 1
    assert 0 <= agreed.agreement <= 1
    assert agreed.reasons
    if agreed.action is not Action.HOLD and held is None:
        assert agreed.agreement >= rules.agreement - 1e-9
        assert agreed.confidence >= rules.minimum_confidence
        votes = sum(each.action is not None for each in opinions)
        assert votes >= rules.minimum_votes or agreed.confidence >= rules.few_votes_confidence
    if held is not None:
        assert agreed.action in (Action.HOLD, Action.CLOSE)


@given(OPINIONS, st.sampled_from([Action.LONG, Action.SHORT, Action.CLOSE]), ANY_RULES)
@settings(max_examples=100, deadline=None)
def test_nothing_is_done_that_nobody_voted_for(
    opinions: list[Opinion], action: Action, rules: ConsensusRules
) -> None:
    assume(all(each.action is not action for each in opinions))
    assert consensus(opinions, rules, None).action is not action


# --- leaving an open position

LEAVE = {Action.LONG: (Action.SHORT, Action.CLOSE), Action.SHORT: (Action.LONG, Action.CLOSE)}
STRENGTHS = [step / 100 for step in range(-100, 101) if step]
PROBABILITIES = [0.5 + step / 100 for step in range(51)]


def technical(strength: float) -> Opinion:
    """The technical agent's vote at this score, with its shipped threshold."""
    if abs(strength) < 0.3:
        return opinion(Action.HOLD, 1 - abs(strength), "technical")
    return opinion(Action.LONG if strength > 0 else Action.SHORT, abs(strength), "technical")


@pytest.mark.parametrize("held", LEAVE)
@pytest.mark.parametrize("analyst", [None, Action.LONG, Action.SHORT, Action.CLOSE, Action.HOLD])
def test_whenever_all_who_vote_want_out_the_position_is_left(held: Action, analyst: Action | None) -> None:
    """10,200 combinations of a technical score and a champion's probability, each with and without news."""
    third = [opinion(analyst, 0.9, "analyst") if analyst else abstain("analyst", "model", "no news")]
    left = 0
    for strength, probability in product(STRENGTHS, PROBABILITIES):
        asked = [technical(strength), opinion(Action.CLOSE, probability, "quant"), *third]
        want_out = [each.action in LEAVE[held] for each in asked if each.action is not None]
        agreed = consensus(asked, SHIPPED, held)
        assert agreed.action in (Action.CLOSE, Action.HOLD)
        if all(want_out):
            assert agreed.action is Action.CLOSE, agreed.reasons
            left += 1
    assert left == (71 * len(PROBABILITIES) if analyst is None or analyst in LEAVE[held] else 0)


@pytest.mark.parametrize("held", LEAVE)
def test_whenever_nobody_wants_out_the_position_stays(held: Action) -> None:
    for strength, probability in product(STRENGTHS, PROBABILITIES):
        asked = [technical(strength), opinion(held, probability, "quant")]
        if all(each.action not in LEAVE[held] for each in asked):
            agreed = consensus(asked, SHIPPED, held)
            assert (agreed.action, agreed.agreement) == (Action.HOLD, 1.0)
            assert agreed.reasons[1] == f"already {held}: nobody wants out"


def test_those_who_want_out_are_counted_together_against_those_who_want_to_stay() -> None:
    out = [opinion(Action.SHORT, 0.5, "bear"), opinion(Action.CLOSE, 0.4, "champion")]
    agreed = consensus([*out, opinion(Action.LONG, 0.8, "bull")], SHIPPED, Action.LONG)
    assert agreed.action is Action.CLOSE
    assert agreed.agreement == pytest.approx(0.9 / 1.7)
    assert agreed.votes == {"LONG": 0.8, "SHORT": 0.5, "CLOSE": 0.4}
    assert agreed.dissent == ("bull: LONG 0.80",)
    assert agreed.reasons == ("3 of 3 agents voted", "53% of the weight wants out of LONG, 50% needed")


def test_half_of_the_weight_is_enough_to_leave_and_less_is_not() -> None:
    def leave(weight: float) -> Consensus:
        return consensus(
            [opinion(Action.CLOSE, weight, "a"), opinion(Action.HOLD, 0.6, "b")], SHIPPED, Action.LONG
        )

    assert leave(0.6).action is Action.CLOSE
    stays = leave(0.59)
    assert (stays.action, stays.agreement) == (Action.HOLD, pytest.approx(0.6 / 1.19))
    assert stays.dissent == ("a: CLOSE 0.59",)
    assert stays.reasons[1] == "stays LONG: 50% of the weight wants out of LONG, 50% needed"


def test_one_unsure_agent_alone_closes_what_nobody_speaks_for() -> None:
    quiet = abstain("analyst", "model", "no news")
    assert consensus([opinion(Action.SHORT, 0.3), quiet, quiet], SHIPPED, Action.LONG).action is Action.CLOSE
    assert consensus([quiet, quiet], SHIPPED, Action.LONG).action is Action.HOLD


def test_a_share_for_leaving_above_one_half_is_kept_to() -> None:
    strict = replace(SHIPPED, exit_agreement=0.75)
    asked = [opinion(Action.CLOSE, 0.8, "a"), opinion(Action.LONG, 0.5, "b")]
    assert consensus(asked, strict, Action.LONG).action is Action.HOLD
    assert consensus(asked, SHIPPED, Action.LONG).action is Action.CLOSE


@given(OPINIONS, ANY_RULES, st.sampled_from(list(LEAVE)), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_one_more_who_wants_out_never_keeps_a_position_in(
    opinions: list[Opinion], rules: ConsensusRules, held: Action, confidence: float
) -> None:
    assume(consensus(opinions, rules, held).action is Action.CLOSE)
    for way in LEAVE[held]:
        assert consensus([*opinions, opinion(way, confidence)], rules, held).action is Action.CLOSE


# --- few votes


@pytest.mark.parametrize(("confidence", "action"), [(0.74, Action.HOLD), (0.75, Action.LONG)])
def test_one_agent_alone_must_be_as_sure_as_the_settings_say(confidence: float, action: Action) -> None:
    quiet = abstain("quant", "none", "no champion")
    assert consensus([opinion(Action.LONG, confidence), quiet, quiet], SHIPPED, None).action is action


def test_the_reasons_say_how_many_must_vote_and_what_fewer_would_need() -> None:
    quiet = abstain("quant", "none", "no champion")
    agreed = consensus([opinion(Action.LONG, 0.7), quiet, quiet], SHIPPED, None)
    assert agreed.reasons == (
        "1 of 3 agents voted",
        "LONG: confidence 0.70, 0.75 needed where fewer than 2 agents vote",
    )


def test_two_who_agree_need_no_more_than_the_minimum_confidence() -> None:
    quiet = abstain("quant", "none", "no champion")
    assert consensus([opinion(Action.LONG, 0.6)] * 2 + [quiet], SHIPPED, None).action is Action.LONG


def test_a_single_vote_to_hold_holds_without_more_words() -> None:
    quiet = abstain("quant", "none", "no champion")
    agreed = consensus([opinion(Action.HOLD, 0.5), quiet], SHIPPED, None)
    assert agreed.reasons == ("1 of 2 agents voted", "HOLD at confidence 0.50")


NEWS_RULES = replace(SHIPPED, minimum_votes=1, few_votes_confidence=SHIPPED.minimum_confidence)


def test_bad_news_hold_an_entry_by_themselves() -> None:
    votes = [opinion(Action.LONG, 1.0)] * 3 + [opinion(Action.SHORT, 0.7, agent="analyst")]
    held = consensus(votes, NEWS_RULES, None)
    others = [replace(each, agent="agent") for each in votes]
    assert consensus(others, NEWS_RULES, None).action is Action.LONG
    assert held.action is Action.HOLD
    assert held.reasons[-1] == "held: the news say SHORT (analyst, confidence 0.70)"


def test_unsure_news_hold_nothing_and_good_news_alone_enter_nothing() -> None:
    unsure = [opinion(Action.LONG, 1.0)] * 3 + [opinion(Action.SHORT, 0.2, agent="analyst")]
    assert consensus(unsure, NEWS_RULES, None).action is Action.LONG
    alone = [opinion(Action.SHORT, 1.0, agent="analyst"), opinion(Action.LONG, 0.3)]
    others = [replace(each, agent="agent") for each in alone]
    assert consensus(others, NEWS_RULES, None).action is Action.SHORT
    held = consensus(alone, NEWS_RULES, None)
    assert (held.action, held.reasons[-1]) == (Action.HOLD, "held: nothing but the news is for SHORT")


@settings(deadline=None, max_examples=300)
@given(opinions=OPINIONS, rules=ANY_RULES, news=st.sets(st.sampled_from(["a", "b", "quiet"])))
def test_whatever_the_votes_news_never_enter_by_themselves_and_only_ever_turn_an_entry_into_a_hold(
    opinions: list[Opinion], rules: ConsensusRules, news: set[str]
) -> None:
    told = [replace(each, agent="analyst") if each.agent in news else each for each in opinions]
    plain, agreed = consensus(opinions, rules, None), consensus(told, rules, None)
    assert agreed.action in (plain.action, Action.HOLD)
    if agreed.action in (Action.LONG, Action.SHORT):
        others = [each for each in told if each.agent != "analyst"]
        assert any(each.action is agreed.action and each.confidence > 0 for each in others)
        against = {Action.LONG: Action.SHORT, Action.SHORT: Action.LONG}[agreed.action]
        sure = [each for each in told if each.agent == "analyst" and each.action is against]
        assert all(each.confidence < rules.minimum_confidence for each in sure)
    for held in (Action.LONG, Action.SHORT):
        assert consensus(told, rules, held).action == consensus(opinions, rules, held).action


def test_a_record_takes_a_vote_away_and_no_warning() -> None:
    votes = [opinion(Action.LONG, 0.9, "technical"), opinion(Action.LONG, 0.9, "quant")]
    warned = [*votes, opinion(Action.SHORT, 0.8, "analyst")]
    silent = weights(record("analyst", 0.0))
    held = consensus(warned, SHIPPED, None, silent)
    assert (held.action, held.reasons[-1]) == (
        Action.HOLD,
        "held: the news say SHORT (analyst, confidence 0.80)",
    )
    assert held.without_a_vote == {"analyst"}
    alone = [opinion(Action.LONG, 0.9, "analyst"), opinion(Action.LONG, 0.9, "quant")]
    assert consensus(alone, SHIPPED, None, weights(record("quant", 0.0, ""))).action is Action.HOLD
