"""The analyst's opinion where a language model reads the articles: it counts only what it was given and cites."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml.agents.analyst import AGENT, TONES, AnalystRules
from ml.agents.judgements import GivenArticle, Judgement, no_vote, reading_of
from ml.agents.opinions import Action, Opinion
from ml.news.recent import NewsItem
from ml.text.visible import visible
from trading.market import Pair

MAX_TITLE, MAX_TEXT = 300, 1200  # characters of an article that are shown
MAX_CITED = 32
_HOUR = timedelta(hours=1)


class NewsView(BaseModel):
    """What the prompt asks for; every field is required."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    symbol: Annotated[str, Field(pattern="^[A-Z0-9]{2,10}/[A-Z0-9]{2,10}$")]
    sentiment: Annotated[float, Field(ge=-1, le=1)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    articles: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=MAX_CITED)]
    reasoning: Annotated[str, Field(min_length=1, max_length=1000)]


def news_message(pair: Pair, items: Sequence[NewsItem]) -> str:
    """Return the pair and its articles between markers that they cannot close, each cut to a bounded length."""
    return "\n".join([f"Pair: {pair}", *(_article(each) for each in items)])


def _article(item: NewsItem) -> str:
    known, source = f"{item.known_at:%Y-%m-%d %H:%M} UTC", readable(item.source, 100)
    head = f'<article id="{escape(item.article_id)}" known="{known}" source="{source}">'
    return f"{head}\n{readable(item.title, MAX_TITLE)}\n{readable(item.text, MAX_TEXT)}\n</article>"


def readable(text: str, length: int) -> str:
    """Cut and escape what others wrote, and take out what nobody sees: it is hidden from people, not from models."""
    return escape(visible(text[: 4 * length])[:length])


def news_opinion(judgement: Judgement, pair: Pair, at: datetime, rules: AnalystRules) -> Opinion:
    """Vote by the model's sentiment of the pair; abstain where it cites what it was not given, or nothing."""
    reading = reading_of(judgement, NewsView)
    view, problem = reading.value, reading.problem
    if view is not None:
        problem = _find_problem(view, judgement, pair, at, rules)
    if view is None or problem:
        return no_vote(judgement, problem)
    return Opinion(
        agent=AGENT,
        model=judgement.model,
        action=_action(view.sentiment, rules.threshold),
        confidence=view.confidence,
        reasoning=view.reasoning,
        evidence={
            "prompt": judgement.prompt,
            "usd": judgement.cost_usd,
            "score": view.sentiment,
            "cited": sorted(set(view.articles)),
            "articles": len(judgement.articles),
        },
    )


def with_reading(
    tones: Opinion | None, judgement: Judgement, pair: Pair, at: datetime, rules: AnalystRules
) -> tuple[Opinion, ...]:
    """Return the analyst's vote, and behind it what else may hold an entry; `tones`: the vote of the stored tones.

    The model votes in their place where its answer is valid and without a problem. Its answer may be what a stranger
    wants it to be, so the tones beside it keep their power to hold an entry. Whatever else came of asking leaves them
    in force: bad news that are known are not forgotten because a server is away or an answer is of no use.
    """
    said = news_opinion(judgement, pair, at, rules)
    if tones is None or tones.action is None:
        return (said,)
    if said.action is None:
        why = f"{tones.reasoning}; the model that reads articles abstains: {said.reasoning}"
        return (replace(tones, reasoning=why, evidence=tones.evidence | said.evidence),)
    if tones.action is Action.HOLD:
        return (said,)
    return said, replace(tones, agent=TONES)


def rests_on_citations(opinion: Opinion) -> bool:
    """Return whether an analyst's vote is that of a model that has read articles."""
    return "cited" in opinion.evidence


def cited_at(judgement: Judgement) -> datetime | None:
    """Return when the newest article became known that the answer cites; None where it cites none."""
    view = reading_of(judgement, NewsView).value
    cited = set(view.articles) if view else set()
    return max((each.known_at for each in judgement.articles if each.article_id in cited), default=None)


def _find_problem(view: NewsView, judgement: Judgement, pair: Pair, at: datetime, rules: AnalystRules) -> str:
    if view.symbol != str(pair):
        return f"it answered for {view.symbol}, asked was {pair}"
    given = {each.article_id: each.known_at for each in judgement.articles}
    if unknown := sorted(set(view.articles) - given.keys()):
        return f"it cites {unknown[0]}, which it was not given"
    if len(given) < rules.minimum_articles:
        return f"articles: {len(given)}, at least {rules.minimum_articles} are needed"
    if not view.articles:
        return "it takes a side and cites no article" if abs(view.sentiment) > rules.threshold else ""
    age = (at - max(given[each] for each in view.articles)) / _HOUR
    if not 0 <= age <= rules.maximum_age_hours or not math.isfinite(age):
        return f"the newest article that it cites is {age:.1f} h old, limit {rules.maximum_age_hours:g} h"
    return ""


def _action(score: float, threshold: float) -> Action:
    if score > threshold:
        return Action.LONG
    return Action.SHORT if score < -threshold else Action.HOLD


def given(items: Sequence[NewsItem]) -> tuple[GivenArticle, ...]:
    return tuple(GivenArticle(each.article_id, each.known_at) for each in items)
