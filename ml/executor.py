"""Carries a decision out: settle, decide, commit, then place. Nothing leaves the process before it is committed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any

from ml.decision import Rules, decide, decision_id
from ml.knowledge import Knowledge
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Order
from trading.portfolio import closed_trades
from trading.ports import Journal, Venue
from trading.risk.halts import Standing, due_halts
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

    Raises InvalidValue when the account has already decided on a later candle: an account's history has one direction.
    """
    watch = Stopwatch()
    at = as_of or knowledge.now()
    identity = decision_id(knowledge.account.name, pair, knowledge.closed_by(pair, at))
    if earlier := _find(journal, identity):
        return Executed(earlier, _place(identity, journal, venue), repeated=True)
    _refuse_the_past(knowledge.account.name, at, journal)
    knowledge.ensure_account(at)
    venue.settle(knowledge.account.name)
    watch.lap("settle")
    begin_halts(knowledge, rules.limits, at, journal)
    watch.lap("halts")
    known = knowledge.at(pair, at)
    watch.lap("gather")
    decided = decide(known, rules)
    watch.lap("decide")
    first = journal.record_decision(decided.receipt | {"timings_ms": watch.milliseconds}, decided.intent)
    order = _place(identity, journal, venue)
    journal.save_snapshot(known.account, known.decided_at.date(), knowledge.snapshot(known.decided_at))
    return Executed(journal.decision(identity), order, repeated=not first)


def begin_halts(knowledge: Knowledge, limits: Limits, at: datetime, journal: Journal) -> None:
    """Write down what stops trading now, before anything is decided: a killed process finds it when it is back.

    A losing streak is found in the fills themselves, a drawdown through the kept peak, so that nothing depends on
    this having run before.
    """
    account = knowledge.account.name
    now = knowledge.snapshot(at)
    standing = Standing(now["equity"], journal.raise_peak(account, now["equity"]), now["opening_equity"])
    trades = closed_trades(journal.fills(account), knowledge.prices(at))
    journal.begin_halts(account, due_halts(standing, trades, journal.halts(account), limits, at))


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
