"""When a portfolio has moved too far from its target, and the one trade that brings it nearer. Pure and exact."""

from trading.rebalancing.conversion import (
    Conversion,
    MarketConditions,
    NoConversion,
    PlannedTrade,
    best_conversion,
)
from trading.rebalancing.portfolio import (
    AssetAllocation,
    RegimeShift,
    Situation,
    allocations,
    distance_from_target,
)
from trading.rebalancing.recommendation import NoRebalance, Priority, RebalanceRecommendation, recommend
from trading.rebalancing.rules import RebalancingRules
from trading.rebalancing.triggers import Trigger, TriggerKind

__all__ = [
    "AssetAllocation", "Conversion", "MarketConditions", "NoConversion", "NoRebalance", "PlannedTrade", "Priority",
    "RebalanceRecommendation", "RebalancingRules", "RegimeShift", "Situation", "Trigger", "TriggerKind",
    "allocations", "best_conversion", "distance_from_target", "recommend",
]  # fmt: skip
