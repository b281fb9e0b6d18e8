"""An order that a person approves: what risk makes of it on a decision's inputs, and the receipt that explains it.

Pure functions, as `decide` is: no clock and no store. A replay judges the recorded order on the recorded inputs again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from ml.agents.consensus import not_asked
from ml.agents.opinions import Action
from ml.decision.decide import Decision, DecisionRules, order_intent
from ml.decision.decision_id import STRATEGY_VERSION
from ml.decision.inputs import DecisionInputs
from ml.decision.pending import describe
from ml.decision.proposal import assess_proposal, propose_close, tradable_position
from ml.decision.receipt import Scope, receipt
from trading.errors import InvalidValue
from trading.market import Pair
from trading.orders import Side, round_down
from trading.risk import Proposal, RiskAssessment
from trading.signals import Direction, protective_levels

_NO_VOTE = not_asked("a person has approved this order")


@dataclass(frozen=True, slots=True)
class ProposedOrder:
    """LONG and SHORT open a position, CLOSE closes all of it. Prices are quote per base."""

    pair: Pair
    action: Action
    quantity: Decimal | None = None  # base currency, at most; None: what risk allows
    stop: Decimal | None = None  # None: the level that a decision would take
    take_profit: Decimal | None = None
    planned_at_price: Decimal | None = None  # that a person has seen; None: nobody has yet
    price_move: Decimal = Decimal(0)  # share by which the last close may be off from it


@dataclass(frozen=True, slots=True)
class JudgedOrder:
    """What risk makes of it on the inputs of a moment. `refusal` is empty where it may be ordered."""

    order: ProposedOrder
    inputs: DecisionInputs
    proposal: Proposal
    assessment: RiskAssessment
    quantity: Decimal  # that would be ordered
    refusal: str


@dataclass(frozen=True, slots=True)
class ApprovedOrder:
    """An order as a person has approved it. The receipt has all of it."""

    order: ProposedOrder
    identity: str  # of its decision: it follows from the plan's, so that it is never made twice
    why: str
    approval: Mapping[str, Any]  # who proposed, who approved, in which words; plain JSON values

    def facts(self) -> dict[str, Any]:
        """Return it as the receipt keeps it: an input of the decision like every other."""
        return {
            "decision_id": self.identity,
            "why": self.why,
            "order": asdict(self.order),
            "approval": dict(self.approval),
        }


def judge(order: ProposedOrder, inputs: DecisionInputs, rules: DecisionRules) -> JudgedOrder:
    """Let risk assess it. InvalidValue where it does not fit what is open, or its price has moved too far."""
    _refuse_conflict(order, inputs)
    _refuse_moved_price(order, inputs)
    order = _with_levels(order, inputs, rules)
    proposal = _proposal(order, inputs)
    assessment = assess_proposal(inputs, proposal, (), rules.limits)
    assert assessment is not None
    quantity, refusal = _quantity(order, inputs, assessment)
    return JudgedOrder(order, inputs, proposal, assessment, quantity, refusal)


def decide_approved(approved: ApprovedOrder, inputs: DecisionInputs, rules: DecisionRules) -> Decision:
    """Judge an approved order and record why; without an intent where risk refuses. Raises as `judge` does."""
    judged = judge(approved.order, inputs, rules)
    intent = (
        None
        if judged.refusal
        else order_intent(
            approved.identity, inputs, judged.proposal, judged.assessment, quantity=judged.quantity
        )
    )
    explained = receipt(
        decision_id=approved.identity,
        strategy_version=STRATEGY_VERSION,
        scope=Scope.PROPOSED,
        inputs=inputs,
        rules=asdict(rules),
        opinions=(),
        consensus=_NO_VOTE,
        action=judged.order.action,
        why=approved.why,
        proposal=judged.proposal,
        assessment=judged.assessment,
        intent=intent,
        cancels={},
        proposed=approved.facts(),
    )
    if judged.refusal:
        explained["outcome"] = f"{judged.order.action.value} was refused by risk: {judged.refusal}"
    return Decision(approved.identity, explained, intent)


def _with_levels(order: ProposedOrder, inputs: DecisionInputs, rules: DecisionRules) -> ProposedOrder:
    """Take a decision's stop and target where none is named."""
    if order.action is Action.CLOSE or (order.stop is not None and order.take_profit is not None):
        return order
    direction = Direction.LONG if order.action is Action.LONG else Direction.SHORT
    stop, target = protective_levels(direction, inputs.close, inputs.features, rules.signals)
    return replace(
        order,
        stop=Decimal(repr(stop)) if order.stop is None else order.stop,
        take_profit=Decimal(repr(target)) if order.take_profit is None else order.take_profit,
    )


