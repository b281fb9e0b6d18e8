import json
import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.opinions import Action, Opinion, abstain
from ml.agents.quant import quant_opinion
from ml.learning.policy import PolicyAction
from ml.sentiment.pair import PairSentiment
from tests.doubles.strange_values import STRANGE, kind
from trading.errors import InvalidValue
from trading.market import Pair
from trading.portfolio import Position

NOW = datetime(2021, 4, 10, tzinfo=UTC)
ANALYST = AnalystRules(maximum_age_hours=72, minimum_articles=2, threshold=0.2)


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


# --- the quant


class Champion:
    """Wants this exposure, whatever it is asked."""

    policy_id, feature_names = "champion", ()

    def __init__(self, exposure: float) -> None:
        self.exposure = exposure

    def act(self, features: object, held: float) -> PolicyAction:
        return PolicyAction(self.exposure, 0.95)


def position(quantity: int) -> Position:
    return Position("a", Pair("BTC", "USDT"), Decimal(quantity), Decimal(100), None, None, NOW)


@pytest.mark.parametrize(
    ("wanted", "held", "action"),
    [
        (1.0, None, Action.LONG), (1.0, 1, Action.LONG), (1.0, -1, Action.LONG),
        (0.0, None, Action.HOLD), (0.0, 1, Action.CLOSE), (0.0, -1, Action.CLOSE),
    ],
)  # fmt: skip
def test_a_champion_that_wants_flat_votes_to_close_what_is_open_long_or_short(
    wanted: float, held: int | None, action: Action
) -> None:
    asked = quant_opinion(Champion(wanted), {}, None if held is None else position(held))  # type: ignore[arg-type]
    assert (asked.action, asked.confidence) == (action, 0.95)
