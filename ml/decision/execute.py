"""Executes a decision: settle, decide and commit in one transaction, then carry out. Nothing leaves uncommitted."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from ml.agents.hearing import HEARING, Asked, Heard, Hearing
from ml.agents.panel import AGENTS
from ml.decision.clock import ClockReading
from ml.decision.decide import Decision, DecisionRules, ask, decide, protective_exit, reason_to_skip
from ml.decision.decision_id import decision_id
from ml.decision.inputs import DecisionInputs, GatheredMarket
from ml.decision.one_strategy import refuse_another_strategy, refuse_the_past
from ml.decision.reader import InputReader
from ml.decision.recording import code_version
from ml.decision.self_halt import count_answers, counting_errors
from ml.decision.standing import begin_due_halts, save_snapshot
from ml.decision.steps import StepFailures, Stopwatch
from ml.decision.valuation import Valuation
from trading.errors import NotStored
from trading.execution import Execution
from trading.market import Pair
from trading.orders import Order
from trading.ports import Journal

NOT_ASKED = "was not asked: there was nothing to vote on before the account was locked"


class Executor(Protocol):
    """Whatever carries out the orders in the journal: `trading.execution.OrderExecutor`."""

    def carry_out(self, account: str, at: datetime) -> Execution: ...


@dataclass(frozen=True, slots=True)
class ExecutedDecision:
    receipt: dict[str, Any]
    order: Order | None
    repeated: bool  # the decision had been made before: nothing new was decided or ordered
    execution: Execution  # what carrying out did
    snapshot: dict[str, Any] | None = (
        None  # of the portfolio, with its results; None when none could be taken
    )
    snapshot_problem: str = ""  # why there is no snapshot


def execute_decision(
    pair: Pair,
    clock: ClockReading,
    reader: InputReader,
    rules: DecisionRules,
    journal: Journal,
    executor: Executor,
    hearing: Hearing = HEARING,
) -> ExecutedDecision:
    """Make one decision for the newest candle known at the clock's time; the same candle again changes nothing.

    The market is read first. Then, with the account locked, its state is read, assessed, and receipt, order and
    cancellations are committed in one transaction: whoever else decides for the account waits for those milliseconds.

    A position whose stop or target was hit is closed from the journal and the pair's own candles alone: a lost
    champion or another pair's bad candle must not keep it open.

    Raises AccountIsAhead when the account has already decided on a later candle (an account's history has one
    direction): where pairs are decided on side by side, read the clock again. InvalidValue when it is traded by another
    strategy.
    """
    return begin_decision(pair, clock, reader, rules, journal, executor, hearing).finish()


def begin_decision(
    pair: Pair,
    clock: ClockReading,
    reader: InputReader,
    rules: DecisionRules,
    journal: Journal,
    executor: Executor,
    hearing: Hearing = HEARING,
) -> "BegunDecision":
    """Read the market and ask the agents; nobody is waited for, and nothing decided, before `finish`. Raises as
    `execute_decision` does."""
    reader = reader.for_one_decision(clock.at)
    identity = decision_id_of(pair, clock, reader)
    begun = BegunDecision(identity, pair, clock, reader, rules, journal, executor, hearing)
    if not begun.is_decided():
        begun.begin()
    return begun


def decision_id_of(pair: Pair, clock: ClockReading, reader: InputReader) -> str:
    """Return the id of the decision on the newest candle known at the clock's time."""
    return decision_id(reader.account.name, pair, reader.market.last_close_time(pair, clock.at))


