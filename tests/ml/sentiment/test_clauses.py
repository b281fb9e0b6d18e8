"""A headline may say one thing of one asset and the opposite of another."""

from datetime import UTC, datetime

import polars as pl
import pytest

from ml.sentiment.clauses import reading_of
from ml.sentiment.lexicon import LexiconSentiment
from ml.sentiment.pair import UNREADABLE, Sentiment, score_articles
from trading.ports import ARTICLE_SCHEMA

NOW = datetime(2021, 4, 10, tzinfo=UTC)


def articles(*titles: str) -> pl.DataFrame:
    rows = [
        (f"id{number}", NOW, NOW, "paper", title, "", "", "en", False) for number, title in enumerate(titles)
    ]
    return pl.DataFrame(rows, schema=ARTICLE_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("text", "bitcoin", "ether"),
    [
        ("Bitcoin falls while Ethereum rises", "Bitcoin falls", "Ethereum rises"),
        ("Bitcoin rallies but Ether slips", "Bitcoin rallies", "Ether slips"),
        ("Bitcoin falls; Ether rises", "Bitcoin falls", "Ether rises"),
        ("As stocks fall, bitcoin rises", None, None),
        ("Bitcoin falls while Ether rises as funds buy", "Bitcoin falls, funds buy", "Ether rises, funds buy"),
        ("Bitcoin and Ether fall as Bitcoin funds bleed", None, None),
        ("Bitcoin as well as Ether rallies", None, None),
        ("Bitcoin and Ether rally", None, None),
    ],
)  # fmt: skip
def test_each_asset_has_the_clause_that_speaks_of_it(
    text: str, bitcoin: str | None, ether: str | None
) -> None:
    assert reading_of("BTC", text) == (bitcoin or text)
    assert reading_of("ETH", text) == (ether or text)


def test_an_article_with_two_tones_gives_each_asset_its_own() -> None:
    rows = score_articles(articles("Bitcoin plunges while XRP soars"), ["BTC", "XRP"], LexiconSentiment())
    tones = dict(rows.select("asset", "score").iter_rows())
    assert tones["XRP"] > 0 > tones["BTC"]


def test_what_a_model_cannot_read_gives_no_row_and_is_no_failure_of_the_model() -> None:
    class Stranger:
        name = "stranger"

        def score(self, texts: list[str]) -> list[Sentiment]:
            return [UNREADABLE for _ in texts]

    assert score_articles(articles("Bitcoin steigt"), ["BTC"], Stranger()).is_empty()
