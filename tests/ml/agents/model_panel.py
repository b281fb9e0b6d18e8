"""Models that a panel asks, each saying what a test wrote down."""

import json
from typing import Any

from ml.agents.model_analyst import ModelAnalyst
from ml.agents.model_trader import ModelTrader
from ml.agents.news_analyst import NewsView
from ml.agents.panel import ModelAgent, ModelPanel
from ml.agents.prompts import Variant, trader_prompt
from ml.agents.trader import TRADER
from ml.agents.trading_decision import TradingDecision
from ml.news.recent import PairNews
from tests.ml.models.scripted import Script, client_of

LONG: dict[str, Any] = {
    "action": "LONG", "symbol": "BTC/USDT", "confidence": 0.9, "position_size_pct": 5.0, "entry_price": 100.0,
    "stop_loss": 98.5, "take_profit": 104.0, "invalidation_price": None, "invalidation_hours": None,
    "invalidation_indicator": None, "invalidation_side": None, "invalidation_value": None,
    "reasoning": "Momentum is up.",
}  # fmt: skip


def answer(close: float = 100.0, **changes: Any) -> str:
    """A valid answer for a market at `close`, with these changes."""
    levels = {"entry_price": close, "stop_loss": close * 0.985, "take_profit": close * 1.04}
    return json.dumps(LONG | levels | changes)


def hold(**changes: Any) -> str:
    flat = {"action": "HOLD", "entry_price": None, "stop_loss": None, "take_profit": None}
    return json.dumps(LONG | flat | changes)


def trader(name: str, script: Script, variant: Variant = Variant.BALANCED, **client: Any) -> ModelTrader:
    made = client_of(script, TradingDecision, **client)
    return ModelTrader(f"{TRADER}{name}", trader_prompt(variant), lambda: made)


def panel(seconds: float = 60.0, **scripts: str | Script) -> ModelPanel:
    """A panel of one trader per script; a text is what it always says."""
    agents: dict[str, ModelAgent] = {
        f"{TRADER}{name}": trader(name, Script(said) if isinstance(said, str) else said)
        for name, said in scripts.items()
    }
    return ModelPanel(agents, seconds)


def view(sentiment: float, *articles: str, **changes: Any) -> str:
    """A valid answer of a news analyst."""
    values = {"symbol": "BTC/USDT", "sentiment": sentiment, "confidence": 0.9, "articles": list(articles)}
    return json.dumps(values | {"reasoning": "The articles say so."} | changes)


def analyst(news: PairNews, said: str | Script, **client: Any) -> ModelAnalyst:
    made = client_of(Script(said) if isinstance(said, str) else said, NewsView, **client)
    return ModelAnalyst(news, lambda: made)
