"""Named selections of assets: what a person or a schedule launches together.

A run whose process dies is started again where that is safe. A step that failed is not, and nothing that sends an order
ever is: without the tag, Dagster's own number of retries holds, which is 0.
"""

import dagster as dg
from dagster._core.storage.tags import MAX_RETRIES_TAG

from assets import (
    backtests,
    decisions,
    features,
    market,
    news,
    order_book,
    performance,
    policies,
    portfolio,
    rebalancing,
)

RETRIED = {MAX_RETRIES_TAG: "2"}
NEVER_RETRIED = {MAX_RETRIES_TAG: "0"}

market_setup = dg.define_asset_job(
    "market_setup",
    selection=dg.AssetSelection.assets(market.instruments),
    description="Increments, minimums and fees of every pair.",
    tags=RETRIED,
)
history = dg.define_asset_job(
    "history",
    selection=dg.AssetSelection.assets(market.OHLCV, features.features),
    description="Candles and features of the chosen pairs and months.",
    tags=RETRIED,
)
order_books = dg.define_asset_job(
    "order_books",
    selection=dg.AssetSelection.assets(order_book.order_book),
    description="What the recorded order book said at the close of each candle of the chosen pairs and months.",
    tags=RETRIED,
)
news_of_days = dg.define_asset_job(
    "news",
    selection=dg.AssetSelection.assets(news.news_articles, news.news_embeddings, news.news_sentiment),
    description="Articles, vectors and tones of the chosen days.",
    tags=RETRIED,
)
learning = dg.define_asset_job(
    "learning",
    selection=dg.AssetSelection.assets(policies.ppo_policy, policies.policy_evaluation),
    description="Train one fold and test it out of sample.",
    tags=RETRIED,
)
promotion = dg.define_asset_job(
    "promotion",
    selection=dg.AssetSelection.assets(policies.champion_policy),
    description="Let the gate judge the newest folds of a pair.",
    tags=RETRIED,
)
backtest = dg.define_asset_job(
    "backtest",
    selection=dg.AssetSelection.assets(backtests.backtest_report),
    description="What a strategy would have earned on a pair's stored candles.",
    tags=RETRIED,
)
daily_performance = dg.define_asset_job(
    "daily_performance",
    selection=dg.AssetSelection.assets(performance.model_performance),
    description="Score every model on the chosen days.",
    tags=RETRIED,
)
decide = dg.define_asset_job(
    "decide",
    # Behind a decision its inputs are what they were a moment before: that check is for later, and not on the way.
    selection=dg.AssetSelection.assets(decisions.decision)
    - dg.AssetSelection.checks(decisions.decision_inputs_are_current),
    description="One decision for a pair's newest candle.",
    tags=NEVER_RETRIED,
)
daily_portfolio = dg.define_asset_job(
    "daily_portfolio",
    selection=dg.AssetSelection.assets(portfolio.portfolio_snapshots),
    description="Equity and allocation at the end of the chosen days.",
    tags=RETRIED,
)

rebalance = dg.define_asset_job(
    "rebalance",
    selection=dg.AssetSelection.assets(rebalancing.rebalance_recommendation),
    description="The next trade towards the target shares; ordered on paper where [rebalancing] execute says so.",
    tags=NEVER_RETRIED,
)

JOBS = [
    market_setup, history, order_books, news_of_days, learning, promotion, backtest, daily_performance, decide,
    daily_portfolio, rebalance,
]  # fmt: skip
