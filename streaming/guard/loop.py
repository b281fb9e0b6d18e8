"""The guard at work: a look every 100 ms on the event loop, everything else in threads."""

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol, TypeVar

import structlog

from streaming.guard.duty import SwitchDuty
from streaming.guard.equity import DayOpening
from streaming.guard.errand import RETRY_SECONDS, Errand
from streaming.guard.guard import Findings, Guard
from streaming.guard.history import HistoryDuty
from streaming.guard.left_work import LeftWork
from streaming.guard.metrics import GuardMetrics
from streaming.guard.report import GuardReport
from trading.errors import LeaseLost, NotStored
from trading.execution import Execution
from trading.ports import AccountView, AccountWatch
from trading.risk import HaltKind

CYCLE = 0.1  # seconds between two looks
READ_SECONDS = 1.0  # between two readings of the account, where nobody told of a change
OPENING_SECONDS = 60.0  # between two readings of the day's opening ...
OPENING_PAUSE = 5.0  # ... and while it is not known
CLOSE_SECONDS = 5.0  # between two attempts to order the same exits, or two looks at what became of them
KILL_SECONDS = 1.0  # between two attempts to enter a kill
STOP_SECONDS = 5.0  # that work in threads may take at the end
THREADS = 8
LOG = structlog.get_logger("stream.guard")
Result = TypeVar("Result")


class Orders(Protocol):
    """The account's `OrderExecutor`."""

    def order_exits(self, at: datetime) -> bool:
        """Return whether there is something new to carry out."""

    def carry_out(self, at: datetime) -> Execution: ...


