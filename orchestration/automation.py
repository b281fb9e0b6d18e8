"""What may materialise itself, and how old assets may be: conditions, their sensor, freshness.

The sensor is off until it is switched on. `decision` has no condition: it sends orders, and its own sensor asks once
per candle. Neither has `ppo_policy`: training takes minutes, and a schedule asks for the one fold that is due.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from orchestration.settings_schema import Settings

Condition = dg.AutomationCondition[Any]
# Follow an input when its data version changes: what is materialised again unchanged starts nothing.
EAGER: Any = dg.AutomationCondition.eager()
FOLLOW: Condition = EAGER.replace("newly_updated", dg.AutomationCondition.data_version_changed())
# Not all inputs are ever there: months before the first fold are not evaluated, and a pair may have no policy.
FOLLOW_WHAT_IS_THERE: Condition = EAGER.without(~dg.AutomationCondition.any_deps_missing()).replace(
    "newly_updated", dg.AutomationCondition.data_version_changed()
)
CONDITIONS: Mapping[str, Condition] = {
    "features": FOLLOW,
    "news_embeddings": FOLLOW,
    "news_sentiment": FOLLOW,
    "policy_evaluation": FOLLOW,
    "champion_policy": FOLLOW_WHAT_IS_THERE,
    "model_performance": FOLLOW_WHAT_IS_THERE,
    "portfolio_snapshots": FOLLOW_WHAT_IS_THERE,
}

automation = dg.AutomationConditionSensorDefinition(
    name="automation",
    target=dg.AssetSelection.assets(*CONDITIONS),
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Materialises what is derived when its inputs have changed; of months and days only the newest.",
)


def automated(settings: Settings) -> Callable[[dg.AssetSpec], dg.AssetSpec]:
    """Return what gives an asset its condition and, where candles go on closing, its freshness policy."""
    allowed = freshness(settings) if settings.market.is_live or settings.market.source == "sandbox" else {}

    def add(spec: dg.AssetSpec) -> dg.AssetSpec:
        name = spec.key.path[-1]
        return spec.replace_attributes(
            automation_condition=CONDITIONS.get(name), freshness_policy=allowed.get(name)
        )

    return add


def freshness(settings: Settings) -> dict[str, dg.FreshnessPolicy]:
    """Return how long after its last materialisation an asset counts as late: candles as [risk] has it."""
    candle = settings.market.universe.timeframe.duration
    candles = dg.FreshnessPolicy.time_window(
        fail_window=max(settings.risk.candle_age * candle, MINIMUM), warn_window=None
    )
    news = dg.FreshnessPolicy.time_window(timedelta(hours=settings.risk.sentiment_age_hours))
    # None for `market_tape`: Dagster judges by materialisations, and a tape is only observed. The check
    # `newest_bars_are_streamed` judges it, pair by pair.
    return {
        "ohlcv": candles,
        "features": candles,
        "order_book": candles,
        "news_articles": news,
        "news_sentiment": news,
    }


MINIMUM = timedelta(minutes=2)  # Dagster looks every minute or so
