"""Checks of the news assets, over the days of the run."""

import dagster as dg
import polars as pl

from assets.check_scope import run_days, verdict
from assets.news import news_articles, news_embeddings, news_sentiment, read_tones, scored_assets
from ml.news.description import first_tellings
from ml.news.embeddings import Embedder
from ml.news.stories import WINDOW
from ml.retrieval.retriever import embedding_version
from ml.sentiment.pair import SentimentModel
from trading.market import Universe
from trading.ports import NewsStore
from trading.ports.news_index import NewsIndex


@dg.asset_check(
    asset=news_articles,
    blocking=True,  # an article that is known too early lets decisions see the future
    description="No article is known before it was published, each has a title, and a repeated story is known.",
)
def articles_are_known_after_they_were_published(
    context: dg.AssetCheckExecutionContext, news_store: dg.ResourceParam[NewsStore]
) -> dg.AssetCheckResult:
    start, end = run_days(context)
    articles = news_store.articles(start, end)
    stories = news_store.articles(start - WINDOW, end).select(story_id="article_id", told_at="known_at")
    untold = articles.join(stories, on="story_id", how="left").filter(
        (pl.col("told_at") > pl.col("known_at")).fill_null(True)
    )
    early = articles.filter(pl.col("known_at") < pl.col("published_at"))
    untitled = articles.filter(pl.col("title").str.strip_chars() == "")
    return verdict(
        {
            "known before it was published": early["article_id"].to_list(),
            "without a title": untitled["article_id"].to_list(),
            "repeat a story that is not known": untold["article_id"].to_list(),
        },
        articles=articles.height,
    )


@dg.asset_check(asset=news_embeddings, description="Every story has vectors of the embedding version in use.")
def every_article_has_a_vector(
    context: dg.AssetCheckExecutionContext,
    news_store: dg.ResourceParam[NewsStore],
    news_index: dg.ResourceParam[NewsIndex],
    embedder: dg.ResourceParam[Embedder],
) -> dg.AssetCheckResult:
    ids = first_tellings(news_store.articles(*run_days(context)))["article_id"].to_list()
    missing = sorted(set(ids) - news_index.embedded(embedding_version(embedder), ids))
    return verdict({"without a vector": missing}, stories=len(ids))


@dg.asset_check(
    asset=news_sentiment,
    description="Every tone belongs to a stored article, is known when the article is, and lies within its range.",
)
def tones_belong_to_their_articles(
    context: dg.AssetCheckExecutionContext,
    universe: dg.ResourceParam[Universe],
    news_store: dg.ResourceParam[NewsStore],
    sentiment_model: dg.ResourceParam[SentimentModel],
) -> dg.AssetCheckResult:
    span = run_days(context)
    tones = read_tones(news_store, scored_assets(universe), *span)
    own = tones.filter(pl.col("model") == sentiment_model.name)
    joined = own.join(
        news_store.articles(*span).select("article_id", article_known_at="known_at"),
        on="article_id",
        how="left",
    )
    other_time = joined.filter(pl.col("known_at").ne_missing(pl.col("article_known_at")))
    possible = pl.col("score").is_between(-1, 1) & pl.col("confidence").is_between(0, 1)
    return verdict(
        {
            "of no article that is known at that time": other_time["article_id"].to_list(),
            "outside its range": own.filter(~possible.fill_null(False))["article_id"].to_list(),
        },
        tones=own.height,
    )
