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
from ml.news.description import describe, first_tellings
from ml.news.embeddings import Embedder
from ml.news.entities import pairs_named
from ml.news.files import NewsSource
from ml.news.stories import WINDOW
from ml.retrieval.passages import passages
from ml.retrieval.recall import measure_recall
from ml.retrieval.retriever import embedding_version
from ml.sentiment.pair import SentimentModel, score_articles
from trading.errors import ModelBudgetSpent
from trading.market import Universe
from trading.ports import ARTICLE_SCHEMA, SENTIMENT_SCHEMA, NewsStore
from trading.ports.news_index import EmbeddingVersion, IndexState, NewsFilter, NewsIndex


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="3",  # 3: what says otherwise is no copy
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[NEWS],
)
def news_articles(
    context: dg.AssetExecutionContext,
    universe: dg.ResourceParam[Universe],
    news_source: dg.ResourceParam[NewsSource],
    news_store: dg.ResourceParam[NewsStore],
) -> Iterator[Any]:
    """Store articles that became known on these days, with the assets they name and the story they tell.

    What was stored before is described anew, by the rules of now; what its source said of it stays as it was.
    """
    start, end = days(context.partition_keys)
    found = news_source.articles(start, end)
    for reason in news_source.refused:
        context.log.warning(f"refused: {reason}")
    new = _store_described(news_store, found, start, end)
    context.log.info(
        f"{found.height} articles known from {start:%Y-%m-%d} to {end:%Y-%m-%d}, {new} of them new"
    )
    stored = news_store.articles(start, end)
    refused = dg.MetadataValue.json(list(news_source.refused))
    reports = {
        key: PartitionReport(
            content_version(_facts(rows)), _article_metadata(rows, universe) | {"refused_files": refused}
        )
        for key in context.partition_keys
        for rows in [_known_on(stored, key)]
    }
    yield from partition_events(context, reports)


def _store_described(store: NewsStore, found: pl.DataFrame, start: datetime, end: datetime) -> int:
    known = store.articles(start, end).select(ARTICLE_SCHEMA.names())
    articles = pl.concat([known, found]).unique("article_id", keep="first", maintain_order=True)
    return store.put_articles(describe(articles, store.articles(start - WINDOW, start)))


def _facts(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out when this installation stored them: the same articles are the same version everywhere."""
    return rows.drop("ingested_at").with_columns(pl.col("assets").list.join(","))


def _article_metadata(rows: pl.DataFrame, universe: Universe) -> dict[str, Any]:
    firsts = first_tellings(rows)
    by_pair = {str(pair): 0 for pair in universe.pairs}
    for assets in firsts["assets"]:
        for pair in pairs_named(assets, universe.pairs):
            by_pair[str(pair)] += 1
    return {
        "dagster/row_count": rows.height,
        "stories": firsts.height,
        "copies": rows.height - firsts.height,
        "date_only": rows["date_only"].sum(),
        "by_source": dg.MetadataValue.json(dict(rows["source"].value_counts(sort=True).rows())),
        "by_language": dg.MetadataValue.json(dict(rows["language"].value_counts(sort=True).rows())),
        "stories_by_pair": dg.MetadataValue.json(by_pair),
    }


def _known_on(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    return rows.filter(pl.col("known_at").dt.date() == date.fromisoformat(key))


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"pgvector"},
    owners=["team:research"],
    code_version="2",  # 2: passages of first tellings, by embedding version
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[news_articles],
)
def news_embeddings(
    context: dg.AssetExecutionContext,
    news_store: dg.ResourceParam[NewsStore],
    news_index: dg.ResourceParam[NewsIndex],
    embedder: dg.ResourceParam[Embedder],
) -> Iterator[Any]:
    """Embed the passages of each story once per embedding version: model, dimensions, and how articles are cut.

    After the model has changed, a back-fill of all days embeds everything anew; the old version is left as it was.
    """
    version = embedding_version(embedder)
    stories = first_tellings(news_store.articles(*days(context.partition_keys)))
    known = news_index.embedded(version, stories["article_id"].to_list())
    new = stories.filter(~pl.col("article_id").is_in(list(known)))
    state = _embed(context, new, news_index, version, embedder)
    recall = measure_recall(news_index, version, NewsFilter(days(context.partition_keys)[1]))
    versions = input_versions(context, context.partition_keys, str(version))
    yield from partition_events(
        context,
        {
            key: PartitionReport(
                versions[key],
                {
                    "dagster/row_count": _known_on(stories, key).height,
                    "new": _known_on(new, key).height,
                    "model": version.model,
                    "dimensions": version.dimensions,
                    "chunking": version.chunking,
                    "stories_of_version": state.articles,
                    "passages_of_version": state.passages,
                    "search": "HNSW" if state.indexed else "exact",
                    "recall_at_10": recall.share,
                },
            )
            for key in context.partition_keys
        },
    )


def _embed(
    context: dg.AssetExecutionContext,
    stories: pl.DataFrame,
    index: NewsIndex,
    version: EmbeddingVersion,
    embedder: Embedder,
) -> IndexState:
    """Store the passages of the stories, an article whole or not at all; an index is built behind a bulk load."""
    told = {
        article: passages(title, text)
        for article, title, text in stories.select("article_id", "title", "text").iter_rows()
    }
    index.begin_load(version, sum(map(len, told.values())))
    articles = list(told)
    for start in range(0, len(articles), 256):
        batch = articles[start : start + 256]
        texts = {(article, number): text for article in batch for number, text in enumerate(told[article])}
        index.put(version, list(texts), embedder.embed(list(texts.values())))
        context.log.info(f"embedded {len(texts)} passages of {len(batch)} stories with {version.model}")
    return index.end_load(version)


@dg.asset(
    partitions_def=DAYS,
    group_name="news",
    kinds={"postgres"},
    owners=["team:research"],
    code_version="2",
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[news_articles],
)
def news_sentiment(
    context: dg.AssetExecutionContext,
    universe: dg.ResourceParam[Universe],
    news_store: dg.ResourceParam[NewsStore],
    sentiment_model: dg.ResourceParam[SentimentModel],
) -> Iterator[Any]:
    """Score each story's tone towards each asset it names, with the model that judged it and what that cost."""
    start, end = days(context.partition_keys)
    assets = scored_assets(universe)
    known = read_tones(news_store, assets, start, end).filter(pl.col("model") == sentiment_model.name)
    stories = first_tellings(news_store.articles(start, end))
    unread = stories.join(known, on="article_id", how="anti")
    new = _judge(context, unread, assets, sentiment_model)
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


def _judge(
    context: dg.AssetExecutionContext, unread: pl.DataFrame, assets: list[str], model: SentimentModel
) -> pl.DataFrame:
    """Score the articles; none where the day's budget of language models is spent: then stored tones serve."""
    try:
        return score_articles(unread, assets, model)
    except ModelBudgetSpent as error:
        context.log.warning(str(error))
        return pl.DataFrame(schema=SENTIMENT_SCHEMA)


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
