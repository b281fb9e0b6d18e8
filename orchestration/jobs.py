"""Named selections of assets: what a person or a schedule launches together.

A run whose process dies is started again where that is safe. A step that failed is not, and nothing that sends an order
ever is: without the tag, Dagster's own number of retries holds, which is 0.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.storage.tags import MAX_RETRIES_TAG

from assets import (
    backtests,
    balance_history,
    decisions,
    features,
    honesty_board,
    market,
    news,
    order_book,
    parity,
    performance,
    policies,
    portfolio,
    rebalancing,
)
from orchestration.fast_lane.tags import LANE

NEVER_RETRIED = {MAX_RETRIES_TAG: "0"}


def _job(
    name: str, description: str, *assets: dg.AssetsDefinition | dg.AssetKey
) -> UnresolvedAssetJobDefinition:
    """Define a job that may be started again."""
    selection = dg.AssetSelection.assets(*assets)
    return dg.define_asset_job(name, selection, description=description, tags={MAX_RETRIES_TAG: "2"})


market_setup = _job("market_setup", "Increments, minimums and fees of every pair.", market.instruments)
history = _job(
    "history", "Candles and features of the chosen pairs and months.", market.OHLCV, features.features
)
order_books = _job(
    "order_books",
    "What the recorded order book said at the close of each candle of the chosen pairs and months.",
    order_book.order_book,
)
news_of_days = _job(
    "news",
    "Articles, vectors and tones of the chosen days.",
    news.news_articles,
    news.news_embeddings,
    news.news_sentiment,
)
learning = _job(
    "learning", "Train one fold and test it out of sample.", policies.ppo_policy, policies.policy_evaluation
)
promotion = _job("promotion", "Let the gate judge the newest folds of a pair.", policies.champion_policy)
backtest = _job(
    "backtest", "What a strategy would have earned on a pair's stored candles.", backtests.backtest_report
)
daily_performance = _job(
    "daily_performance", "Score every model on the chosen days.", performance.model_performance
)
daily_portfolio = _job(
    "daily_portfolio",
    "Equity and allocation at the end of the chosen days, and the account minute by minute.",
    portfolio.portfolio_snapshots,
    balance_history.balance_history,
)
daily_parity = _job(
    "daily_parity", "Why the chosen days earned something else than their back-test.", parity.parity_report
)
judging = _job(
    "judging",
    "Judge every recorded vote by what followed it, and weigh the next ones by that.",
    honesty_board.honesty_board,
    honesty_board.vote_weights,
)
decide = dg.define_asset_job(
    "decide",
    # Behind a decision its inputs are what they were a moment before: that check is for later, and not on the way.
    selection=dg.AssetSelection.assets(decisions.decision)
    - dg.AssetSelection.checks(decisions.decision_inputs_are_current),
    description="One decision for a pair's newest candle.",
    tags={**NEVER_RETRIED, **LANE},
)
rebalance = dg.define_asset_job(
    "rebalance",
    selection=dg.AssetSelection.assets(rebalancing.rebalance_recommendation),
    description="The next trade towards the target shares; ordered on paper where [rebalancing] execute says so.",
    tags=NEVER_RETRIED,
)

JOBS = [
    market_setup, history, order_books, news_of_days, learning, promotion, backtest, daily_performance, decide,
    daily_portfolio, daily_parity, judging, rebalance,
]  # fmt: skip
