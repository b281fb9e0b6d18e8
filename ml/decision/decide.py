"""One decision: a pure function from its inputs to a receipt that explains it.

The same function decides live, on paper, in a back-fill and in a replay; it reads no clock and no store.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from ml.agents.consensus import Consensus, consensus, not_asked
from ml.agents.opinions import Action, Opinion
from ml.agents.panel import AGENTS, TECHNICAL, Question, absence, ask_in_turn, with_judgements
from ml.agents.rules import DecisionRules as DecisionRules  # callers find them beside what they rule
from ml.agents.technical import technical_opinion
from ml.agents.trader import invalidations_of
from ml.decision.decision_id import STRATEGY_VERSION, decision_id, intent_id
from ml.decision.inputs import DecisionInputs
from ml.decision.pending import describe, entries_to_cancel, side_of
from ml.decision.proposal import assess_proposal, propose, propose_close, refuse_entries, tradable_position
from ml.decision.receipt import Scope, receipt
from trading.indicators.regimes import newest_label
from trading.invalidation import Invalidation
from trading.orders import OrderIntent
from trading.portfolio import Position
from trading.risk import Proposal, RiskAssessment
from trading.signals import Direction, technical_signal

_NO_VOTE = not_asked("the open position's protection was hit")


@dataclass(frozen=True, slots=True)
class Decision:
    decision_id: str
    receipt: dict[str, Any]
    intent: OrderIntent | None
    cancels: tuple[str, ...] = ()  # ids of entries that must leave the venue, before anything else


@dataclass(frozen=True, slots=True)
class Skip:
    """Why the agents are not asked."""

    why: str
    refusal: RiskAssessment | None = None  # of every entry; None: no entry was in question


def decide(
    inputs: DecisionInputs, rules: DecisionRules, opinions: tuple[Opinion, ...] | None = None
) -> Decision:
    """Form a consensus of every agent's opinion, let risk have the last word, and record why.

    `opinions` are those of agents that were asked side by side; None: they are asked here, one after the other, but for
    those that the inputs say were absent. Both lead to the same decision. Models are never asked here: their votes are
    made of the inputs' judgements. With nothing open, and without an actionable signal or where risk refuses every
    entry, there is nothing to vote on: nobody else is asked.
    """
    question = ask(inputs, rules)
    signal, position = question.signal, question.position
    if skipped := reason_to_skip(inputs, question, rules):
        return _skip(inputs, rules, question, skipped)
    opinions = ask_in_turn(question, inputs.absent) if opinions is None else opinions
    opinions = with_judgements(opinions, question)
    agreed = consensus(
        opinions, rules.consensus, held_side(position), inputs.weights, newest_label(inputs.features)
    )
    action, why = _action(inputs, position, agreed)
    return _conclude(
        Scope.FULL,
        inputs,
        opinions,
        agreed,
        action,
        why=why,
        proposal=propose(inputs, action, signal, rules.signals, _heard(opinions, agreed)),
        rules=rules,
    )


def ask(inputs: DecisionInputs, rules: DecisionRules) -> Question:
    """Return what the agents are asked."""
    return Question(
        pair=inputs.pair,
        at=inputs.decided_at,
        closed_at=inputs.candle_close_time,
        close=inputs.close,
        signal=technical_signal(inputs.features, inputs.close, rules.signals),
        features=inputs.features,
        policy=inputs.policy,
        position=tradable_position(inputs),
        sentiment=inputs.sentiment,
        analyst=rules.analyst,
        judgements=inputs.judgements,
    )


def reason_to_skip(inputs: DecisionInputs, question: Question, rules: DecisionRules) -> Skip | None:
    """Return why there is nothing to vote on; None where something of the pair is open or may be entered.

    What refuses an entry once models have answered is found by risk after their vote: the receipt has both.
    """
    if question.position or inputs.pending_entries or inputs.exit_under_way:
        return None
    if question.signal.direction is Direction.NEUTRAL:
        return Skip(f"skipped, no actionable signal: {'; '.join(question.signal.reasons)}")
    if not inputs.judgements and (refusal := refuse_entries(inputs, rules.limits)):
        return Skip(f"skipped, risk refuses every entry: {refusal.rejection_reason}", refusal)
    return None


def _skip(inputs: DecisionInputs, rules: DecisionRules, question: Question, skip: Skip) -> Decision:
    opinions = [technical_opinion(question.signal)]
    if skip.refusal:
        why = f"was not asked, risk refuses every entry: {skip.refusal.rejection_reason}"
        opinions += [absence(name, why) for name in AGENTS if name != TECHNICAL]
    return _conclude(
        Scope.FULL,
        inputs,
        tuple(opinions),
        not_asked(skip.why),
        Action.HOLD,
        why=skip.why,
        proposal=None,
        rules=rules,
        refusal=skip.refusal,
    )


def protective_exit(inputs: DecisionInputs, rules: DecisionRules) -> Decision | None:
    """Close a position whose stop or target was hit, without any vote. None when neither was, or it is being closed."""
    position = tradable_position(inputs)
    if position is None or not position.exit_reason or inputs.exit_under_way:
        return None
    return _conclude(
        Scope.EXIT,
        inputs,
        (),
        _NO_VOTE,
        Action.CLOSE,
        why=position.exit_reason,
        proposal=propose_close(inputs),
        rules=rules,
    )


def _conclude(
    scope: Scope,
    inputs: DecisionInputs,
    opinions: tuple[Opinion, ...],
    agreed: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    rules: DecisionRules,
    refusal: RiskAssessment | None = None,
) -> Decision:
    identity = decision_id(inputs.account, inputs.pair, inputs.candle_close_time)
    assessment = refusal or assess_proposal(inputs, proposal, opinions, rules.limits)
    invalidations = _invalidations(inputs, _heard(opinions, agreed), action)
    intent = order_intent(identity, inputs, proposal, assessment, invalidations=invalidations)
    cancels = entries_to_cancel(inputs, agreed.action, closing=action is Action.CLOSE)
    explained = receipt(
        decision_id=identity,
        strategy_version=STRATEGY_VERSION,
        scope=scope,
        inputs=inputs,
        rules=asdict(rules),
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


def _heard(opinions: tuple[Opinion, ...], agreed: Consensus) -> tuple[Opinion, ...]:
    """Return the opinions that counted: who had no vote shapes no position either."""
    return tuple(each for each in opinions if each.agent not in agreed.without_a_vote)


def _invalidations(
    inputs: DecisionInputs, opinions: tuple[Opinion, ...], action: Action
) -> tuple[Invalidation, ...]:
    """Return what invalidates the position that the action opens; nothing where it opens none."""
    if action not in (Action.LONG, Action.SHORT):
        return ()
    return invalidations_of(
        inputs.judgements.values(),
        opinions,
        action,
        at=inputs.decided_at,
        close=inputs.close,
        features=inputs.features,
    )


def order_intent(
    identity: str,
    inputs: DecisionInputs,
    proposal: Proposal | None,
    assessment: RiskAssessment | None,
    *,
    invalidations: tuple[Invalidation, ...] = (),
    quantity: Decimal | None = None,
) -> OrderIntent | None:
    """Return the order of an approved proposal; `quantity` where less than risk allows is wanted."""
    if proposal is None or assessment is None or not assessment.approved:
        return None
    return OrderIntent(
        intent_id=intent_id(identity),
        decision_id=identity,
        account=inputs.account,
        pair=inputs.pair,
        side=proposal.side,
        quantity=assessment.adjusted_size if quantity is None else quantity,
        reduces=proposal.reduces,
        stop_loss=assessment.stop_loss_price,
        take_profit=assessment.take_profit_price,
        created_at=inputs.decided_at,
        entry_price=None if proposal.reduces else Decimal(str(proposal.entry)),
        trailing_after=assessment.trailing_after_price,
        trailing_distance=assessment.trailing_distance,
        invalidations=invalidations,
    )
