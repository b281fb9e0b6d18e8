"""The analyst's opinion: the tone of a pair's news as a vote; an abstention where there is too little news."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from ml.agents.opinions import Action, Opinion, abstain
from ml.sentiment.pair import PairSentiment
from trading.errors import InvalidValue

AGENT = "analyst"
TONES = "tones"  # the stored tones beside a model's answer: they have no vote, and may hold an entry
_MONTH = timedelta(days=365.25 / 12)


@dataclass(frozen=True, slots=True)
class AnalystRules:
    maximum_age_hours: float  # the newest article may not be older
    minimum_articles: int
    threshold: float  # a score beyond this is LONG or SHORT, within it HOLD

    def __post_init__(self) -> None:
        age = self.maximum_age_hours
        if not (math.isfinite(age) and age > 0):
            raise InvalidValue(f"maximum_age_hours must be a finite number above 0, not {age}")
        if self.minimum_articles < 1:
            raise InvalidValue(f"minimum_articles must be 1 or more, not {self.minimum_articles}")
        if not 0 <= self.threshold < 1:
            raise InvalidValue(f"threshold must be from 0 to below 1, not {self.threshold}")


def analyst_opinion(sentiment: PairSentiment | None, now: datetime, rules: AnalystRules) -> Opinion:
    """Vote LONG, SHORT or HOLD with the sentiment's confidence; abstain when news is missing, old or scarce."""
    if sentiment is None:
        return abstain(AGENT, "none", "no article names the pair's assets")
    if problem := _find_problem(sentiment, now, rules):
        return abstain(AGENT, sentiment.model, problem)
    return Opinion(
        agent=AGENT,
        model=sentiment.model,
        action=_action(sentiment.score, rules.threshold),
        confidence=sentiment.confidence,
        reasoning=(
            f"{_articles(sentiment.articles)} {sentiment.score:+.2f} (threshold {rules.threshold:.2f}), "
            f"the newest {_age(now - sentiment.newest_known_at)} old"
        ),
        evidence={
            "score": sentiment.score,
            "articles": sentiment.articles,
            "newest_known_at": sentiment.newest_known_at.isoformat(),
        },
    )


def _find_problem(sentiment: PairSentiment, now: datetime, rules: AnalystRules) -> str:
    age = now - sentiment.newest_known_at
    if age < timedelta(0):
        return f"the newest article became known {_age(-age)} after the decision: it must not be read"
    if age > timedelta(hours=rules.maximum_age_hours):
        return f"the newest article is {_age(age)} old, limit {rules.maximum_age_hours:g} h"
    if sentiment.articles < rules.minimum_articles:
        return f"articles: {sentiment.articles}, at least {rules.minimum_articles} are needed"
    return ""


def _articles(count: int) -> str:
    return "1 article scores" if count == 1 else f"{count} articles score"


def _action(score: float, threshold: float) -> Action:
    if score > threshold:
        return Action.LONG
    return Action.SHORT if score < -threshold else Action.HOLD


def _age(age: timedelta) -> str:
    if age < timedelta(days=3):
        return f"{age / timedelta(hours=1):.1f} h"
    if age < 2 * _MONTH:
        return f"{age.days} days"
    return f"{age / _MONTH:.0f} months"
