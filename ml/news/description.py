"""What is found in articles beside what their source says: the assets they name, their content, their story."""

import polars as pl

from ml.news.articles import article_excerpt
from ml.news.copies import Telling, telling
from ml.news.entities import find_assets
from ml.news.stories import story_ids
from trading.ports import DESCRIBED_SCHEMA


def describe(articles: pl.DataFrame, earlier: pl.DataFrame | None = None) -> pl.DataFrame:
    """Describe articles (ARTICLE_SCHEMA and possibly more) as DESCRIBED_SCHEMA, by known_at and published_at.

    `earlier` are stored articles of the `WINDOW` before: a copy of one of them belongs to its story. Of those, copies
    are no first tellings. An id that is among `articles` too counts there alone.
    """
    ordered = articles.sort("known_at", "published_at", "article_id")
    tellings = [_telling(row) for row in ordered.iter_rows(named=True)]
    before = [] if earlier is None else _first_tellings(earlier, ordered)
    told = story_ids(sorted([*before, *tellings], key=lambda each: each.order))
    excerpts = [article_excerpt(*row) for row in ordered.select("title", "text").iter_rows()]
    found = pl.DataFrame(
        {
            "assets": [sorted(find_assets(excerpt)) for excerpt in excerpts],
            "content_hash": [each.content_hash for each in tellings],
            "story_id": [told[each.article_id] for each in tellings],
        },
        {name: DESCRIBED_SCHEMA[name] for name in ("assets", "content_hash", "story_id")},
    )
    facts = ordered.select(name for name in DESCRIBED_SCHEMA if name not in found.columns)
    return pl.concat([facts, found], how="horizontal").select(DESCRIBED_SCHEMA.names())


def first_tellings(stored: pl.DataFrame) -> pl.DataFrame:
    """Select the articles that tell a story first: those that are judged, and counted."""
    return stored.filter(pl.col("story_id") == pl.col("article_id"))


def _first_tellings(earlier: pl.DataFrame, articles: pl.DataFrame) -> list[Telling]:
    others = first_tellings(earlier).join(articles, on="article_id", how="anti")
    return [_telling(row) for row in others.iter_rows(named=True)]


def _telling(row: dict[str, object]) -> Telling:
    names = ("article_id", "known_at", "source", "title", "text", "url", "published_at")
    return telling(**{name: row[name] for name in names})  # type: ignore[arg-type]
