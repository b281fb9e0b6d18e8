"""Named selections of assets: what a person or a schedule launches together."""

import dagster as dg

from assets import backtests, decisions, features, market, news, performance, policies, portfolio

market_setup = dg.define_asset_job(
    "market_setup",
    selection=dg.AssetSelection.assets(market.instruments),
    description="Increments, minimums and fees of every pair.",
)
history = dg.define_asset_job(
    "history",
    selection=dg.AssetSelection.assets(market.OHLCV, features.features),
    description="Candles and features of the chosen pairs and months.",
)
news_of_days = dg.define_asset_job(
    "news",
    selection=dg.AssetSelection.assets(news.news_articles, news.news_embeddings, news.news_sentiment),
    description="Articles, vectors and tones of the chosen days.",
)
learning = dg.define_asset_job(
    "learning",
    selection=dg.AssetSelection.assets(policies.ppo_policy, policies.policy_evaluation),
    description="Train one fold and test it out of sample.",
)
promotion = dg.define_asset_job(
    "promotion",
    selection=dg.AssetSelection.assets(policies.champion_policy),
    description="Let the gate judge the newest folds of a pair.",
)
backtest = dg.define_asset_job(
    "backtest",
    selection=dg.AssetSelection.assets(backtests.backtest_report),
    description="What a strategy would have earned on a pair's stored candles.",
)
daily_performance = dg.define_asset_job(
    "daily_performance",
    selection=dg.AssetSelection.assets(performance.model_performance),
    description="Score every model on the chosen days.",
)
decide = dg.define_asset_job(
    "decide",
    selection=dg.AssetSelection.assets(decisions.decision),
    description="One decision for a pair's newest candle.",
)
daily_portfolio = dg.define_asset_job(
    "daily_portfolio",
    selection=dg.AssetSelection.assets(portfolio.portfolio_snapshots),
    description="Equity and allocation at the end of the chosen days.",
)

JOBS = [
    market_setup, history, news_of_days, learning, promotion, backtest, daily_performance, decide, daily_portfolio,
]  # fmt: skip
