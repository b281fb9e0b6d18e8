"""One decision: a pure function from everything that was known to a receipt that explains it.

The same function decides live, on paper, in a back-fill and in a replay; it reads no clock and no store.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.consensus import Consensus, ConsensusRules, consensus
from ml.agents.opinions import Action, Opinion
from ml.agents.quant import quant_opinion
from ml.agents.technical import technical_opinion
from ml.known import Known
from ml.receipt import receipt
from trading.market import Pair
from trading.orders import OrderIntent, Side
from trading.portfolio import Position
from trading.risk import Ages, Limits, Proposal, RiskAssessment, assess
from trading.signals import Direction, SignalRules, TechnicalSignal, protective_levels, technical_signal

STRATEGY_VERSION = "1"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://marketloom.dev/decision")


@dataclass(frozen=True, slots=True)
class Rules:
    signals: SignalRules
    analyst: AnalystRules
    consensus: ConsensusRules
    limits: Limits


@dataclass(frozen=True, slots=True)
class Decision:
    decision_id: str
    receipt: dict[str, Any]
    intent: OrderIntent | None


def decision_id(account: str, pair: Pair, candle_close_time: datetime) -> str:
    """The same account, pair, candle and strategy always give the same id: a repeat is recognised, not traded."""
    return str(uuid.uuid5(_NAMESPACE, f"{account}|{pair}|{candle_close_time.isoformat()}|{STRATEGY_VERSION}"))


def decide(known: Known, rules: Rules) -> Decision:
    """Ask every agent, form a consensus, let risk have the last word, and write down why."""
    identity = decision_id(known.account, known.pair, known.candle_close_time)
    signal = technical_signal(known.features, known.close, rules.signals)
    opinions = _opinions(known, signal, rules)
    agreed = consensus(opinions, rules.consensus)
    action, why = _action(known, agreed)
    proposal = _proposal(known, action, signal, rules.signals)
    assessment = _assessed(known, proposal, opinions, rules.limits)
    intent = _intent(identity, known, proposal, assessment)
    return Decision(
        identity,
        receipt(
            identity, STRATEGY_VERSION, known, opinions, agreed, action, why, proposal, assessment, intent
        ),
        intent,
    )


def _opinions(known: Known, signal: TechnicalSignal, rules: Rules) -> tuple[Opinion, ...]:
    return (
        technical_opinion(signal),
        quant_opinion(known.policy, known.features, known.position),
        analyst_opinion(known.sentiment, known.decided_at, rules.analyst),
    )


def _action(known: Known, agreed: Consensus) -> tuple[Action, str]:
    """What is left to do of the consensus, given the open position; a hit stop or target closes before any vote."""
    position = _held(known)
    if position is None:
        if agreed.action is Action.CLOSE:
            return Action.HOLD, "nothing to close"
        return agreed.action, "; ".join(agreed.reasons)
    if protection := hit_protection(position, known.candles):
        return Action.CLOSE, protection
    held = Action.LONG if position.quantity > 0 else Action.SHORT
    if agreed.action is held:
        return Action.HOLD, f"already {held.value}"
    if agreed.action in (Action.LONG, Action.SHORT):
        return Action.CLOSE, f"consensus turned against the open position: {'; '.join(agreed.reasons)}"
    return agreed.action, "; ".join(agreed.reasons)


def _held(known: Known) -> Position | None:
    """The open position; one too small for the venue to trade cannot be closed and does not block the pair."""
    position, instrument = known.position, known.instrument
    if position is None:
        return None
    quantity = abs(position.quantity)
    dust = quantity < instrument.minimum_quantity or quantity * Decimal(known.close) < instrument.minimum_cost
    return None if dust else position


def hit_protection(position: Position, candles: pl.DataFrame) -> str:
    """Why the position must be closed, empty when neither level was touched since it opened.

    The stop is looked at first: when one candle touches both, the worse one is believed.
    """
    since = candles.filter(pl.col("open_time") >= position.opened_at)
    if since.is_empty():
        return ""
    low, high = Decimal(str(since["low"].min())), Decimal(str(since["high"].max()))
    long = position.quantity > 0
    stop, target = position.stop_loss, position.take_profit
    if stop is not None and (low <= stop if long else high >= stop):
        return f"stop-loss {stop} was touched (low {low}, high {high} since the position opened)"
    if target is not None and (high >= target if long else low <= target):
        return f"take-profit {target} was touched (low {low}, high {high} since the position opened)"
    return ""


def _proposal(known: Known, action: Action, signal: TechnicalSignal, rules: SignalRules) -> Proposal | None:
    if action is Action.HOLD:
        return None
    if action is Action.CLOSE:
        return _closing(known)
    direction = Direction.LONG if action is Action.LONG else Direction.SHORT
    stop, target = protective_levels(direction, known.close, known.features, rules)
    return Proposal(
        pair_key=known.pair.key,
        side=Side.BUY if action is Action.LONG else Side.SELL,
        entry=known.close,
        stop=stop,
        take_profit=target,
        reduces=False,
        reduce_quantity=None,
    )


def _closing(known: Known) -> Proposal:
    assert known.position is not None
    return Proposal(
        pair_key=known.pair.key,
        side=Side.SELL if known.position.quantity > 0 else Side.BUY,
        entry=known.close,
        stop=None,
        take_profit=None,
        reduces=True,
        reduce_quantity=abs(known.position.quantity),
    )


def _assessed(
    known: Known, proposal: Proposal | None, opinions: tuple[Opinion, ...], limits: Limits
) -> RiskAssessment | None:
    if proposal is None:
        return None
    return assess(proposal, known.state, _ages(known, opinions), known.instrument, limits)


def _ages(known: Known, opinions: tuple[Opinion, ...]) -> Ages:
    """Ages of the inputs that were used: an agent that abstained has used none."""
    voted = {opinion.agent for opinion in opinions if opinion.action is not None}
    heard = known.sentiment if "analyst" in voted else None
    return Ages(
        candle=(known.decided_at - known.candle_close_time) / known.timeframe.duration,
        policy_days=known.policy_age_days if "quant" in voted else None,
        sentiment_hours=_hours(known.decided_at - heard.newest_known_at) if heard else None,
    )


def _hours(age: timedelta) -> float:
    return age / timedelta(hours=1)


def _intent(
    identity: str, known: Known, proposal: Proposal | None, assessment: RiskAssessment | None
) -> OrderIntent | None:
    if proposal is None or assessment is None or not assessment.approved:
        return None
    return OrderIntent(
        intent_id=str(uuid.uuid5(_NAMESPACE, f"{identity}|intent")),
        decision_id=identity,
        account=known.account,
        pair=known.pair,
        side=proposal.side,
        quantity=assessment.adjusted_size,
        reduces=proposal.reduces,
        stop_loss=assessment.stop_loss_price,
        take_profit=assessment.take_profit_price,
        created_at=known.decided_at,
    )
