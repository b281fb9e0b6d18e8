"""The language models that decisions ask, built from the settings: [agents], [models]."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from ml.agents.debate import ModelDebater
from ml.agents.model_analyst import MIN_OUTPUT_TOKENS as ANALYST_TOKENS
from ml.agents.model_analyst import ModelAnalyst
from ml.agents.model_trader import MIN_OUTPUT_TOKENS as TRADER_TOKENS
from ml.agents.model_trader import ModelTrader
from ml.agents.monitor import MIN_OUTPUT_TOKENS as MONITOR_TOKENS
from ml.agents.monitor import Insight, Monitor
from ml.agents.news_analyst import NewsView
from ml.agents.panel import ANALYST, Debater, ModelAgent, ModelPanel
from ml.agents.prompts import debate_prompt, trader_prompt
from ml.agents.retrieved_news import RetrievedNews
from ml.agents.rules import MAX_SECONDS
from ml.agents.trader import TRADER
from ml.agents.trading_decision import TradingDecision
from ml.agents.vote_weights import VoteWeights
from ml.models.clients import ModelClients
from ml.models.specification import ModelSpec
from ml.news.recent import PairNews, RecentNews
from ml.retrieval.retriever import Retriever
from orchestration.settings_schema import Settings
from trading.errors import InvalidSettings, MarketloomError
from trading.ports import NewsStore

LAST = 1  # among the models that are asked: those of a decision come first in the budget
OF_THE_LIMIT = 0.95  # a client gives up before nobody waits for it any more, so that its reason is recorded


def build_panel(
    settings: Settings,
    clients: ModelClients,
    news: NewsStore,
    retriever: Callable[[], Retriever],
    weights: Callable[[], VoteWeights | None],
) -> ModelPanel:
    """Build it; nothing is asked, and no client made, before the first decision that has something to ask.

    The analyst and one trader may spend more of the day's budget than the others: the ladder's rungs. That trader is
    the one with the best record by the `weights` of the moment.
    """
    seconds = min(settings.models.seconds, MAX_SECONDS)
    agents: dict[str, ModelAgent] = {}
    debaters: dict[str, Debater] = {}
    specs = []
    if reader := settings.agents.analyst_model:
        specs.append(spec := with_room(settings.models.specs[reader], ANALYST_TOKENS))
        reading = partial(clients.client, spec, NewsView, seconds=OF_THE_LIMIT * seconds)
        agents[ANALYST] = ModelAnalyst(_news_of(settings, news, retriever), reading)
    traders = {name: settings.models.specs[name] for name in settings.agents.traders}
    for name, variant in settings.agents.traders.items():
        specs.append(spec := with_room(settings.models.specs[name], TRADER_TOKENS))
        client = partial(
            clients.client,
            spec,
            TradingDecision,
            rank=partial(_rank, name, traders, weights),
            seconds=OF_THE_LIMIT * seconds,
        )
        agent = f"{TRADER}{name}"
        agents[agent] = trader = ModelTrader(agent, trader_prompt(variant), client)
        debaters[agent] = ModelDebater(agent, debate_prompt(variant), trader.prepare)
    if not settings.agents.debate:
        debaters = {}
    return ModelPanel(agents, seconds, clients.times_at_once(specs), debaters)


def prepare(panel: ModelPanel) -> None:
    """Build the clients, so that no decision waits for a vendor's package. What one lacks costs its vote, later."""
    for agent in panel.agents.values():
        if isinstance(agent, ModelTrader | ModelAnalyst):
            with suppress(MarketloomError):
                agent.prepare()


def build_monitor(settings: Settings, clients: ModelClients) -> Monitor:
    """Build the market monitor's model. InvalidSettings where the settings name none."""
    name = settings.agents.monitor_model
    if not name:
        raise InvalidSettings("[agents] monitor_model is empty: name a model of [models.named]")
    spec = with_room(settings.models.specs[name], MONITOR_TOKENS)
    return Monitor(partial(clients.client, spec, Insight, rank=lambda: LAST))


def _rank(trader: str, traders: Mapping[str, ModelSpec], weights: Callable[[], VoteWeights | None]) -> int:
    """Return 0 for the trader that is asked where one is: that with the best record, the first among equals."""
    known = weights() if len(traders) > 1 else None
    best = max(traders, key=lambda name: _weight(name, traders[name], known))
    return 0 if trader == best else LAST


def _weight(trader: str, spec: ModelSpec, known: VoteWeights | None) -> float:
    """Return what the trader's record makes of its votes, 1 without one."""
    record = None
    with suppress(MarketloomError):  # a model's file that cannot be read: its own client will say so
        record = known.of(f"{TRADER}{trader}", spec.name, None) if known else None
    return 1.0 if record is None else record.weight


def _news_of(settings: Settings, store: NewsStore, retriever: Callable[[], Retriever]) -> PairNews:
    age = timedelta(hours=settings.risk.sentiment_age_hours)
    if settings.agents.analyst_news == "retrieved":
        return RetrievedNews(retriever, age, settings.agents.analyst_articles)
    return RecentNews(store, age, settings.agents.analyst_articles)


def with_room(spec: ModelSpec, tokens: int) -> ModelSpec:
    """Return the model with room for an answer of so many tokens."""
    return replace(spec, max_output_tokens=max(spec.max_output_tokens, tokens))
