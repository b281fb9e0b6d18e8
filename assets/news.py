"""News assets: articles, their vectors, and their tone per asset. A day holds what became known on it."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import dagster as dg
import polars as pl

from assets.metadata_numbers import readable
from assets.partitions import DAYS, days
from assets.sources import NEWS
from assets.versions import PartitionReport, content_version, input_versions, partition_events
from ml.news.articles import article_excerpt
from ml.news.embeddings import Embedder
from ml.news.files import NewsSource
from ml.sentiment.pair import SentimentModel, score_articles
from trading.market import Universe
from trading.ports import NewsStore


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[NEWS],
)
def news_articles(
    context: dg.AssetExecutionContext,
    news_source: dg.ResourceParam[NewsSource],
    news_store: dg.ResourceParam[NewsStore],
) -> Iterator[Any]:
    """Store articles that became known on these days; one without a clock time becomes known at the next midnight."""
    start, end = days(context.partition_keys)
    articles = news_source.articles(start, end)
    for reason in news_source.refused:
        context.log.warning(f"refused: {reason}")
    new = news_store.put_articles(articles)
    context.log.info(
        f"{articles.height} articles known from {start:%Y-%m-%d} to {end:%Y-%m-%d}, {new} of them new"
    )
    stored = news_store.articles(start, end)
    reports = {}
    for key in context.partition_keys:
        rows = _known_on(stored, key)
        by_source = dict(rows["source"].value_counts(sort=True).rows())
        reports[key] = PartitionReport(
            content_version(rows),
            {
                "dagster/row_count": rows.height,
                "by_source": dg.MetadataValue.json(by_source),
                "refused_files": dg.MetadataValue.json(list(news_source.refused)),
            },
        )
    yield from partition_events(context, reports)


def _known_on(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.filter(pl.col("known_at").dt.date() == date.fromisoformat(key))


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"pgvector"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[news_articles],
)
def news_embeddings(
    context: dg.AssetExecutionContext,
    news_store: dg.ResourceParam[NewsStore],
    embedder: dg.ResourceParam[Embedder],
) -> Iterator[Any]:
    """Embed each article once per embedding model; articles that have a vector are not embedded again."""
    articles = news_store.articles(*days(context.partition_keys))
    known = news_store.embedded(embedder.name, articles["article_id"].to_list())
    new = articles.filter(~pl.col("article_id").is_in(list(known)))
    for batch in new.iter_slices(256):
        texts = [article_excerpt(title, text) for title, text in batch.select("title", "text").iter_rows()]
        news_store.put_embeddings(embedder.name, batch["article_id"].to_list(), embedder.embed(texts))
        context.log.info(f"embedded {batch.height} articles with {embedder.name}")
    versions = input_versions(context, context.partition_keys, embedder.name)
    yield from partition_events(
        context,
        {
            key: PartitionReport(
                versions[key],
                {
                    "dagster/row_count": _known_on(articles, key).height,
                    "new": _known_on(new, key).height,
                    "model": embedder.name,
                    "dimensions": embedder.dimensions,
                },
            )
            for key in context.partition_keys
        },
    )


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="1",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[news_articles],
)
def news_sentiment(
    context: dg.AssetExecutionContext,
    universe: dg.ResourceParam[Universe],
    news_store: dg.ResourceParam[NewsStore],
    sentiment_model: dg.ResourceParam[SentimentModel],
) -> Iterator[Any]:
    """Score each article's tone towards each asset it names, with the model that judged it and what that cost."""
    start, end = days(context.partition_keys)
    assets = scored_assets(universe)
    known = read_tones(news_store, assets, start, end).filter(pl.col("model") == sentiment_model.name)
    unread = news_store.articles(start, end).join(known, on="article_id", how="anti")
    new = score_articles(unread, assets, sentiment_model)
    news_store.put_sentiment(new)
    context.log.info(
        f"{new.height} article tones judged by {sentiment_model.name}, {known.height} were known"
    )
    rows = read_tones(news_store, assets, start, end)
    versions = input_versions(context, context.partition_keys, sentiment_model.name, assets)
    yield from partition_events(
        context,
        {
            key: PartitionReport(
                versions[key], _tone_metadata(_known_on(rows, key), _known_on(new, key), sentiment_model)
            )
            for key in context.partition_keys
        },
    )


def _tone_metadata(rows: pl.DataFrame, new: pl.DataFrame, model: SentimentModel) -> dict[str, Any]:
    means = rows.group_by("asset", maintain_order=True).agg(pl.col("score").mean())
    return {
        "dagster/row_count": rows.height,
        "new": new.height,
        "model": model.name,
        "cost_usd": float(new["cost_usd"].sum()),
        "mean_score": dg.MetadataValue.json(readable(dict(means.rows()))),
    }


def scored_assets(universe: Universe) -> list[str]:
    """Return the assets whose tone counts: all that are traded but the one that results are counted in."""
    return sorted({asset for pair in universe.pairs for asset in (pair.base, pair.quote)} - {universe.quote})


def read_tones(store: NewsStore, assets: list[str], start: datetime, end: datetime) -> pl.DataFrame:
    return pl.concat([store.sentiment(asset, start, end) for asset in assets])
