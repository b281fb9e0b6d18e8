"""A day on which language models voted is explained to the last unit, though its back-test asks none."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.agents.judgements import GivenArticle, Judgement
from ml.agents.panel import ANALYST, ModelAgent, ModelPanel, Question
from ml.news.description import describe
from tests.doubles.stores import MemoryNews
from tests.ml.agents.model_panel import answer, hold, view
from tests.ml.decision.decision_world import with_market
from tests.ml.decision.test_invalidation import judgement
from tests.ml.parity.audited_days import AuditedDays, simulated, told
from tests.ml.parity.test_auditor import MIDNIGHT, causes
from trading.parity import Kind
from trading.ports import ARTICLE_SCHEMA, SENTIMENT_SCHEMA
from trading.signals import Direction

TRADER = "trader-a"


@pytest.fixture(scope="module")
def market() -> pl.DataFrame:
    return simulated()


def follows(question: Question, **changes: Any) -> Judgement:
    """A trader that votes for the signal's side and names what would end it."""
    close = question.close
    if question.signal.direction is Direction.LONG:
        return judgement(answer(close, **changes), TRADER)
    if question.signal.direction is Direction.SHORT:
        levels = {"stop_loss": close * 1.01, "take_profit": close * 0.97}
        return judgement(answer(close, action="SHORT", **levels), TRADER)
    return judgement(hold(confidence=0.0), TRADER)


def ends_soon(question: Question) -> Judgement:
    return follows(question, invalidation_hours=1.5)


def ends_below(question: Question) -> Judgement:
    return follows(question, invalidation_price=question.close * 0.998)


def ends_by_rsi(question: Question) -> Judgement:
    rsi = question.features["rsi_14"]
    assert rsi is not None
    condition = {"invalidation_indicator": "rsi_14", "invalidation_side": "below"}
    return follows(question, **condition, invalidation_value=rsi - 0.005)


def asks_for_little(question: Question) -> Judgement:
    return follows(question, position_size_pct=1.0)


def holds(question: Question) -> Judgement:
    return judgement(hold(confidence=1.0), TRADER)


def news_against(question: Question) -> Judgement:
    score = -0.9 if question.signal.direction is Direction.LONG else 0.9
    said = judgement(view(score, "a" * 16, confidence=0.65), ANALYST)
    return replace(said, articles=(GivenArticle("a" * 16, question.at),))


def named(agent: str) -> ModelAgent:
    return lambda question: replace(follows(question), agent=agent)


# Four traders follow the signal: without the rule about news the entry would be made.
HELD_BY_NEWS: dict[str, ModelAgent] = {
    ANALYST: news_against,
    **{name: named(name) for name in ("trader-a", "trader-b", "trader-c", "trader-d")},
}


@pytest.mark.parametrize(
    ("agents", "kind"),
    [
        ({TRADER: holds}, Kind.LLM),
        (HELD_BY_NEWS, Kind.LLM),
        ({TRADER: ends_soon}, Kind.GUARD),
        ({TRADER: ends_below}, Kind.GUARD),
        ({TRADER: ends_by_rsi}, Kind.LLM),
        ({TRADER: asks_for_little}, Kind.RISK),
    ],
)
def test_what_models_caused_has_a_cause_that_is_recorded(
    tmp_path: Path, market: pl.DataFrame, agents: Mapping[str, ModelAgent], kind: Kind
) -> None:
    world = AuditedDays(tmp_path, market)
    world.reader = replace(world.reader, models=ModelPanel(agents, 60.0))
    receipts = world.run(MIDNIGHT)
    report = world.audit()
    assert report.is_explained, report.causes
    assert causes(report, Kind.UNEXPLAINED) == []
    assert kind in told(report)
    is_held = any("held: the news say" in each["why"] for each in receipts)
    assert is_held is (agents is HELD_BY_NEWS)


def friendly(question: Question) -> Judgement:
    """An analyst's model that an article has made say what the signal says."""
    score = 0.9 if question.signal.direction is Direction.LONG else -0.9
    return replace(judgement(view(score, "a" * 16), ANALYST), articles=(GivenArticle("a" * 16, question.at),))


def tones(score: float) -> MemoryNews:
    """Stored tones of a pair's asset that were known an hour before the day."""
    news, known = MemoryNews(), [MIDNIGHT - timedelta(hours=1)]
    article = {"article_id": ["b" * 16], "published_at": known, "known_at": known, "source": ["wire"]}
    rest: dict[str, Any] = {
        "title": ["Bitcoin falls"],
        "text": [""],
        "url": [""],
        "language": ["en"],
        "date_only": [False],
    }
    news.put_articles(describe(pl.DataFrame(article | rest, ARTICLE_SCHEMA)))
    judged = {
        "article_id": ["b" * 16],
        "asset": ["BTC"],
        "known_at": known,
        "score": [score],
        "confidence": [0.9],
    }
    origin: dict[str, Any] = {"model": ["lexicon"], "prompt_hash": [""], "cost_usd": [0.0]}
    news.put_sentiment(pl.DataFrame(judged | origin, SENTIMENT_SCHEMA))
    return news


def test_a_day_on_which_tones_held_entries_beside_a_friendly_model_is_explained(
    tmp_path: Path, market: pl.DataFrame
) -> None:
    world = AuditedDays(tmp_path, market)
    agents = {ANALYST: friendly, **{name: named(name) for name in ("trader-a", "trader-b")}}
    world.reader = replace(with_market(world.reader, news=tones(0.9)), models=ModelPanel(agents, 60.0))
    receipts = world.run(MIDNIGHT)
    report = world.audit()
    assert any("(tones, confidence" in each["why"] for each in receipts)
    assert report.is_explained, report.causes
    assert causes(report, Kind.UNEXPLAINED) == []
