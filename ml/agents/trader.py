"""A trader's opinion: a language model's `TradingDecision` as a vote, and what would invalidate its position."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ml.agents.judgements import Judgement, no_vote, reading_of
from ml.agents.opinions import Action, Opinion
from ml.agents.trading_decision import TradingDecision
from trading.invalidation import Invalidation, InvalidationKind, broken_by_candle, broken_by_features
from trading.market import Pair

TRADER = "trader-"  # then the name of the model in the settings
MAX_PRICE_ERROR = 0.05  # an entry further from the market's price was not thought for this market


def trader_opinion(judgement: Judgement, pair: Pair, close: float) -> Opinion:
    """Vote as the model answered; abstain where its answer is of no use, of another pair, or of another price."""
    reading = reading_of(judgement, TradingDecision)
    decision, problem = reading.value, reading.problem
    if decision is not None:
        problem = _find_problem(decision, pair, close)
    if decision is None or problem:
        return no_vote(judgement, problem)
    evidence = decision.model_dump(mode="json", exclude={"action", "confidence", "reasoning", "symbol"})
    if judgement.debated is not None:
        evidence["before_debate"] = _first_vote(judgement)
    return Opinion(
        agent=judgement.agent,
        model=judgement.model,
        action=Action(decision.action),
        confidence=decision.confidence,
        reasoning=decision.reasoning,
        evidence={"prompt": judgement.counted.prompt, "usd": judgement.cost_usd, **evidence},
    )


def _first_vote(judgement: Judgement) -> str:
    first = reading_of(replace(judgement, debated=None), TradingDecision).value
    return "" if first is None else f"{first.action} {first.confidence:.2f}"


def _find_problem(decision: TradingDecision, pair: Pair, close: float) -> str:
    if decision.symbol != str(pair):
        return f"it answered for {decision.symbol}, asked was {pair}"
    entry = decision.entry_price
    if decision.action in ("LONG", "SHORT") and entry is not None:
        error = abs(entry / close - 1.0)
        if not error <= MAX_PRICE_ERROR:
            return f"its entry price {entry:g} is {error:.0%} from the market's {close:g}"
    return ""


def invalidations_of(
    judgements: Iterable[Judgement],
    opinions: Iterable[Opinion],
    action: Action,
    *,
    at: datetime,
    close: float,
    features: Mapping[str, float | None],
) -> tuple[Invalidation, ...]:
    """Return what closes the position again, of every model whose vote is the action that opens it.

    A condition that holds already says nothing: it was thought for another market.
    """
    sign = 1 if action is Action.LONG else -1
    found = [
        each
        for agent, decision in _supporters(judgements, opinions, action)
        for each in _invalidations(agent, decision, at)
    ]
    return tuple(
        each
        for each in found
        if not broken_by_candle([each], sign, close, at) and not broken_by_features([each], features)
    )


def wanted_share(
    judgements: Iterable[Judgement], opinions: Iterable[Opinion], action: Action
) -> float | None:
    """Return the least share of equity that a model asks for whose vote is the action; None where none votes so."""
    supporters = _supporters(judgements, opinions, action)
    return min((decision.position_size_pct / 100 for _, decision in supporters), default=None)


def _supporters(
    judgements: Iterable[Judgement], opinions: Iterable[Opinion], action: Action
) -> Iterator[tuple[str, TradingDecision]]:
    """Yield what they answered in the order of their names, in which a receipt keeps them."""
    agreeing = {each.agent for each in opinions if each.action is action}
    for judgement in sorted(judgements, key=lambda each: each.agent):
        if judgement.agent in agreeing and judgement.agent.startswith(TRADER):
            decision = reading_of(judgement, TradingDecision).value
            if decision is not None:
                yield judgement.agent, decision


def _invalidations(agent: str, decision: TradingDecision, at: datetime) -> Iterable[Invalidation]:
    level, hours = decision.invalidation_price, decision.invalidation_hours
    if level is not None:
        yield Invalidation(InvalidationKind.LEVEL, agent, level=Decimal(str(level)))
    if decision.invalidation_indicator is not None:
        yield Invalidation(
            InvalidationKind.INDICATOR,
            agent,
            indicator=decision.invalidation_indicator,
            above=decision.invalidation_side == "above",
            value=decision.invalidation_value,
        )
    if hours is not None:
        yield Invalidation(InvalidationKind.TIME, agent, at=at + timedelta(hours=hours))
