"""Carries a decision out: settle, decide, commit, then place. Nothing leaves the process before it is committed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from ml.decision.decide import Decision, Rules, decide, decision_id, protective_exit
from ml.decision.reader import Knowledge
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Order
from trading.portfolio import closed_trades
from trading.ports import Journal, Venue
from trading.risk.halts import EquityLevels, due_halts
from trading.risk.limits import Limits


@dataclass(frozen=True, slots=True)
class Executed:
    receipt: dict[str, Any]
    order: Order | None
    repeated: bool  # the decision had been made before: nothing new was decided or ordered


def execute(
    pair: Pair, as_of: datetime | None, knowledge: Knowledge, rules: Rules, journal: Journal, venue: Venue
) -> Executed:
    """One decision for the newest candle known at `as_of`; the same candle again changes nothing.

    A position whose stop or target was hit is closed from the journal and the pair's own candles alone, before
    anything else is read: a lost champion or another pair's bad candle must not keep it open.

    Raises InvalidValue when the account has already decided on a later candle: an account's history has one direction.
    """
    watch = Stopwatch()
    at = as_of or knowledge.now()
    identity = decision_id(knowledge.account.name, pair, knowledge.closed_by(pair, at))
    if earlier := _find(journal, identity):
        return Executed(earlier, _place(identity, journal, venue), repeated=True)
    _refuse_the_past(knowledge.account.name, at, journal)
    knowledge.ensure_account(at)
    unfinished = Unfinished()
    with unfinished.step("settle"):
        venue.settle(knowledge.account.name)
    watch.lap("settle")
    with unfinished.step("halts"):
        begin_halts(knowledge, rules.limits, at, journal)
    watch.lap("halts")
    held = knowledge.holding(pair, at)
    leaving = protective_exit(held, rules) if held else None
    decided = leaving or _asked(pair, at, knowledge, rules, unfinished, watch)
    watch.lap("decide")
    facts = {"timings_ms": watch.milliseconds} | (
        {"unfinished": unfinished.words} if unfinished.words else {}
    )
    first = journal.record_decision(decided.receipt | facts, decided.intent)
    order = _place(identity, journal, venue)
    try:
        journal.save_snapshot(knowledge.account.name, at.date(), knowledge.snapshot(at))
    except Exception:
        if not leaving:  # an exit was made without the prices of other pairs; the next decision tells of them
            raise
    return Executed(journal.decision(identity), order, repeated=not first)


def _asked(
    pair: Pair, at: datetime, knowledge: Knowledge, rules: Rules, unfinished: "Unfinished", watch: "Stopwatch"
) -> Decision:
    """Everything gathered, everyone asked. What could not be finished stops here."""
    unfinished.stop()
    known = knowledge.at(pair, at)
    watch.lap("gather")
    return decide(known, rules)


def begin_halts(knowledge: Knowledge, limits: Limits, at: datetime, journal: Journal) -> None:
    """Write down what stops trading now, before anything is decided: a killed process finds it when it is back.

    A losing streak is found in the fills themselves, a drawdown through the kept peak, so that nothing depends on
    this having run before.
    """
    account = knowledge.account.name
    now = knowledge.snapshot(at)
    levels = EquityLevels(now["equity"], journal.raise_peak(account, now["equity"]), now["opening_equity"])
    trades = closed_trades(journal.fills(account), knowledge.prices(at))
    journal.begin_halts(account, due_halts(levels, trades, journal.halts(account), limits, at))


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


class Unfinished:
    """Errors of steps that must not keep a position open whose protection was hit; any other decision stops."""

    def __init__(self) -> None:
        self._errors: list[tuple[str, Exception]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._errors.append((name, error))

    def stop(self) -> None:
        for _, error in self._errors:
            raise error

    @property
    def words(self) -> list[str]:
        return [f"{name}: {type(error).__name__}: {error}" for name, error in self._errors]


class Stopwatch:
    """Milliseconds per stage, for the receipt."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.milliseconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = self._clock()
        self.milliseconds[stage] = round((now - self._last) * 1000, 3)
        self._last = now
