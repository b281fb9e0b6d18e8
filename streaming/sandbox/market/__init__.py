"""The sandbox's market: what others trade there, the public tape of it, and the market maker's quotes."""

from streaming.sandbox.market.candles import CandleReplay
from streaming.sandbox.market.clock import MarketClock
from streaming.sandbox.market.ladder import Ladder, LadderChanges
from streaming.sandbox.market.player import TickPlayer
from streaming.sandbox.market.source import Tick, TickSource
from streaming.sandbox.market.tape import TradeTape
from streaming.sandbox.market.trades import TradeReplay

__all__ = [
    "CandleReplay",
    "Ladder",
    "LadderChanges",
    "MarketClock",
    "Tick",
    "TickPlayer",
    "TickSource",
    "TradeReplay",
    "TradeTape",
]
