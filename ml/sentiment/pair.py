"""Sentiment of articles towards an asset, and its weighted sum for a pair at one moment."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.news.articles import article_excerpt
from ml.news.entities import find_assets
from ml.sentiment.clauses import reading_of
from trading.errors import InvalidValue, ModelUnreachable
from trading.ports import SENTIMENT_SCHEMA

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]  # microseconds since 1970 UTC

OLDEST_THAT_COUNTS = (
    53.0  # half-lives: beyond, the weight beside the newest's is less than a float's last digit
)


@dataclass(frozen=True, slots=True)
class Sentiment:
    """One judgement of one text. `prompt_hash` is empty where no prompt exists; local models cost 0."""

    score: float  # -1 (bad for the asset) .. 1 (good)
    confidence: float  # 0 .. 1
    prompt_hash: str = ""
    cost_usd: float = 0.0
    tokens: int = 0  # read and written, failed attempts included

    def __post_init__(self) -> None:
        _check_range("score", self.score, -1.0, 1.0)
        _check_range("confidence", self.confidence, 0.0, 1.0)
        _check_range("cost_usd", self.cost_usd, 0.0, math.inf)


class SentimentModel(Protocol):
    """Scores texts, in order. None is an abstention: the model answered and its answer cannot be used.

    A confidence of 0 is no judgement either: the model works, the text says nothing to it.

    ModelUnreachable when it does not answer. No answer is ever made up.
    """

    @property
    def name(self) -> str: ...

    def score(self, texts: Sequence[str]) -> Sequence[Sentiment | None]: ...


def score_articles(articles: pl.DataFrame, assets: Sequence[str], model: SentimentModel) -> pl.DataFrame:
    """Score articles as SENTIMENT_SCHEMA: one row per article and each of `assets` that it names.

    Title and opening are scored, once per text; where clauses tell assets apart (`BTC falls while ETH rises`), each
    asset by its own. An abstention and a confidence of 0 give no row. ModelUnreachable when every answer is an
    abstention: a broken model is not an absence of news.
    """
    wanted = set(assets)
    texts = [article_excerpt(*row) for row in articles.select("title", "text").iter_rows()]
    readings = [
        {asset: reading_of(asset, text) for asset in sorted(find_assets(text) & wanted)} for text in texts
    ]
    unique = list(dict.fromkeys(reading for each in readings for reading in each.values()))
    answers = dict(zip(unique, model.score(unique), strict=True))
    if answers and not any(answers.values()):
        raise ModelUnreachable(f"{model.name} gave no usable answer to any of {len(answers)} texts")
    rows = [
        (
            article_id,
            asset,
            known_at,
            each.score,
            each.confidence,
            model.name,
            each.prompt_hash,
            each.cost_usd,
        )
        for (article_id, known_at), by_asset in zip(
            articles.select("article_id", "known_at").iter_rows(), readings, strict=True
        )
        for asset, reading in by_asset.items()
        if (each := answers[reading]) and each.confidence > 0
    ]
    return pl.DataFrame(rows, schema=SENTIMENT_SCHEMA, orient="row")


@dataclass(frozen=True, slots=True)
class PairSentiment:
    """News of a pair, newer articles weighing more; `score` above 0 favours the base over the quote."""

    score: float  # -1 .. 1
    confidence: float  # 0 .. 1
    articles: int
    newest_known_at: datetime
    model: str  # names joined with " + " when several judged


def pair_sentiment(
    rows_base: pl.DataFrame, rows_quote: pl.DataFrame | None, now: datetime, half_life_hours: float
) -> PairSentiment | None:
    """Weigh rows (SENTIMENT_SCHEMA) known strictly before `now` by age; None when there are none.

    `rows_quote` is None for a currency or a coin pegged to one; otherwise the quote's mean is taken from the
    base's and the difference clipped to -1 .. 1. One of the two without an article counts as 0; both without
    is None: the absence of news is not a neutral opinion. What several models say of an article weighs once.
    """
    half_life = half_life_microseconds(half_life_hours)
    judged_base = rows_base.filter(pl.col("known_at") < now)
    judged_quote = rows_base.clear() if rows_quote is None else rows_quote.filter(pl.col("known_at") < now)
    base, quote = per_article(judged_base), per_article(judged_quote)
    rows = pl.concat([base, quote])
    if rows.is_empty():
        return None
    times = known_times(rows)
    return PairSentiment(
        score=score_difference(
            known_times(base),
            base["score"].to_numpy(),
            known_times(quote),
            quote["score"].to_numpy(),
            half_life=half_life,
        ),
        confidence=mean_confidence(times, rows["confidence"].to_numpy(), half_life),
        articles=rows["article_id"].n_unique(),
        newest_known_at=max(rows["known_at"].to_list()),
        model=names_of([*judged_base["model"], *judged_quote["model"]]),
    )


def per_article(rows: pl.DataFrame) -> pl.DataFrame:
    """Return article_id, known_at, `models` and their mean score and confidence of each article, ordered as `rows`."""
    return rows.group_by("article_id", "known_at", maintain_order=True).agg(
        pl.col("score", "confidence").mean(), models=pl.col("model").unique()
    )


def names_of(models: Iterable[str]) -> str:
    """Return one name of all who judged."""
    return " + ".join(sorted(set(models)))


def score_difference(
    base: Times, base_scores: Array, quote: Times, quote_scores: Array, *, half_life: float
) -> float:
    difference = _mean(base, base_scores, half_life) - _mean(quote, quote_scores, half_life)
    return max(-1.0, min(1.0, difference))


def mean_confidence(times: Times, confidences: Array, half_life: float) -> float:
    return min(1.0, _mean(times, confidences, half_life))


def _mean(times: Times, values: Array, half_life: float) -> float:
    """Weigh by age; 0 without rows. Ages from the newest row have the ratios of those from `now`."""
    if not times.size:
        return 0.0
    ages = (times.max() - times) / half_life
    counts = ages <= OLDEST_THAT_COUNTS
    weights = np.array([0.5**age for age in ages[counts].tolist()])
    return math.fsum((weights * values[counts]).tolist()) / math.fsum(weights.tolist())


def known_times(rows: pl.DataFrame) -> Times:
    return rows["known_at"].dt.epoch("us").to_numpy()


def half_life_microseconds(half_life_hours: float) -> float:
    if not (math.isfinite(half_life_hours) and half_life_hours > 0):
        raise InvalidValue(f"half_life_hours must be a finite number above 0, not {half_life_hours}")
    return timedelta(hours=half_life_hours) / timedelta(microseconds=1)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidValue(f"{name} must be a finite number from {low} to {high}, not {value}")


UNREADABLE = Sentiment(0.0, 0.0)  # the model works and the text is not for it: another language, or none
