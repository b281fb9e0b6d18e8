"""Executes a decision: settle, decide, commit, then place. No order leaves the process before it is committed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from ml.decision.account_reader import AccountReader
from ml.decision.decide import Decision, DecisionRules, decide, protective_exit
from ml.decision.decision_id import decision_id
from ml.decision.reader import InputReader
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Order
from trading.portfolio import closed_trades
from trading.ports import Journal, Venue
from trading.risk.halts import EquityLevels, due_halts
from trading.risk.limits import Limits


@dataclass(frozen=True, slots=True)
class ExecutedDecision:
    receipt: dict[str, Any]
    order: Order | None
    repeated: bool  # the decision had been made before: nothing new was decided or ordered
    snapshot: dict[str, Any] | None = (
        None  # of the portfolio, with its results; None when none could be taken
    )
    snapshot_problem: str = ""  # why there is no snapshot


def execute_decision(
    pair: Pair,
    as_of: datetime | None,
    reader: InputReader,
    rules: DecisionRules,
    journal: Journal,
    venue: Venue,
) -> ExecutedDecision:
    """Make one decision for the newest candle known at `as_of`; the same candle again changes nothing.

    A position whose stop or target was hit is closed from the journal and the pair's own candles alone, before
    anything else is read: a lost champion or another pair's bad candle must not keep it open.

    Raises InvalidValue when the account has already decided on a later candle: an account's history has one direction.
    """
    watch = Stopwatch()
    account = reader.account
    at = as_of or reader.now()
    identity = decision_id(account.name, pair, reader.market.last_close_time(pair, at))
    if earlier := _find(journal, identity):
        return ExecutedDecision(earlier, _place(identity, journal, venue), repeated=True)
    _refuse_the_past(account.name, at, journal)
    account.ensure_open(at)
    failures = StepFailures()
    with failures.catch("settle"):
        venue.settle(account.name)
    watch.lap("settle")
    with failures.catch("halts"):
        record_due_halts(account, rules.limits, at, journal)
    watch.lap("halts")
    exit_inputs = reader.exit_inputs(pair, at)
    protective = protective_exit(exit_inputs, rules) if exit_inputs else None
    decision = protective or _decide_on_all_inputs(pair, at, reader, rules, failures=failures, watch=watch)
    watch.lap("decide")
    facts = {"timings_ms": watch.milliseconds} | (
        {"unfinished": failures.descriptions} if failures.descriptions else {}
    )
    is_new = journal.record_decision(decision.receipt | facts, decision.intent)
    order = _place(identity, journal, venue)
    snapshot, problem = save_snapshot(account, at, journal)
    return ExecutedDecision(journal.decision(identity), order, not is_new, snapshot, problem)


def _decide_on_all_inputs(
    pair: Pair,
    at: datetime,
    reader: InputReader,
    rules: DecisionRules,
    failures: "StepFailures",
    watch: "Stopwatch",
) -> Decision:
    """Gather all inputs and decide, unless an earlier step failed."""
    failures.raise_first()
    inputs = reader.inputs(pair, at)
    watch.lap("gather")
    return decide(inputs, rules)


def record_due_halts(account: AccountReader, limits: Limits, at: datetime, journal: Journal) -> None:
    """Record what stops trading now, before anything is decided: it must outlive a killed process.

    A losing streak is found in the fills themselves, a drawdown through the stored peak, so that nothing depends on
    this having run before.
    """
    now = account.snapshot(at)
    levels = EquityLevels(
        now["equity"], journal.raise_peak(account.name, now["equity"]), now["opening_equity"]
    )
    trades = closed_trades(journal.fills(account.name), account.market.prices(at))
    due = due_halts(
        levels,
        trades,
        journal.halts(account.name),
        limits=limits,
        now=at,
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


def _place(identity: str, journal: Journal, venue: Venue) -> Order | None:
    """Place the intent that is in the journal, never one that was only computed."""
    intent = journal.intent(identity)
    return venue.place(intent) if intent else None


def _find(journal: Journal, identity: str) -> dict[str, Any] | None:
    try:
        return journal.decision(identity)
    except NotStored:
        return None


def _refuse_the_past(account: str, at: datetime, journal: Journal) -> None:
    newest = journal.decisions(account, limit=1)
    if newest and datetime.fromisoformat(newest[0]["decided_at"]) > at:
        raise InvalidValue(
            f"account {account} has decided at {newest[0]['decided_at']}: it cannot decide as of "
            f"{at.isoformat()} any more; use another [venue] account to try the past again"
        )


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