@dataclass(slots=True)
class BegunDecision:
    """One decision on its way: what its steps found and what they could not do."""

    identity: str
    pair: Pair
    clock: ClockReading
    reader: InputReader
    rules: DecisionRules
    journal: Journal
    executor: Executor
    hearing: Hearing
    watch: Stopwatch = field(default_factory=Stopwatch)
    failures: StepFailures = field(default_factory=StepFailures)
    valuation: Valuation | None = None
    market: GatheredMarket | None = None  # None: not everything could be read
    for_exit: GatheredMarket | None = None  # what closing a position needs; None: decided before
    asked: Asked | None = None  # None: nobody was asked
    heard: Heard | None = None  # the same when they have answered
    waited: timedelta = timedelta(0)  # since the run's clock was read
    settled: Execution = field(default_factory=Execution)

    @property
    def account(self) -> str:
        return self.reader.account.name

    @property
    def waits_for_models(self) -> bool:
        return self.asked is not None and bool(self.asked.models)

    def begin(self) -> None:
        """Settle, gather and ask."""
        self.refuse(self.reader.market.universe.dataset)
        with self._counting_errors():
            self.reader.account.ensure_open(self.clock.at)
            self._begin_halts()
            self._settle()
            self.for_exit = self._gather()
            self._ask()

    def finish(self) -> ExecutedDecision:
        """Wait for the answers; then decide and commit with the account locked, and carry out."""
        if self.for_exit is None:
            return self.carry_out(repeated=True)
        with self._counting_errors():
            self._hear()
            self._look_again()
            with self.journal.exclusive(self.account):
                is_new = not self.is_decided()
                if is_new:
                    self.refuse(self.for_exit.dataset)
                    self._commit(self._decide(self.for_exit))
            return self.carry_out(repeated=not is_new)

    def _counting_errors(self) -> AbstractContextManager[None]:
        return counting_errors(self.journal, self.account, self.clock.at, self.rules.limits.failures_in_a_row)

    def is_decided(self) -> bool:
        try:
            self.journal.decision(self.identity)
        except NotStored:
            return False
        return True

    def refuse(self, dataset: str) -> None:
        """Raise InvalidValue where the account may not decide now."""
        newest = next(iter(self.journal.decisions(self.account, limit=1)), None)
        refuse_the_past(self.account, self.clock.at, newest)
        refuse_another_strategy(self.account, dataset, self.clock.at, newest)

    def _begin_halts(self) -> None:
        with self.failures.catch("halts"):
            self.valuation = self.reader.account.valuation(self.clock.at)
            self.watch.lap("value")
            # In a transaction of its own, before anything is sent: halts outlive this process.
            with self.journal.exclusive(self.account):
                begin_due_halts(self.reader.account, self.valuation, self.rules.limits, self.journal)
        self.watch.lap("halts")

    def _settle(self) -> None:
        with self.failures.catch("settle"):
            self.settled = self.executor.carry_out(self.account, self.clock.at)
        self.watch.lap("settle")

    def _gather(self) -> GatheredMarket:
        """Read the market and record what was read; where not all can be read, what closing a position needs."""
        with self.failures.catch("gather"):
            self.market = self.reader.market_inputs(self.pair, self.clock, self.valuation)
        for_exit = self.market or self.reader.market_inputs_for_exit(self.pair, self.clock)
        self.watch.lap("gather")
        with self.failures.catch("record"):
            self.journal.store_inputs(for_exit.tables.contents if for_exit.tables else {})
        self.watch.lap("record")
        return for_exit

    def _ask(self) -> None:
        """Ask the agents before the account is locked, by its state of now, where there is something to ask.

        A position whose stop or target was hit is not kept waiting for anybody.
        """
        with self.failures.catch("hear"):
            if self.market is not None and not self.failures:
                inputs = self.reader.inputs(self.market)
                question = ask(inputs, self.rules)
                is_hit = question.position is not None and question.position.exit_reason
                if not is_hit and not reason_to_skip(inputs, question, self.rules):
                    seconds = self.rules.answer_seconds.by_agent()
                    self.asked = self.hearing.begin(question, seconds, self.reader.models)

    def _hear(self) -> None:
        with self.failures.catch("hear"):
            self.heard = self.asked.wait() if self.asked else None
        self.watch.lap("hear")

    def _look_again(self) -> None:
        """Note how long was waited for, and look at the order book of now: an entry goes into that one."""
        with self.failures.catch("look again"):
            self.waited = self.reader.waited(self.clock)
            if self.heard is not None and self.market is not None:
                self.market = replace(self.market, book=self.reader.book(self.pair, self.clock))

    def _decide(self, for_exit: GatheredMarket) -> Decision:
        """Close what was hit; else begin the halts that are due and decide on everything, if every step has worked."""
        account = self.reader.account
        books = account.books(self.clock.at)
        exit_inputs = self.reader.exit_inputs(for_exit, books)
        protective = protective_exit(exit_inputs, self.rules) if exit_inputs else None
        if protective:
            return protective
        self.failures.raise_first()
        assert self.market is not None
        books = begin_due_halts(account, self.market.valuation, self.rules.limits, self.journal, books)
        return self._decide_on(self.reader.inputs(self.market, books))

    def _decide_on(self, inputs: DecisionInputs) -> Decision:
        """Decide with the answers that were heard: nobody is waited for while the account is locked."""
        question, heard = ask(inputs, self.rules), self.heard
        answered = replace(
            inputs,
            waited=self.waited,
            absent=heard.absent if heard else dict.fromkeys(AGENTS, NOT_ASKED),
            judgements=heard.judgements_for(question) if heard else {},
        )
        if reason_to_skip(answered, question, self.rules):
            return decide(inputs, self.rules)
        return decide(answered, self.rules, heard.for_question(question) if heard else None)

    def _commit(self, decision: Decision) -> None:
        self.watch.lap("decide")
        receipt = {**decision.receipt, **self._facts()}
        self.journal.record_decision(receipt, decision.intent, decision.cancels)
        absent, limit = self.heard.absent if self.heard else None, self.rules.limits.failures_in_a_row
        count_answers(self.journal, self.account, absent, self.clock.at, limit)

    def _facts(self) -> dict[str, Any]:
        unfinished = [*self.failures.descriptions, *self.settled.problems]
        return {
            "code_version": code_version(),
            "timings_ms": self.watch.milliseconds,
            "answers_ms": dict(self.heard.milliseconds) if self.heard else {},
            "settled": self.settled.facts(),
            **({"unfinished": unfinished} if unfinished else {}),
        }

    def carry_out(self, *, repeated: bool) -> ExecutedDecision:
        """Carry out what the journal holds, never what was only computed; a repeat too: the first may have died."""
        at, journal = self.clock.at, self.journal
        execution = self.executor.carry_out(self.account, at)
        intent = journal.intent(self.identity)
        order = journal.order(intent.intent_id) if intent else None
        snapshot, problem = (
            (None, "") if repeated else save_snapshot(self.reader.account, at, journal, self.valuation)
        )
        return ExecutedDecision(
            journal.decision(self.identity), order, repeated, execution, snapshot, snapshot_problem=problem
        )
