"""All rules, in the order in which they are asked."""

from collections.abc import Mapping
from types import MappingProxyType

from trading.risk import amounts, inputs, levels, standing
from trading.risk.answer import Rule

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "numbers": inputs.numbers,
        "pair": inputs.pair,
        "status": inputs.status,
        "candle age": inputs.candle_age,
        "clock skew": inputs.clock_skew,
        "feature age": inputs.feature_age,
        "policy age": inputs.policy_age,
        "sentiment age": inputs.sentiment_age,
        "balance age": inputs.balance_age,
        "price age": inputs.price_age,
        "order rate": inputs.order_rate,
        "drawdown": standing.drawdown,
        "daily loss": standing.daily_loss,
        "losing streak": standing.losing_streak,
        "stop-loss": levels.stop_loss,
        "trailing stop": levels.trailing_stop,
        "take-profit": levels.take_profit,
        "leverage": levels.leverage,
        "correlated positions": amounts.correlated_positions,
        "BTC correlation": amounts.btc_correlation,
        "risk per trade": amounts.risk_per_trade,
        "position cap": amounts.position_cap,
        "asset cap": amounts.asset_cap,
        "total exposure": amounts.total_exposure,
        "balance": amounts.balance,
        "quantity increment": amounts.quantity_increment,
        "minimum quantity": amounts.minimum_quantity,
        "minimum cost": amounts.minimum_cost,
    }
)

# What a closing order still answers to: the venue, its own numbers and a price that is not out of date.
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
