import json
import math
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.consensus import ConsensusRules, consensus
from ml.agents.opinions import Action, Opinion, abstain
from ml.sentiment.pair import PairSentiment
from tests.doubles.strange_values import STRANGE, kind
from trading.errors import InvalidValue

NOW = datetime(2021, 4, 10, tzinfo=UTC)
ANALYST = AnalystRules(maximum_age_hours=72, minimum_articles=2, threshold=0.2)
RULES = ConsensusRules(agreement=0.75, minimum_confidence=0.6, minimum_votes=1)


def opinion(action: Action | None, confidence: float = 0.8, agent: str = "agent") -> Opinion:
    return Opinion(agent, "model", action, confidence, "because", {})


def news(score: float = 0.5, articles: int = 5, age: timedelta = timedelta(hours=3)) -> PairSentiment:
    return PairSentiment(score, 0.7, articles, NOW - age, "vader")


# --- opinions


@pytest.mark.parametrize("confidence", [*STRANGE, -0.01, 1.01, math.nan, True], ids=kind)
def test_an_impossible_confidence_makes_it_an_abstention_that_says_so(confidence: Any) -> None:
    answer = opinion(Action.LONG, confidence)
    assert (answer.action, answer.confidence) == (None, 0)
    assert "confidence is" in answer.reasoning


def test_an_abstention_has_no_confidence() -> None:
    assert abstain("analyst", "vader", "no news").confidence == 0
    answer = opinion(None, 0.5)
    assert answer.confidence == 0
    assert "an abstention has confidence 0, not 0.5" in answer.reasoning


@pytest.mark.parametrize("action", STRANGE[1:], ids=kind)
def test_only_an_action_is_a_vote(action: Any) -> None:
    answer = opinion(action)
    assert answer.action is None
    assert "its action is" in answer.reasoning


@pytest.mark.parametrize(
    "evidence",
    [
        *(each for each in STRANGE if not isinstance(each, dict)),
        {"rsi": math.nan},
        {"at": NOW},
        {"odds": {"up": math.inf}},
    ],
    ids=kind,
)
def test_evidence_that_is_not_json_is_no_ground_for_a_vote(evidence: Any) -> None:
    answer = Opinion("agent", "model", Action.LONG, 0.5, "because", evidence)
    assert (answer.action, answer.evidence) == (None, {})
    assert "evidence" in answer.reasoning


@pytest.mark.parametrize("text", STRANGE, ids=kind)
def test_whatever_an_agent_calls_itself_the_receipt_can_hold_it(text: Any) -> None:
    answer = Opinion(text, text, Action.LONG, 0.5, text, {})
    assert json.dumps(asdict(answer), ensure_ascii=False).encode()
    assert answer.action is Action.LONG


# --- the analyst


@pytest.mark.parametrize(
    ("score", "action"),
    [(0.21, Action.LONG), (0.2, Action.HOLD), (0.0, Action.HOLD), (-0.2, Action.HOLD), (-0.21, Action.SHORT)],
)
def test_only_a_score_beyond_the_threshold_takes_a_side(score: float, action: Action) -> None:
    assert analyst_opinion(news(score), NOW, ANALYST).action is action


def test_the_analyst_has_the_confidence_of_the_news() -> None:
    assert analyst_opinion(news(), NOW, ANALYST).confidence == 0.7


@pytest.mark.parametrize(
    ("sentiment", "why"),
    [
        (None, "no article names the pair's assets"),
        (news(age=timedelta(days=273)), "the newest article is 9 months old, limit 72 h"),
        (news(age=timedelta(days=20)), "the newest article is 20 days old, limit 72 h"),
        (news(age=timedelta(hours=72, minutes=6)), "the newest article is 3 days old, limit 72 h"),
        (news(articles=1), "articles: 1, at least 2 are needed"),
        (news(age=timedelta(hours=-2)), "became known 2.0 h after the decision"),
    ],
)
def test_the_analyst_abstains_and_says_why(sentiment: PairSentiment | None, why: str) -> None:
    answer = analyst_opinion(sentiment, NOW, ANALYST)
    assert answer.action is None
    assert why in answer.reasoning


def test_the_analyst_records_its_evidence() -> None:
    answer = analyst_opinion(news(), NOW, ANALYST)
    assert json.loads(json.dumps(answer.evidence)) == {
        "score": 0.5,
        "articles": 5,
        "newest_known_at": "2021-04-09T21:00:00+00:00",
    }
    assert answer.reasoning == "5 articles score +0.50 (threshold 0.20), the newest 3.0 h old"


@pytest.mark.parametrize(
    ("age", "articles", "threshold", "field"),
    [
        (math.nan, 1, 0.2, "maximum_age_hours"),
        (72, 0, 0.2, "minimum_articles"),
        (72, 1, 1.0, "threshold"),
        (72, 1, math.nan, "threshold"),
    ],
)
def test_impossible_analyst_rules_are_refused_by_name(
    age: float, articles: int, threshold: float, field: str
) -> None:
    with pytest.raises(InvalidValue, match=field):
        AnalystRules(age, articles, threshold)


# --- consensus


def test_three_of_four_agree() -> None:
    agreed = consensus([opinion(Action.LONG)] * 3 + [opinion(Action.SHORT, agent="bear")], RULES)
    assert agreed.action is Action.LONG
    assert agreed.agreement == pytest.approx(0.75)
    assert agreed.votes == pytest.approx({"LONG": 2.4, "SHORT": 0.8})
    assert agreed.dissent == ("bear: SHORT 0.80",)


@pytest.mark.parametrize("confidence", [step / 100 for step in range(60, 101)])
def test_rounding_never_decides_whether_three_of_four_are_enough(confidence: float) -> None:
    rules = ConsensusRules(agreement=0.75, minimum_confidence=confidence, minimum_votes=4)
    opinions = [opinion(Action.LONG, confidence)] * 3 + [opinion(Action.SHORT, confidence)]
    assert consensus(opinions, rules).action is Action.LONG


