"""An order that somebody proposes and a person approves: risk judges it, and it is carried out as a decision is.

There is no way past the rules here: the same inputs, the same assessment, a receipt and an intent in one transaction
with the account locked, the same executor. What was approved bounds the order; risk alone may make it smaller.
"""

from dataclasses import dataclass
from typing import Any

from ml.decision.approved_order import ApprovedOrder, JudgedOrder, ProposedOrder, decide_approved, judge
from ml.decision.clock import ClockReading
from ml.decision.decide import DecisionRules
from ml.decision.decision_id import intent_id
from ml.decision.one_strategy import refuse_another_strategy, refuse_the_past
from ml.decision.reader import InputReader
from ml.decision.recording import code_version
from ml.decision.standing import begin_due_halts
from ml.decision.valuation import Valuation
from trading.errors import NotStored
from trading.execution import OrderExecutor
from trading.orders import Order
from trading.ports import Journal


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
        return judge(order, reader.inputs(reader.market_inputs(order.pair, clock)), self.rules)

    def carry_out(self, approved: ApprovedOrder, clock: ClockReading) -> OrderedProposal:
        """Judge it again with the account locked, commit receipt and intent, and carry them out.

        Halts that are due begin before anything is sent, whatever waits: as in a decision run. Where the account cannot
        be valued nobody knows which are due, and nothing is sent. The same order again changes nothing.
        """
        reader, pair = self.reader.for_one_decision(clock.at), approved.order.pair
        valuation = reader.account.valuation(clock.at)
        self._begin_halts(reader, valuation)
        self.executor.carry_out(self.account, clock.at)
        market = reader.market_inputs(pair, clock, valuation)
        self.journal.store_inputs(market.tables.contents if market.tables else {})
        with self.journal.exclusive(self.account):
            if not self._is_known(approved.identity):
                self._refuse(market.dataset, clock)
                books = begin_due_halts(reader.account, market.valuation, self.rules.limits, self.journal)
                decision = decide_approved(approved, reader.inputs(market, books), self.rules)
                receipt = {**decision.receipt, "code_version": code_version()}
                self.journal.record_decision(receipt, decision.intent)
        self.executor.carry_out(self.account, clock.at)
        identity = approved.identity
        return OrderedProposal(self.journal.decision(identity), self.journal.order(intent_id(identity)))

    def _begin_halts(self, reader: InputReader, valuation: Valuation) -> None:
        """Begin them in a transaction of their own: halts outlive this process."""
        with self.journal.exclusive(self.account):
            begin_due_halts(reader.account, valuation, self.rules.limits, self.journal)

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
