"""Protocol and schemas of news and their sentiment. Times are UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import polars as pl

ARTICLE_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),  # hash of source, published_at, title and text; of a feed: source, guid and title
        "published_at": pl.Datetime("us", "UTC"),
        # when a reader of the source could have it: of a feed when it was fetched, of a file when it was published, or
        # at the next midnight where the file gives a day without a clock time
        "known_at": pl.Datetime("us", "UTC"),
        "source": pl.String(),
        "title": pl.String(),  # the first sentence when the source has no title
        "text": pl.String(),
        "url": pl.String(),  # empty when the source has none
        "language": pl.String(),  # ISO 639-1 in small letters, such as en; empty where nobody says
        "date_only": pl.Boolean(),  # published_at is a day: its midnight, and no clock time
    }
)

# What is found in an article: `ml.news.description` makes it again whenever its rules change.
DESCRIBED_SCHEMA = pl.Schema(
    {
        **ARTICLE_SCHEMA,
        "assets": pl.List(
            pl.String()
        ),  # those that title and opening name, sorted; pairs are looked up by them
        "content_hash": pl.String(),  # of the words of title and text: the same for a copy word by word
        "story_id": pl.String(),  # the article that told the story first; its own id where it did so itself
    }
)
# When the article came into this store, by the store's clock: a fact of this installation, unlike `known_at`.
STORED_SCHEMA = pl.Schema({**DESCRIBED_SCHEMA, "ingested_at": pl.Datetime("us", "UTC")})


SENTIMENT_SCHEMA = pl.Schema(
    {
        "article_id": pl.String(),
        "asset": pl.String(),  # BTC, XRP ...
        "known_at": pl.Datetime("us", "UTC"),
        "score": pl.Float64(),  # -1 .. 1
        "confidence": pl.Float64(),  # 0 .. 1
        "model": pl.String(),
        "prompt_hash": pl.String(),  # empty where no prompt exists
        "cost_usd": pl.Float64(),
    }
)


class NewsStore(Protocol):
    """Articles and their sentiment. `known_at` decides what a decision at some time may see."""

    def put_articles(self, articles: pl.DataFrame) -> int:
        """Insert by `article_id` (DESCRIBED_SCHEMA). Returns how many were new.

        Of a known id what its source says is left alone, `known_at` included; what is found in it is replaced.
        """

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        """Read articles (STORED_SCHEMA) with start <= known_at < end, by known_at; empty when none."""

    def read(self, article_ids: Sequence[str]) -> pl.DataFrame:
        """Read these articles (STORED_SCHEMA), by known_at; those that are not stored are left out."""

    def stored(self, article_ids: Sequence[str]) -> set[str]:
        """Return which of these are stored."""

    def put_sentiment(self, rows: pl.DataFrame) -> None:
        """Store one row per article, asset and model (SENTIMENT_SCHEMA); replaces those of the same key."""

    def sentiment(self, asset: str, start: datetime, end: datetime) -> pl.DataFrame:
        """Read sentiment rows with start <= known_at < end, by known_at; empty when none.

        A story counts once: rows of an article that only repeats another one's story are left out.
        """