def _refuse_conflict(order: ProposedOrder, inputs: DecisionInputs) -> None:
    """Raise InvalidValue where the pair has an order without an outcome, or a position that does not fit."""
    position = tradable_position(inputs)
    if order.action not in (Action.LONG, Action.SHORT, Action.CLOSE):
        raise InvalidValue(f"{order.action.value} orders nothing: propose LONG, SHORT or CLOSE")
    if under_way := inputs.exit_under_way:
        raise InvalidValue(f"an exit is under way: {describe(under_way)}; nothing is ordered beside it")
    if pending := inputs.pending_entries:
        raise InvalidValue(
            f"an entry is still to be filled: {describe(pending[0])}; propose again afterwards"
        )
    if order.action is Action.CLOSE:
        if position is None:
            raise InvalidValue(f"no position of {order.pair} is open: there is nothing to close")
        if order.quantity is not None:
            raise InvalidValue("CLOSE closes all of the position: leave the quantity out")
    elif position is not None:
        raise InvalidValue(
            f"a position of {position.quantity:f} {order.pair} is open: propose CLOSE first, a position has one entry"
        )
    if order.quantity is not None and not (order.quantity.is_finite() and order.quantity > 0):
        raise InvalidValue(f"a quantity of {order.quantity} cannot be ordered: name one above zero")


def _refuse_moved_price(order: ProposedOrder, inputs: DecisionInputs) -> None:
    """Raise InvalidValue where the price is not the one that a person has approved."""
    before, now = order.planned_at_price, Decimal(repr(inputs.close))
    if before is not None and not abs(now - before) <= order.price_move * before:
        raise InvalidValue(
            f"the price of {order.pair} was {before:f} when this was planned and is {now:f}: it has moved by more than "
            f"{float(order.price_move):.2%}; plan it again"
        )


def _proposal(order: ProposedOrder, inputs: DecisionInputs) -> Proposal:
    if order.action is Action.CLOSE:
        return propose_close(inputs)
    return Proposal(
        pair_key=inputs.pair.key,
        side=Side.BUY if order.action is Action.LONG else Side.SELL,
        entry=inputs.close,
        stop=order.stop,
        take_profit=order.take_profit,
        reduces=False,
        reduce_quantity=None,
    )


def _quantity(
    order: ProposedOrder, inputs: DecisionInputs, assessment: RiskAssessment
) -> tuple[Decimal, str]:
    """Return the smaller of what was proposed and what risk allows, and why nothing may be ordered."""
    if not assessment.approved:
        return Decimal(0), assessment.rejection_reason
    size, terms = assessment.adjusted_size, inputs.instrument
    if order.quantity is None or order.quantity >= size:
        return size, ""
    wanted = round_down(order.quantity, terms.quantity_increment)
    if wanted < terms.minimum_quantity or wanted * Decimal(repr(inputs.close)) < terms.minimum_cost:
        return Decimal(0), (
            f"{order.quantity:f} {order.pair.base} is less than the venue takes: at least {terms.minimum_quantity:f}, "
            f"worth {terms.minimum_cost:f} {order.pair.quote}"
        )
    return wanted, ""