def test_two_of_three_are_too_few_and_hold_with_the_reason() -> None:
    agreed = consensus([opinion(Action.LONG)] * 2 + [opinion(Action.SHORT)], RULES)
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("3 of 3 agents voted", "LONG: 67% of the weight, 75% needed")


def test_a_vote_to_hold_is_a_vote() -> None:
    agreed = consensus([opinion(Action.LONG), opinion(Action.HOLD)], RULES)
    assert agreed.action is Action.HOLD
    assert agreed.votes == {"LONG": 0.8, "HOLD": 0.8}


def test_agreement_with_low_confidence_is_not_enough() -> None:
    agreed = consensus([opinion(Action.LONG, 0.5)] * 4, RULES)
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("4 of 4 agents voted", "LONG: confidence 0.50, 0.60 needed")


def test_supporters_with_higher_confidence_weigh_more_in_the_confidence() -> None:
    agreed = consensus([opinion(Action.LONG, 0.9), opinion(Action.LONG, 0.3)], RULES)
    assert agreed.confidence == pytest.approx((0.81 + 0.09) / 1.2)
    assert agreed.action is Action.LONG


def test_too_few_votes_hold() -> None:
    agreed = consensus([opinion(Action.LONG), opinion(None, 0)], ConsensusRules(0.75, 0.6, 2))
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("1 of 2 agents voted", "at least 2 must vote")


@pytest.mark.parametrize(
    ("opinions", "why"),
    [
        ([], ("every agent abstains",)),
        ([opinion(None, 0)], ("every agent abstains",)),
        ([opinion(Action.LONG, 0)], ("1 of 1 agent voted", "every vote has confidence 0")),
    ],
)
def test_nothing_to_count_is_a_hold(opinions: list[Opinion], why: tuple[str, ...]) -> None:
    agreed = consensus(opinions, ConsensusRules(0, 0, 1))
    assert (agreed.action, agreed.confidence, agreed.reasons) == (Action.HOLD, 0.0, why)


def test_the_reasons_say_how_many_of_how_many_voted_and_no_share_of_a_single_vote() -> None:
    one = consensus([opinion(Action.HOLD), opinion(None, 0), opinion(None, 0)], RULES)
    assert one.reasons == ("1 of 3 agents voted", "HOLD at confidence 0.80")
    two = consensus([opinion(Action.LONG), opinion(Action.LONG), opinion(None, 0)], RULES)
    assert two.reasons == ("2 of 3 agents voted", "all for LONG at confidence 0.80")


def test_a_tie_is_a_hold_whatever_agreement_is_required() -> None:
    agreed = consensus([opinion(Action.LONG), opinion(Action.SHORT)], ConsensusRules(0, 0, 1))
    assert agreed.action is Action.HOLD
    assert agreed.reasons == ("2 of 2 agents voted", "LONG and SHORT have the same weight")


@pytest.mark.parametrize(
    ("agreement", "confidence", "votes", "field"),
    [(1.1, 0.6, 1, "agreement"), (0.75, math.nan, 1, "minimum_confidence"), (0.75, 0.6, 0, "minimum_votes")],
)
def test_impossible_consensus_rules_are_refused_by_name(
    agreement: float, confidence: float, votes: int, field: str
) -> None:
    with pytest.raises(InvalidValue, match=field):
        ConsensusRules(agreement, confidence, votes)


VOTES = st.builds(opinion, st.sampled_from(Action), st.floats(0, 1), st.sampled_from(["a", "b", "c", "d"]))
OPINIONS = st.lists(st.one_of(VOTES, st.just(abstain("quiet", "model", "no news"))), max_size=8)
ANY_RULES = st.builds(ConsensusRules, st.floats(0, 1), st.floats(0, 1), st.integers(1, 4))


@given(st.data(), OPINIONS, ANY_RULES)
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_opinions_does_not_matter(
    data: st.DataObject, opinions: list[Opinion], rules: ConsensusRules
) -> None:
    assert consensus(data.draw(st.permutations(opinions)), rules) == consensus(opinions, rules)


@given(OPINIONS, st.integers(1, 5), ANY_RULES)
@settings(max_examples=100, deadline=None)
def test_abstentions_never_change_the_vote(
    opinions: list[Opinion], abstentions: int, rules: ConsensusRules
) -> None:
    quiet = [abstain("analyst", "model", "no news")] * abstentions
    both = (consensus(asked, rules) for asked in (opinions + quiet, opinions))
    with_quiet, alone = (
        replace(agreed, reasons=()) for agreed in both
    )  # the reasons say how many did not vote
    assert with_quiet == alone


@given(OPINIONS, ANY_RULES)
@settings(max_examples=100, deadline=None)
def test_a_consensus_stays_within_its_bounds(opinions: list[Opinion], rules: ConsensusRules) -> None:
    agreed = consensus(opinions, rules)
    assert 0 <= agreed.confidence <= 1
    assert 0 <= agreed.agreement <= 1
    assert agreed.reasons
    if agreed.action is not Action.HOLD:
        assert agreed.agreement >= rules.agreement - 1e-9
        assert agreed.confidence >= rules.minimum_confidence


@given(OPINIONS, st.sampled_from([Action.LONG, Action.SHORT, Action.CLOSE]), ANY_RULES)
@settings(max_examples=100, deadline=None)
def test_nothing_is_done_that_nobody_voted_for(
    opinions: list[Opinion], action: Action, rules: ConsensusRules
) -> None:
    assume(all(each.action is not action for each in opinions))
    assert consensus(opinions, rules).action is not action
