"""When a portfolio has moved too far from its target, and the one trade that brings it nearer. Pure and exact."""

from trading.rebalancing.conversion import Conversion, Market, PlannedTrade, Refusal, best_conversion
from trading.rebalancing.portfolio import Holding, RegimeShift, Situation, distance, holdings
from trading.rebalancing.recommendation import NoRebalance, Priority, RebalanceRecommendation, recommend
from trading.rebalancing.rules import RebalancingRules
from trading.rebalancing.triggers import Trigger, TriggerKind

__all__ = [
    "Conversion", "Holding", "Market", "NoRebalance", "PlannedTrade", "Priority", "RebalanceRecommendation",
    "RebalancingRules", "Refusal", "RegimeShift", "Situation", "Trigger", "TriggerKind", "best_conversion",
    "distance", "holdings", "recommend",
]  # fmt: skip
