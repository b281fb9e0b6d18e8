"""One decision: a pure function from everything that was known to a receipt that explains it.

The same function decides live, on paper, in a back-fill and in a replay; it reads no clock and no store.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ml.agents.analyst import AnalystRules, analyst_opinion
from ml.agents.consensus import Consensus, ConsensusRules, consensus
from ml.agents.opinions import Action, Opinion
from ml.agents.quant import quant_opinion
from ml.agents.technical import technical_opinion
from ml.decision.inputs import Known
from ml.decision.receipt import receipt
from trading.market import Pair
from trading.orders import OrderIntent, Side
from trading.portfolio import Position
from trading.risk import Ages, Limits, Proposal, RiskAssessment, assess
from trading.risk.protection import hit_protection
from trading.signals import Direction, SignalRules, TechnicalSignal, protective_levels, technical_signal

STRATEGY_VERSION = "2"
_UNASKED = Consensus(
    Action.HOLD, 0.0, 0.0, {}, (), ("nobody was asked: the open position's protection was hit",)
)
SPOT = 1.0  # no agent asks for borrowed money
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
    signal = technical_signal(known.features, known.close, rules.signals)
    opinions = _opinions(known, signal, rules)
    agreed = consensus(opinions, rules.consensus)
    action, why = _action(known, agreed, rules.limits)
    proposal = _proposal(known, action, signal, rules.signals)
    return _concluded(known, opinions, agreed, action, why, proposal, rules.limits)


def protective_exit(known: Known, rules: Rules) -> Decision | None:
    """Close a position whose stop or target was hit; nobody is asked. None when there is nothing of the kind."""
    position = _held(known)
    if position is None:
        return None
    why = hit_protection(position, known.since_opened, rules.limits.trailing_after)
    return _concluded(known, (), _UNASKED, Action.CLOSE, why, _closing(known), rules.limits) if why else None


def _concluded(
    known: Known,
    opinions: tuple[Opinion, ...],
    agreed: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    limits: Limits,
) -> Decision:
    identity = decision_id(known.account, known.pair, known.candle_close_time)
    assessment = _assessed(known, proposal, opinions, limits)
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


def _action(known: Known, agreed: Consensus, limits: Limits) -> tuple[Action, str]:
    """What is left to do of the consensus, given the open position; a hit stop or target closes before any vote."""
    position = _held(known)
    if position is None:
        if agreed.action is Action.CLOSE:
            return Action.HOLD, "nothing to close"
        return agreed.action, "; ".join(agreed.reasons)
    if protection := hit_protection(position, known.since_opened, limits.trailing_after):
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
        leverage=SPOT,
        live_record=False,  # decisions are made on paper: nobody has a live record yet
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
        leverage=SPOT,
        live_record=False,
        reduces=True,
        reduce_quantity=abs(known.position.quantity),
    )


def _assessed(
    known: Known, proposal: Proposal | None, opinions: tuple[Opinion, ...], limits: Limits
) -> RiskAssessment | None:
    if proposal is None:
        return None
    return assess(proposal, known.state, known.market, _ages(known, opinions), known.instrument, limits)


def _ages(known: Known, opinions: tuple[Opinion, ...]) -> Ages:
    """Ages of the inputs that were used: an agent that abstained has used none."""
    voted = {opinion.agent for opinion in opinions if opinion.action is not None}
    heard = known.sentiment if "analyst" in voted else None
    now, candle, oldest = known.decided_at, known.timeframe.duration, known.oldest_price
    return Ages(
        candle=(now - known.candle_close_time) / candle,
        features=(now - known.oldest_market) / candle,
        balance=known.waiting / candle,
        prices=(now - oldest.close_time) / candle if oldest else None,
        oldest_price=oldest.pair.key if oldest else "",
        policy_days=known.policy_age_days if "quant" in voted else None,
        sentiment_hours=(now - heard.newest_known_at) / timedelta(hours=1) if heard else None,
        clock_skew_seconds=max((known.newest_input - now) / timedelta(seconds=1), 0.0),
    )


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
