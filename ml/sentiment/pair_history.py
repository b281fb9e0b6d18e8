"""The tone of a pair's news at many moments, for whole tables of candles."""

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from ml.sentiment.pair import (
    half_life_microseconds,
    known_times,
    mean_confidence,
    names_of,
    per_article,
    score_difference,
)
from trading.market import TIME

SENTIMENT_AT_SCHEMA = pl.Schema(
    {
        "at": TIME,
        "score": pl.Float64(),  # these are null where no article was known
        "confidence": pl.Float64(),
        "articles": pl.Int64(),
        "newest_known_at": TIME,
        "model": pl.String(),  # as `PairSentiment` names it
    }
)


def pair_sentiments(
    rows_base: pl.DataFrame,
    rows_quote: pl.DataFrame | None,
    times: pl.Series,
    horizon: timedelta,
    half_life_hours: float,
) -> pl.DataFrame:
    """Compute `pair_sentiment` at each of `times` (n,) of the rows known in the `horizon` before; all are sorted.

    It changes only when an article becomes known or leaves the horizon: one computation serves all times between.
    Returns SENTIMENT_AT_SCHEMA, one row per time.
    """
    half_life = half_life_microseconds(half_life_hours)
    own_articles = per_article(rows_base)
    rows = pl.concat([own_articles, own_articles.clear() if rows_quote is None else per_article(rows_quote)])
    known_at, scores = known_times(rows), rows["score"].to_numpy()
    confidences = rows["confidence"].to_numpy()
    articles = rows["article_id"].rank("dense").to_numpy()
    names, judges = rows["models"].explode().unique().to_list(), rows["models"].to_list()
    base, quote = known_at[: own_articles.height], known_at[own_articles.height :]
    moments = times.dt.epoch("us").to_numpy()
    first_moments = moments - horizon // timedelta(microseconds=1)
    bounds = [np.searchsorted(each, ends) for each in (base, quote) for ends in (first_moments, moments)]
    windows, places = np.unique(np.stack(bounds, axis=1), axis=0, return_inverse=True)

    def tone(base_start: int, base_end: int, quote_start: int, quote_end: int) -> tuple[Any, ...]:
        own, other = (
            slice(base_start, base_end),
            slice(len(base) + quote_start, len(base) + quote_end),
        )
        both = np.r_[own, other]
        if not both.size:
            return None, None, None, None, None
        known = known_at[both]
        score = score_difference(
            known_at[own], scores[own], known_at[other], scores[other], half_life=half_life
        )
        confidence = mean_confidence(known, confidences[both], half_life)
        model = (
            names[0] if len(names) == 1 else names_of(name for row in both.tolist() for name in judges[row])
        )
        return score, confidence, np.unique(articles[both]).size, known.max(), model

    tones = [tone(*window) for window in windows.tolist()]
    columns: dict[str, pl.DataType] = {
        **{name: pl.Float64() for name in ("score", "confidence")},
        **{name: pl.Int64() for name in ("articles", "newest_known_at")},
        "model": pl.String(),
    }
    table = pl.DataFrame(tones, columns, orient="row")[places.ravel()]
    return table.select(times.alias("at"), *columns).cast(SENTIMENT_AT_SCHEMA)
