"""An order that somebody proposes and a person approves: risk judges it, and it is carried out as a decision is.

There is no way past the rules here: the same inputs, the same assessment, a receipt and an intent in one transaction
with the account locked, the same executor. What was approved bounds the order; risk alone may make it smaller.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from ml.agents.consensus import not_asked
from ml.agents.opinions import Action
from ml.decision.clock import ClockReading
from ml.decision.decide import DecisionRules, order_intent
from ml.decision.decision_id import STRATEGY_VERSION, intent_id
from ml.decision.inputs import DecisionInputs
from ml.decision.one_strategy import refuse_another_strategy, refuse_the_past
from ml.decision.pending import describe
from ml.decision.plain_json import to_json_value
from ml.decision.proposal import assess_proposal, propose_close, tradable_position
from ml.decision.reader import InputReader
from ml.decision.receipt import Scope, receipt
from ml.decision.recording import code_version
from ml.decision.standing import begin_due_halts
from trading.errors import InvalidValue, NotStored
from trading.execution import OrderExecutor
from trading.market import Pair
from trading.orders import Order, Side, round_down
from trading.ports import Journal
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
class OrderedProposal:
    """The decision's receipt, and the order as it is known after it was carried out; None where risk has refused."""

    receipt: dict[str, Any]
    order: Order | None


@dataclass(frozen=True, slots=True)
class ProposedOrders:
    """Judges and carries out proposed orders of one account."""

    reader: InputReader
    rules: DecisionRules
    journal: Journal
    executor: OrderExecutor

    @property
    def account(self) -> str:
        return self.reader.account.name

    def judge(self, order: ProposedOrder, clock: ClockReading) -> JudgedOrder:
        """Judge it on what is known now; nothing is written.

        InvalidValue where it does not fit what is open, NotStored before the account has opened.
        """
        reader = self.reader.for_one_decision(clock.at)
        if self.account not in self.journal.accounts():
            raise NotStored(f"account {self.account} has not opened: its first decision opens it")
        return self._judge(order, reader.inputs(reader.market_inputs(order.pair, clock)))

    def carry_out(
        self, order: ProposedOrder, identity: str, clock: ClockReading, why: str, facts: Mapping[str, Any]
    ) -> OrderedProposal:
        """Judge it again with the account locked, commit receipt and intent under `identity`, and carry them out.

        The same identity again changes nothing. `facts` are recorded with the receipt: who proposed, who approved.
        """
        reader, account = self.reader.for_one_decision(clock.at), self.reader.account
        self.executor.carry_out(self.account, clock.at)
        market = reader.market_inputs(order.pair, clock)
        self.journal.store_inputs(market.tables.contents if market.tables else {})
        with self.journal.exclusive(self.account):
            if not self._is_known(identity):
                self._refuse(market.dataset, clock)
                books = begin_due_halts(account, market.valuation, self.rules.limits, self.journal)
                judged = self._judge(order, reader.inputs(market, books))
                self._commit(judged, identity, why, facts)
        self.executor.carry_out(self.account, clock.at)
        return OrderedProposal(self.journal.decision(identity), self.journal.order(intent_id(identity)))

    def _is_known(self, identity: str) -> bool:
        try:
            self.journal.decision(identity)
        except NotStored:
            return False
        return True

    def _refuse(self, dataset: str, clock: ClockReading) -> None:
        newest = next(iter(self.journal.decisions(self.account, limit=1)), None)
        refuse_the_past(self.account, clock.at, newest)
        refuse_another_strategy(self.account, dataset, clock.at, newest)

    def _judge(self, order: ProposedOrder, inputs: DecisionInputs) -> JudgedOrder:
        _refuse_conflict(order, inputs)
        _refuse_moved_price(order, inputs)
        order = self._with_levels(order, inputs)
        proposal = _proposal(order, inputs)
        assessment = assess_proposal(inputs, proposal, (), self.rules.limits)
        assert assessment is not None
        quantity, refusal = _quantity(order, inputs, assessment)
        return JudgedOrder(order, inputs, proposal, assessment, quantity, refusal)

    def _with_levels(self, order: ProposedOrder, inputs: DecisionInputs) -> ProposedOrder:
        """Take a decision's stop and target where none is named."""
        if order.action is Action.CLOSE or (order.stop is not None and order.take_profit is not None):
            return order
        direction = Direction.LONG if order.action is Action.LONG else Direction.SHORT
        stop, target = protective_levels(direction, inputs.close, inputs.features, self.rules.signals)
        return replace(
            order,
            stop=Decimal(repr(stop)) if order.stop is None else order.stop,
            take_profit=Decimal(repr(target)) if order.take_profit is None else order.take_profit,
        )

    def _commit(self, judged: JudgedOrder, identity: str, why: str, facts: Mapping[str, Any]) -> None:
        inputs, refused = judged.inputs, bool(judged.refusal)
        intent = (
            None
            if refused
            else order_intent(identity, inputs, judged.proposal, judged.assessment, quantity=judged.quantity)
        )
        explained = receipt(
            decision_id=identity,
            strategy_version=STRATEGY_VERSION,
            scope=Scope.PROPOSED,
            inputs=inputs,
            rules=asdict(self.rules),
            opinions=(),
            consensus=_NO_VOTE,
            action=judged.order.action,
            why=why,
            proposal=judged.proposal,
            assessment=judged.assessment,
            intent=intent,
            cancels={},
        )
        more = {"code_version": code_version(), "proposed": to_json_value(dict(facts))}
        if refused:
            more["outcome"] = f"{judged.order.action.value} was refused by risk: {judged.refusal}"
        self.journal.record_decision(explained | more, intent)


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
