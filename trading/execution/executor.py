"""The executor: looks at the ledger and the venue, and does what is missing; killed anywhere, the next call goes on."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from itertools import count

from trading.errors import InvalidValue
from trading.execution.cancelling import request_cancels, stop_entries
from trading.execution.exits import is_unsellable, order_exit, was_refused_lately
from trading.execution.lease_keeper import kept
from trading.execution.loop import Loop
from trading.execution.result import Execution
from trading.execution.rules import Candles, ExecutionRules
from trading.execution.work import Notes, Work
from trading.market import Pair
from trading.orders import OrderStatus
from trading.ports import Journal, Lease, Venue

FLATTEN_ROUNDS = 3


def no_reason() -> str:
    """Say that nothing speaks against entries."""
    return ""


def no_checkpoint(name: str) -> None:
    """Do nothing at a step boundary."""


class OrderExecutor:
    """One per process is enough; every method may be called by several threads and processes at once.

    The account's lease decides who sends. Whatever goes wrong at the venue ends in the result's problems; errors of
    the journal are raised.
    """

    def __init__(
        self,
        journal: Journal,
        venue: Venue,
        candles: Candles,
        rules: ExecutionRules,
        *,
        holder: str,
        only: str = "",
        kill_requested: Callable[[], str] = no_reason,
        entries_refused: Callable[[], str] = no_reason,
        checkpoint: Callable[[str], None] = no_checkpoint,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`holder` names this process for all time: host, process id and a random part.

        `only`: the account whose orders the venue takes; InvalidValue for those of another, empty: for none.

        `kill_requested`: why all new positions must stop, empty while nobody asks for it. `entries_refused`: why those
        that were decided may not be sent any more, which nobody has to end. `checkpoint` is called with
        the name of every step boundary.
        """
        self._journal = journal
        self._venue = venue
        self._candles = candles
        self._rules = rules
        self._holder = holder
        self._only = only
        self._kill_requested = kill_requested
        self._entries_refused = entries_refused
        self._checkpoint = checkpoint
        self._monotonic = monotonic
        self._sleep = sleep
        self._now = now
        self._calls = count(1)

    def carry_out(self, account: str, at: datetime) -> Execution:
        """Do everything that the account's orders and positions need at `at`, the account's clock.

        Books what happened, cancels, sends exits, then entries, follows them for the rules' patience and protects every
        position. The same call is right before a decision (to settle) and after it. Returns at once when there is
        nothing to do. While another process holds the lease, orders that wait to be sent are waited for.
        """
        notes = Notes()
        return _result(notes, by_another=not self._work_off(account, at, notes))

    def flatten(
        self, account: str, at: datetime, cause: str, pairs: Collection[Pair] | None = None
    ) -> Execution:
        """Close every position (of `pairs`; None: all) without a decision, entries that still wait cancelled first.

        What cannot be closed now stays in the ledger as an exit, and every later call tries again.
        """
        notes = Notes()
        work = self._work(account, at, notes)
        request_cancels(work, cause, pairs)
        sent = True
        for turn in range(FLATTEN_ROUNDS):  # an entry may buy while it is being cancelled
            held = [each.pair for each in self._journal.positions(account)]
            ordered = [order_exit(work, each, cause) for each in held if pairs is None or each in pairs]
            if turn == 0 or any(ordered):
                sent = self._work_off(account, at, notes)
        return _result(notes, by_another=not sent)

    def order_exits(self, account: str, at: datetime) -> bool:
        """Commit an exit of each position that has a reason to be closed and none under way; cancel what opens it.

        True when there is something new to carry out. Nothing is sent: `carry_out` does. A pair whose exit the venue
        has just refused waits for the rules' `protected_within`. Dust stays, and so does what opens its pair anew.
        """
        work = self._work(account, at, Notes())
        touched = [each for each in self._journal.positions(account) if each.exit_reason]
        leaving = [
            each for each in touched if not was_refused_lately(work, each) and not is_unsellable(work, each)
        ]
        cancelled = [request_cancels(work, each.exit_reason, [each.pair]) for each in leaving]
        ordered = [order_exit(work, each.pair, each.exit_reason) for each in leaving]
        return any([*cancelled, *ordered])

    # --- one sender at a time

    def _work_off(self, account: str, at: datetime, notes: Notes) -> bool:
        """Work under the lease, or leave it to its holder; True when it was done here, or nothing was to be done."""
        self._require_own(account)
        begin, holder = self._monotonic(), f"{self._holder}/{next(self._calls)}"
        if self._has_work(account):  # whoever sends: from now on the ledger lets no entry pass
            stop_entries(self._work(account, at, notes))
        while self._has_work(account):
            lease = self._journal.acquire_lease(account, holder, self._rules.lease_seconds)
            if lease is not None and self._run(self._work(account, at, notes, lease)):
                return True
            waited = self._monotonic() - begin
            if not self._must_wait(account, waited):
                if OrderStatus.INTENDED in self._states(account):
                    notes.problem("lease", self._why_left(account, waited))
                return False
            self._sleep(self._rules.poll_seconds)
        return True

    def _run(self, work: Work) -> bool:
        """Return False when the lease was lost: nothing more was sent then."""
        with kept(self._journal, work.lease, self._rules.lease_seconds) as lost:
            Loop(
                work,
                lost,
                monotonic=self._monotonic,
                sleep=self._sleep,
            ).run()
            return not lost.is_set()

    def _has_work(self, account: str) -> bool:
        """Return whether the account has orders or positions, or a kill is to be entered."""
        return bool(
            self._kill_requested()
            or self._journal.working_orders(account)
            or self._journal.positions(account)
        )

    def _must_wait(self, account: str, waited: float) -> bool:
        """Return whether the holder still owes something that this caller cannot go on without.

        By candles everything is owed, since a pass takes no time; in real time only what has not left yet is.
        """
        if waited > self._rules.wait_for_holder.total_seconds():
            return False
        if not self._rules.real_time:
            return True
        states = self._states(account)
        being_sent = waited <= self._rules.patience.total_seconds() and OrderStatus.SENT in states
        return OrderStatus.INTENDED in states or being_sent

    def _states(self, account: str) -> set[OrderStatus]:
        return {each.order.status for each in self._journal.working_orders(account)}

    def _why_left(self, account: str, waited: float) -> str:
        return f"another process sends the orders of {account}; waited {waited:.1f} s for it"

    def _work(self, account: str, at: datetime, notes: Notes, lease: Lease | None = None) -> Work:
        """Without a lease nothing can be sent: no holder has number 0."""
        self._require_own(account)
        return Work(
            journal=self._journal,
            venue=self._venue,
            candles=self._candles,
            rules=self._rules,
            account=account,
            at=at,
            lease=lease or Lease(account, self._holder, 0),
            checkpoint=self._checkpoint,
            kill_requested=self._kill_requested,
            entries_refused=self._entries_refused,
            machine_now=self._now,
            notes=notes,
        )

    def _require_own(self, account: str) -> None:
        if self._only and account != self._only:
            raise InvalidValue(f"orders of account {account} do not go where those of {self._only} go")


def _result(notes: Notes, *, by_another: bool) -> Execution:
    return Execution(notes.orders, notes.problems, by_another, notes.unfinished)
