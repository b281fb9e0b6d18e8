"""Executes a decision: settle, decide and commit in one transaction, then carry out. Nothing leaves uncommitted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any, Protocol

from ml.decision.account_reader import AccountReader
from ml.decision.clock import ClockReading
from ml.decision.decide import Decision, DecisionRules, decide, protective_exit
from ml.decision.decision_id import decision_id
from ml.decision.inputs import MarketInputs
from ml.decision.one_strategy import refuse_another_strategy, refuse_the_past
from ml.decision.reader import InputReader
from ml.decision.valuation import Valuation
from trading.errors import NotStored
from trading.execution import Execution
from trading.market import Pair
from trading.orders import Order
from trading.portfolio import closed_trades
from trading.ports import Journal
from trading.risk.halts import EquityLevels, due_halts
from trading.risk.limits import Limits


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
) -> ExecutedDecision:
    """Make one decision for the newest candle known at the clock's time; the same candle again changes nothing.

    The market is read first. Then, with the account locked, its state is read, assessed, and receipt, order and
    cancellations are committed in one transaction: whoever else decides for the account waits for those milliseconds.

    A position whose stop or target was hit is closed from the journal and the pair's own candles alone: a lost
    champion or another pair's bad candle must not keep it open.

    Raises InvalidValue when the account has already decided on a later candle (an account's history has one direction),
    or is traded by another strategy.
    """
    watch, account, at = Stopwatch(), reader.account, clock.at
    identity = decision_id(account.name, pair, reader.market.last_close_time(pair, at))
    if _find(journal, identity):
        return _carry_out(identity, account, at, journal, executor, repeated=True)
    refuse_the_past(account.name, at, journal)
    account.ensure_open(at)
    failures = StepFailures()
    with failures.catch("halts"):
        _begin_halts(account, account.valuation(at), rules.limits, journal)
    watch.lap("halts")
    settled = Execution()
    with failures.catch("settle"):
        settled = executor.carry_out(account.name, at)
    watch.lap("settle")
    market: MarketInputs | None = None
    with failures.catch("gather"):
        market = reader.market_inputs(pair, clock)
    for_exit = market or reader.market_inputs_for_exit(pair, clock)
    watch.lap("gather")
    with journal.exclusive(account.name):
        if _find(journal, identity) is None:
            refuse_the_past(account.name, at, journal)
            refuse_another_strategy(account.name, for_exit.dataset, at, journal)
            decision = _decide(market, for_exit, reader, rules, failures=failures, journal=journal)
            watch.lap("decide")
            journal.record_decision(
                {**decision.receipt, **_facts(watch, settled, failures)}, decision.intent, decision.cancels
            )
            is_new = True
        else:
            is_new = False
    return _carry_out(identity, account, at, journal, executor, repeated=not is_new)


def _decide(
    market: MarketInputs | None,
    for_exit: MarketInputs,
    reader: InputReader,
    rules: DecisionRules,
    failures: "StepFailures",
    journal: Journal,
) -> Decision:
    """Close what was hit; else begin the halts that are due and decide on everything, unless an earlier step failed."""
    exit_inputs = reader.exit_inputs(for_exit)
    protective = protective_exit(exit_inputs, rules) if exit_inputs else None
    if protective:
        return protective
    failures.raise_first()
    assert market is not None
    begin_due_halts(reader.account, market.valuation, rules.limits, journal)
    return decide(reader.inputs(market), rules)


def _facts(watch: "Stopwatch", settled: Execution, failures: "StepFailures") -> dict[str, Any]:
    unfinished = [*failures.descriptions, *settled.problems]
    return {
        "timings_ms": watch.milliseconds,
        "settled": settled.facts(),
        **({"unfinished": unfinished} if unfinished else {}),
    }


def _carry_out(
    identity: str,
    account: AccountReader,
    at: datetime,
    journal: Journal,
    executor: Executor,
    *,
    repeated: bool,
) -> ExecutedDecision:
    """Carry out what the journal holds, never what was only computed; also after a repeat: the first may have died."""
    execution = executor.carry_out(account.name, at)
    intent = journal.intent(identity)
    order = journal.order(intent.intent_id) if intent else None
    snapshot, problem = (None, "") if repeated else save_snapshot(account, at, journal)
    return ExecutedDecision(
        journal.decision(identity), order, repeated, execution, snapshot, snapshot_problem=problem
    )


def _begin_halts(account: AccountReader, valuation: Valuation, limits: Limits, journal: Journal) -> None:
    """Begin due halts in a transaction of their own, before anything is sent or decided: they outlive this process."""
    with journal.exclusive(account.name):
        begin_due_halts(account, valuation, limits, journal)


def begin_due_halts(account: AccountReader, valuation: Valuation, limits: Limits, journal: Journal) -> None:
    """Record what stops trading now. The account is locked by the caller.

    A losing streak is found in the fills themselves, a drawdown through the stored peak, so that nothing depends on
    this having run before.
    """
    covered = valuation.covering(journal.positions(account.name))
    now = account.snapshot(valuation.at, covered)
    levels = EquityLevels(
        now["equity"], journal.raise_peak(account.name, now["equity"]), now["opening_equity"]
    )
    trades = closed_trades(journal.fills(account.name, of_positions=True), covered.prices)
    due = due_halts(
        levels,
        trades,
        journal.halts(account.name),
        limits=limits,
        now=valuation.at,
        candle=account.market.universe.timeframe.duration,
    )
    journal.begin_halts(account.name, due)


def save_snapshot(
    account: AccountReader, at: datetime, journal: Journal
) -> tuple[dict[str, Any] | None, str]:
    """Store the portfolio at `at` and return it; without one, why there is none.

    It never raises: what was decided and ordered stands, whatever the portfolio cannot be valued for.
    """
    try:
        snapshot, _ = account.results(at)
        journal.save_snapshot(account.name, at, snapshot)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return snapshot, ""


def _find(journal: Journal, identity: str) -> dict[str, Any] | None:
    try:
        return journal.decision(identity)
    except NotStored:
        return None


class StepFailures:
    """Errors of steps that must not keep a position open whose protection was hit; they stop any other decision."""

    def __init__(self) -> None:
        self._errors: list[tuple[str, Exception]] = []

    @contextmanager
    def catch(self, name: str) -> Iterator[None]:
        """Keep the error of the step `name` for later."""
        try:
            yield
        except Exception as error:
            self._errors.append((name, error))

    def raise_first(self) -> None:
        """Raise the error of the first step that failed, if any."""
        for _, error in self._errors:
            raise error

    @property
    def descriptions(self) -> list[str]:
        return [f"{name}: {type(error).__name__}: {error}" for name, error in self._errors]


class Stopwatch:
    """Milliseconds per stage, for the receipt."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.milliseconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Record the time since the last lap under the stage's name."""
        now = self._clock()
        self.milliseconds[stage] = round((now - self._last) * 1000, 3)
        self._last = now