class GuardLoop:
    """Looks, and has done what follows: the journal learns it, exits are ordered, the executor carries them out."""

    def __init__(
        self,
        guard: Guard,
        watch: AccountWatch,
        orders: Orders,
        *,
        opening: Callable[[datetime], DayOpening],
        killed: Callable[[], str],
        switch: SwitchDuty | None,
        history: HistoryDuty,
        now: Callable[[], datetime],
        alert: Callable[[str, str, str], object],
        metrics: GuardMetrics,
    ) -> None:
        """`now` is the account's clock, `killed` says why trading must stop, `alert` takes kind, severity and text.

        `switch` None: the venue has none.
        """
        self._guard = guard
        self._watch = watch
        self._killed = killed
        self._switch = switch
        self._history = history
        self._now = now
        self._report = GuardReport(guard, metrics, alert)
        self._metrics = metrics
        failed = self._note_failure
        self._read: Errand[bool, AccountView | None] = Errand(
            "read",
            lambda: True,
            self._reading,
            lambda _, view: self._learn(view),
            failed=failed,
            every=READ_SECONDS,
        )
        self._opening: Errand[datetime, DayOpening | None] = Errand(
            "day's opening",
            self._if_open,
            lambda at: _or_none(lambda: opening(at)),
            lambda _, found: self._learn_opening(found),
            failed=failed,
            every=OPENING_SECONDS,
        )
        self._save: Errand[Findings, None] = Errand(
            "save", self._unsaved, self._commit, lambda findings, _: self._saved(findings), failed=failed
        )
        self._close: Errand[datetime, bool] = Errand(
            "order exits",
            self._if_open,
            orders.order_exits,
            lambda _, ordered: self._exits_ordered(ordered),
            failed=failed,
        )
        self._carry: Errand[datetime, Execution] = Errand(
            "carry out",
            self._if_open,
            orders.carry_out,
            lambda _, result: self._carried_out(result),
            failed=failed,
        )
        self._left = LeftWork(self._carry.ask)
        self._close_at = self._kill_at = self._opening_at = -math.inf
        self._follow_at = time.monotonic()
        self._closing: frozenset[object] = frozenset()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. LeaseLost when another process streams by now."""
        pool = ThreadPoolExecutor(THREADS, "guard")
        ended = threading.Event()
        parts = [
            *(each.run(pool) for each in self._errands),
            self._look_again_and_again(stop),
            self._listen(pool, ended),
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            done, _ = await asyncio.wait(
                tasks, return_when=asyncio.FIRST_COMPLETED
            )  # the looks end at `stop`
            for task in done:
                task.result()
        finally:
            ended.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            pool.shutdown(wait=False, cancel_futures=True)
            with suppress(
                TimeoutError
            ):  # what a thread has begun it ends; any other process could go on with it
                await asyncio.wait_for(asyncio.to_thread(pool.shutdown), STOP_SECONDS)
            self._watch.close()
            self._history.close()

    @property
    def _errands(self) -> list[Errand[Any, Any]]:
        errands: list[Errand[Any, Any]] = [
            self._read, self._opening, self._save, self._close, self._carry, self._history.errand,
        ]  # fmt: skip
        return errands if self._switch is None else [*errands, *self._switch.errands]

    # --- on the event loop

    async def _look_again_and_again(self, stop: asyncio.Event) -> None:
        due = time.monotonic()
        while not stop.is_set():
            began = time.monotonic()
            self._metrics.late_seconds.observe(max(began - due, 0.0))
            self.look(began)
            self._metrics.cycle_seconds.observe(time.monotonic() - began)
            due = max(due + CYCLE, began)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(due - time.monotonic(), 0.0))

    def look(self, now: float) -> None:
        """Make one look, and ask for what follows."""
        guard, view = self._guard, self._guard.view
        if view is None:
            return
        at = self._now()
        guard.look(at, now)
        if guard.findings(now):
            self._save.ask()
        self._ask_to_close(now)
        self._ask_to_follow(now)
        if now - self._kill_at > KILL_SECONDS and self._is_newly_killed(view, at):
            self._kill_at = now
            self._carry.ask()  # the executor begins the halt
        if now - self._opening_at > OPENING_PAUSE and not guard.knows_opening(at):
            self._opening_at = now
            self._opening.ask()
        if self._switch is not None:
            self._switch.look(view)
        self._history.look(at)
        self._report.note_look(now)

    def _ask_to_close(self, now: float) -> None:
        closing = frozenset(self._guard.to_close)
        if closing and (closing != self._closing or now - self._close_at > CLOSE_SECONDS):
            self._close_at = now
            self._close.ask()
        self._closing = closing

    def _exits_ordered(self, ordered: bool) -> None:
        if ordered:
            self._carry.ask()

    def _ask_to_follow(self, now: float) -> None:
        """Ask after exits that are under way for longer: whoever has sent them may be gone."""
        if not any(each.leaving for each in self._guard.held):
            self._follow_at = now
        elif now - self._follow_at > CLOSE_SECONDS:
            self._follow_at = now
            self._carry.ask()

    def _is_newly_killed(self, view: AccountView, at: datetime) -> bool:
        if not self._killed():
            return False
        return not any(each.kind is HaltKind.KILL_SWITCH and each.binds(at) for each in view.halts)

    def _carried_out(self, result: Execution) -> None:
        """Ask again where something is left: also where another sender may not have seen what was wanted."""
        for problem in result.problems:
            LOG.warning("problem", why=problem)
        self._left.note(result)

    def _learn(self, view: AccountView | None) -> None:
        if view is None:
            return
        if self._guard.view is None:
            self._carry.ask()  # a process before this one may have left something on its way
        self._guard.learn(view)

    def _learn_opening(self, opening: DayOpening | None) -> None:
        if opening is not None:
            self._guard.learn_opening(opening)

    def _if_open(self) -> datetime | None:
        return None if self._guard.view is None else self._now()

    def _unsaved(self) -> Findings | None:
        return self._guard.findings(time.monotonic()) or None

    def _saved(self, findings: Findings) -> None:
        self._report.note_stored(findings)
        self._guard.stored(findings, time.monotonic())
        self._carry.ask()
        self._ask_to_close(time.monotonic())

    # --- in threads

    def _reading(self, _: bool) -> AccountView | None:
        return _or_none(self._watch.read)

    def _commit(self, findings: Findings) -> None:
        self._watch.commit(findings.positions, findings.halts)

    async def _listen(self, pool: ThreadPoolExecutor, ended: threading.Event) -> None:
        """Read the account at every change that the store tells of; once a second while it tells nothing."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            loop.call_soon_threadsafe(self._read.ask)

        while True:
            try:
                await loop.run_in_executor(pool, self._watch.wait, changed, ended)
            except LeaseLost:
                raise
            except Exception as error:
                LOG.warning("changes of the account are not told", why=str(error))
                self._note_failure("changes")
            await asyncio.sleep(RETRY_SECONDS)

    # --- what people see

    def facts(self) -> dict[str, Any]:
        """Return the guard's state as JSON values."""
        return {
            **self._report.facts(),
            "failing": {each.name: each.failing for each in self._errands if each.failing},
            "switch": None if self._switch is None else self._switch.facts(),
        }

    def health(self) -> list[str]:
        """Return why the guard is not well."""
        return [f"guard, {each.name}: {each.failing}" for each in self._errands if each.failing]

    def _note_failure(self, errand: str) -> None:
        self._metrics.errors.labels(errand).inc()


def _or_none(read: Callable[[], Result]) -> Result | None:
    try:
        return read()
    except NotStored:
        return None  # the account has not opened, or what the day opened with is not known yet
