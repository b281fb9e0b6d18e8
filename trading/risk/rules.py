"""All rules by name, in the order in which they are asked."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from trading.risk import correlation, freshness, halts, live, models, numbers, protection, sizing, venue
from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer

Rule = Callable[[RuleInputs], Answer]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "numbers": numbers.numbers,
        "pair": venue.pair,
        "status": venue.status,
        "candle age": freshness.candle_age,
        "clock skew": freshness.clock_skew,
        "feature age": freshness.feature_age,
        "policy age": freshness.policy_age,
        "sentiment age": freshness.sentiment_age,
        "balance age": freshness.balance_age,
        "reconciliation age": freshness.reconciliation_age,
        "trade age": freshness.trade_age,
        "feed gap": freshness.feed_gap,
        "book age": freshness.book_age,
        "price age": freshness.price_age,
        "order rate": venue.order_rate,
        "model budget": models.model_budget,
        "live permit": live.live_permit,
        "kill switch": halts.kill_switch,
        "reconciliation": halts.reconciliation,
        "protection": halts.unprotected,
        "failures": halts.failures,
        "drawdown": halts.drawdown,
        "daily loss": halts.daily_loss,
        "losing streak": halts.losing_streak,
        "stop-loss": protection.stop_loss,
        "trailing stop": protection.trailing_stop,
        "take-profit": protection.take_profit,
        "correlated positions": correlation.correlated_positions,
        "BTC correlation": correlation.btc_correlation,
        "risk per trade": sizing.risk_per_trade,
        "position cap": sizing.position_cap,
        "asset cap": sizing.asset_cap,
        "total exposure": sizing.total_exposure,
        "balance": sizing.balance,
        "quantity increment": venue.quantity_increment,
        "minimum quantity": venue.minimum_quantity,
        "minimum cost": venue.minimum_cost,
    }
)

# The rules that a closing order must pass too: the venue's, its own numbers and a price that is not out of date.
ALWAYS = frozenset(
    {
        "numbers",
        "pair",
        "status",
        "candle age",
        "balance",
        "quantity increment",
        "minimum quantity",
        "minimum cost",
    }
)
ENTRY_ONLY = frozenset(RULES) - ALWAYS

# What needs no proposal: where one of these fails, no entry passes, whatever anybody votes for. The ages of champion
# and news are not among them: they count where the agent that used them voted.
PRE_CHECK = (
    "numbers",
    "pair",
    "status",
    "candle age",
    "clock skew",
    "feature age",
    "balance age",
    "reconciliation age",
    "trade age",
    "feed gap",
    "book age",
    "price age",
    "order rate",
    "model budget",
    "live permit",
    "kill switch",
    "reconciliation",
    "protection",
    "failures",
    "drawdown",
    "daily loss",
    "losing streak",
)

# What guards a position and its stop: an order that only turns one asset of the account into another has neither.
POSITION_ONLY = frozenset(
    {
        "stop-loss",
        "trailing stop",
        "take-profit",
        "correlated positions",
        "BTC correlation",
        "risk per trade",
        "position cap",
        "asset cap",
        "total exposure",
    }
)
