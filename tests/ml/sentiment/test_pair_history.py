"""The tone of the news at many moments at once: what `pair_sentiment` and the analyst say of each of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.opinions import Action
from ml.scoring import analyst_votes
from ml.sentiment.pair import pair_sentiment
from ml.sentiment.pair_history import pair_sentiments
from trading.market import TIME
from trading.ports import SENTIMENT_SCHEMA

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HORIZON = 6 * HOUR
HALF_LIFE = 2.0
SIGN = {Action.LONG: 1.0, Action.SHORT: -1.0}

hours = st.integers(0, 24)
scores = st.sampled_from(
    [-0.9, -0.15, 0.0, 0.1, 0.15, 0.7]
)  # 0.15 is the threshold: ties must go the same way
news = st.lists(st.tuples(hours, scores, st.integers(0, 9)), max_size=12)


def rows(items: list[tuple[int, float, int]], asset: str = "BTC") -> pl.DataFrame:
    values = [
        (f"article-{article}", asset, START + hour * HOUR, score, (number + 1) / 13, f"m{number}", "", 0.0)
        for number, (hour, score, article) in enumerate(items)
    ]
    return pl.DataFrame(values, SENTIMENT_SCHEMA, orient="row").sort("known_at", "article_id", "model")


def every_half_hour() -> pl.Series:
    return pl.Series([START + number * HOUR / 2 for number in range(50)], dtype=TIME)


def known_at(table: pl.DataFrame, at: datetime) -> pl.DataFrame:
    return table.filter(pl.col("known_at") >= at - HORIZON, pl.col("known_at") < at)


@settings(max_examples=15, deadline=None)
@given(news, st.one_of(st.none(), news), st.integers(1, 3))
def test_every_moment_has_the_tone_and_the_vote_that_it_has_alone(
    base: list[tuple[int, float, int]], quote: list[tuple[int, float, int]] | None, minimum: int
) -> None:
    tables = rows(base), None if quote is None else rows(quote, "XRP")
    rules = AnalystRules(maximum_age_hours=4.0, minimum_articles=minimum, threshold=0.15)
    times = every_half_hour()
    found = pair_sentiments(*tables, times, HORIZON, HALF_LIFE)
    votes = analyst_votes(found, rules)
    for at, row, vote in zip(times, found.iter_rows(named=True), votes, strict=True):
        known = tuple(None if table is None else known_at(table, at) for table in tables)
        alone = pair_sentiment(known[0], known[1], at, HALF_LIFE)  # type: ignore[arg-type]
        names = ("score", "confidence", "articles", "newest_known_at", "model")
        assert row == {"at": at, **{name: alone and getattr(alone, name) for name in names}}
        assert vote == SIGN.get(analyst_opinion(alone, at, rules).action, 0.0)  # type: ignore[arg-type]


def test_a_worked_example() -> None:
    """Two articles two hours apart, with a half-life of two hours: the older counts half, so 0.6 and -0.6 make -0.2."""
    table = rows([(1, 0.6, 1), (3, -0.6, 2)])
    times = pl.Series([START + hour * HOUR for hour in (1, 2, 4, 8, 10)], dtype=TIME)
    found = pair_sentiments(table, None, times, HORIZON, HALF_LIFE)
    assert found["score"].to_list() == [None, 0.6, pytest.approx(-0.2), -0.6, None]
    assert found["articles"].to_list() == [None, 1, 2, 1, None]
    votes = analyst_votes(found, AnalystRules(maximum_age_hours=4.0, minimum_articles=1, threshold=0.15))
    assert np.array_equal(votes, [0, 1, -1, 0, 0])  # at eight o'clock the newest article is five hours old
