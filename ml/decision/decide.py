"""One decision: a pure function from its inputs to a receipt that explains it.

The same function decides live, on paper, in a back-fill and in a replay; it reads no clock and no store.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ml.agents.analyst import analyst_opinion
from ml.agents.consensus import Consensus, consensus, not_asked
from ml.agents.opinions import Action, Opinion
from ml.agents.quant import quant_opinion
from ml.agents.rules import DecisionRules as DecisionRules  # callers find them beside what they rule
from ml.agents.technical import technical_opinion
from ml.decision.decision_id import STRATEGY_VERSION, decision_id, intent_id
from ml.decision.inputs import DecisionInputs
from ml.decision.pending import describe, entries_to_cancel, side_of
from ml.decision.proposal import assess_proposal, propose, propose_close, tradable_position
from ml.decision.receipt import receipt
from trading.orders import OrderIntent
from trading.portfolio import Position
from trading.risk import Limits, Proposal, RiskAssessment
from trading.signals import TechnicalSignal, technical_signal

_NO_VOTE = not_asked("the open position's protection was hit")


@dataclass(frozen=True, slots=True)
class Decision:
    decision_id: str
    receipt: dict[str, Any]
    intent: OrderIntent | None
    cancels: tuple[str, ...] = ()  # ids of entries that must leave the venue, before anything else


def decide(inputs: DecisionInputs, rules: DecisionRules) -> Decision:
    """Ask every agent, form a consensus, let risk have the last word, and record why."""
    signal = technical_signal(inputs.features, inputs.close, rules.signals)
    position = tradable_position(inputs)
    opinions = _opinions(inputs, signal, position, rules)
    agreed = consensus(opinions, rules.consensus, held_side(position))
    action, why = _action(inputs, position, agreed)
    return _conclude(
        inputs,
        opinions,
        agreed,
        action,
        why=why,
        proposal=propose(inputs, action, signal, rules.signals),
        limits=rules.limits,
    )


def protective_exit(inputs: DecisionInputs, rules: DecisionRules) -> Decision | None:
    """Close a position whose stop or target was hit, without any vote. None when neither was, or it is being closed."""
    position = tradable_position(inputs)
    if position is None or not position.exit_reason or inputs.exit_under_way:
        return None
    return _conclude(
        inputs,
        (),
        _NO_VOTE,
        Action.CLOSE,
        why=position.exit_reason,
        proposal=propose_close(inputs),
        limits=rules.limits,
    )


def _conclude(
    inputs: DecisionInputs,
    opinions: tuple[Opinion, ...],
    agreed: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    limits: Limits,
) -> Decision:
    identity = decision_id(inputs.account, inputs.pair, inputs.candle_close_time)
    assessment = assess_proposal(inputs, proposal, opinions, limits)
    intent = _intent(identity, inputs, proposal, assessment)
    cancels = entries_to_cancel(inputs, agreed.action, closing=action is Action.CLOSE)
    explained = receipt(
        decision_id=identity,
        strategy_version=STRATEGY_VERSION,
        inputs=inputs,
        opinions=opinions,
        consensus=agreed,
        action=action,
        why=why,
        proposal=proposal,
        assessment=assessment,
        intent=intent,
        cancels=cancels,
    )
    return Decision(identity, explained, intent, tuple(cancels))


def _opinions(
    inputs: DecisionInputs, signal: TechnicalSignal, position: Position | None, rules: DecisionRules
) -> tuple[Opinion, ...]:
    return (
        technical_opinion(signal),
        quant_opinion(inputs.policy, inputs.features, position),
        analyst_opinion(inputs.sentiment, inputs.decided_at, rules.analyst),
    )


def held_side(position: Position | None) -> Action | None:
    """Return the side of an open position as the agents name it; None without one."""
    if position is None:
        return None
    return Action.LONG if position.quantity > 0 else Action.SHORT


def _action(inputs: DecisionInputs, position: Position | None, agreed: Consensus) -> tuple[Action, str]:
    """Derive the action from consensus, position and orders without an outcome, and why.

    A hit stop or target closes before any vote. Nothing is ordered beside an exit that is under way, or beside an entry
    that is still to be filled: the market may have done either already.
    """
    words = "; ".join(agreed.reasons)
    if under_way := inputs.exit_under_way:
        return Action.HOLD, f"an exit is under way: {describe(under_way)}; nothing is ordered beside it"
    if position is not None:
        return (Action.CLOSE, position.exit_reason) if position.exit_reason else (agreed.action, words)
    if agreed.action is Action.CLOSE:
        return Action.HOLD, "nothing to close"
    if pending := inputs.pending_entries:
        entry = describe(pending[0])
        if side_of(pending[0]) is agreed.action:
            return Action.HOLD, f"an entry is still to be filled: {entry}"
        return Action.HOLD, f"the entry that is still to be filled is cancelled first: {entry}; {words}"
    return agreed.action, words


def _intent(
    identity: str, inputs: DecisionInputs, proposal: Proposal | None, assessment: RiskAssessment | None
) -> OrderIntent | None:
    if proposal is None or assessment is None or not assessment.approved:
        return None
    return OrderIntent(
        intent_id=intent_id(identity),
        decision_id=identity,
        account=inputs.account,
        pair=inputs.pair,
        side=proposal.side,
        quantity=assessment.adjusted_size,
        reduces=proposal.reduces,
        stop_loss=assessment.stop_loss_price,
        take_profit=assessment.take_profit_price,
        created_at=inputs.decided_at,
        entry_price=None if proposal.reduces else Decimal(str(proposal.entry)),
        trailing_after=assessment.trailing_after_price,
        trailing_distance=assessment.trailing_distance,
    )
