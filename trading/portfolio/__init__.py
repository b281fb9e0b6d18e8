"""Balances, positions and profit as consequences of fills. Exact in Decimal; no balance changes in any other way."""

from trading.portfolio.portfolio import Portfolio, Profit, unrealised
from trading.portfolio.positions import Position, after_fill, cash_flows, excess, with_protection
from trading.portfolio.rates import conversion_path, rate
from trading.portfolio.trades import ClosedTrade, Holding, closed_trades
from trading.portfolio.valuation import allocation, drawdown, equity, priced

__all__ = [
    "ClosedTrade", "Holding", "Portfolio", "Position", "Profit", "after_fill", "allocation", "cash_flows",
    "closed_trades", "conversion_path", "drawdown", "equity", "excess", "priced", "rate", "unrealised",
    "with_protection",
]  # fmt: skip
