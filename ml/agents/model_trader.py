"""Asks a language model what it would do with a pair. What it is told are numbers: no word of a stranger is in them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from ml.agents.judgements import Judgement, judged
from ml.agents.panel import Question
from ml.agents.trading_decision import TradingDecision
from ml.models.client import ModelClient
from ml.models.prompt_files import Prompt
from trading.portfolio import Position

HOUR = timedelta(hours=1)
MIN_OUTPUT_TOKENS = 600  # thirteen fields and three sentences take up to 400


class ModelTrader:
    """`client` builds the model's client when it is first asked: what it lacks then costs the vote alone."""

    def __init__(
        self, agent: str, prompt: Prompt, client: Callable[[], ModelClient[TradingDecision]]
    ) -> None:
        self._agent, self._prompt, self._build = agent, prompt, client
        self._client: ModelClient[TradingDecision] | None = None

    def prepare(self) -> ModelClient[TradingDecision]:
        """Build the client, which loads the vendor's package; nothing is asked."""
        self._client = self._client or self._build()
        return self._client

    def __call__(self, question: Question) -> Judgement:
        return judged(self._agent, self._prompt, self.prepare().ask(self._prompt, trader_message(question)))


def trader_message(question: Question) -> str:
    """Return what a trader is told, as JSON; its clock is the candle's close.

    So the same candle and position give the same bytes: a run that is started again reads the recorded answer.
    """
    signal, news = question.signal, question.sentiment
    return _json(
        {
            "pair": str(question.pair),
            "time": question.closed_at.isoformat(),
            "close": question.close,
            "technical_signal": {
                "direction": signal.direction,
                "strength": _short(signal.strength),
                "entry_price": signal.entry_price,
                "stop_loss": signal.stop_loss,
                "take_profit": signal.take_profit,
            },
            "position": question.position and _position(question.position, question),
            "news": news
            and {
                "score": _short(news.score),
                "confidence": _short(news.confidence),
                "articles": news.articles,
                "newest_hours_ago": _short((question.closed_at - news.newest_known_at) / HOUR),
            },
            "indicators": {
                name: _short(value) for name, value in question.features.items() if value is not None
            },
        }
    )


def _position(position: Position, question: Question) -> dict[str, Any]:
    sign = 1 if position.quantity > 0 else -1
    gain = sign * (question.close / float(position.entry_price) - 1)
    return {
        "side": "LONG" if sign > 0 else "SHORT",
        "entry_price": float(position.entry_price),
        "stop_loss": None if position.stop_loss is None else float(position.stop_loss),
        "take_profit": None if position.take_profit is None else float(position.take_profit),
        "gain_share": _short(gain),
        "open_hours": _short((question.closed_at - position.opened_at) / HOUR),
    }


def _short(value: float) -> float:
    """Round to five significant digits: more are noise to a model, and each costs tokens."""
    return float(f"{value:.5g}")


def _json(values: Mapping[str, Any]) -> str:
    return orjson.dumps(values).decode()
