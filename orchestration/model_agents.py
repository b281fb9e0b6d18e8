"""The language models that decisions ask, built from the settings: [agents], [models]."""

from dataclasses import replace
from functools import partial

from ml.agents.model_trader import MIN_OUTPUT_TOKENS, ModelTrader
from ml.agents.panel import ModelAgent, ModelPanel
from ml.agents.prompts import trader_prompt
from ml.agents.rules import MAX_SECONDS
from ml.agents.trader import TRADER
from ml.agents.trading_decision import TradingDecision
from ml.models.clients import ModelClients
from ml.models.specification import ModelSpec
from orchestration.settings_schema import Settings

OF_THE_LIMIT = 0.95  # a client gives up before nobody waits for it any more, so that its reason is recorded


def build_panel(settings: Settings, clients: ModelClients) -> ModelPanel:
    """Build it; nothing is asked, and no client made, before the first decision that has something to ask.

    The first trader may spend more of the day's budget than the others: the ladder's rungs.
    """
    seconds = min(settings.models.seconds, MAX_SECONDS)
    agents: dict[str, ModelAgent] = {}
    for rank, (name, variant) in enumerate(settings.agents.traders.items()):
        client = partial(
            clients.client,
            with_room(settings.models.specs[name], MIN_OUTPUT_TOKENS),
            TradingDecision,
            rank=rank,
            seconds=OF_THE_LIMIT * seconds,
        )
        agents[f"{TRADER}{name}"] = ModelTrader(f"{TRADER}{name}", trader_prompt(variant), client)
    return ModelPanel(agents, seconds)


def with_room(spec: ModelSpec, tokens: int) -> ModelSpec:
    """Return the model with room for an answer of so many tokens."""
    return replace(spec, max_output_tokens=max(spec.max_output_tokens, tokens))
