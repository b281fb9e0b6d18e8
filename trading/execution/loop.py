"""Carries out one call's work: looks at the ledger, starts what is due, and looks again until nothing is left or comes.

What waits for the venue runs in threads, so that an exit which another process commits meanwhile goes out at once.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from trading.errors import LeaseLost
from trading.execution import tasks
from trading.execution.cancelling import stop_entries
from trading.execution.tasks import Task
from trading.execution.work import Work
from trading.orders import OrderKind

THREADS = 16
MAX_OTHERS = 8  # threads that anything but exits may use
MAX_PAUSE = 2.0  # seconds
MAX_PATIENCE = 4  # times the rules' patience, however much news there is
# These have a turn in every call: a look that waits for the key's budget may take all its time.
ALWAYS = (tasks.EXIT, tasks.PROTECT)


@dataclass(slots=True)
class Tried:
    """How a task ended last, and when it is its turn again."""

    done: bool
    news: int
    due: float
    pause: float


class Loop:
    """One call's."""

    def __init__(
        self,
        work: Work,
        lost: threading.Event,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._work = work
        self._lost = lost
        self._monotonic = monotonic
        self._sleep = sleep
        self._begin = self._news_at = monotonic()
        self._news = 0
        self._tried: dict[tuple[str, str], Tried] = {}
        self._running: dict[tuple[str, str], tuple[Task, Future[tuple[bool, int]]]] = {}
        self._errors: list[Exception] = []
        self._pool = ThreadPoolExecutor(THREADS, "orders")

    def run(self) -> None:
        """Return when nothing is left, nothing comes any more, or the lease is lost. The first error is raised last."""
        with self._pool, suppress(LeaseLost):
            while self._turn():
                pass
            if not self._lost.is_set():
                self._restore_stops()
        if self._errors:
            raise self._errors[0]

    def _turn(self) -> bool:
        """Start what is due; False when this call has done what it can."""
        self._collect()
        late = self._is_late()
        news = self._work.notes.news  # before looking: what comes meanwhile is worth another look
        wanted = [] if self._lost.is_set() else self._wanted()
        due = [task for task in wanted if self._is_due(task, late)]
        for task in due:
            self._start(task, news)
        if self._running:
            futures = [future for _, future in self._running.values()]
            wait(futures, self._work.rules.poll_seconds, FIRST_COMPLETED)
            return True
        if due:
            return True
        if late or not self._work.rules.real_time or all(self._is_done(task) for task in wanted):
            self._work.notes.unfinished = any(task.key not in self._tried for task in wanted)
            return False
        self._sleep(self._work.rules.poll_seconds)
        return True

    def _wanted(self) -> Sequence[Task]:
        """List what there is to do, most urgent first; entries while no exit is on its way."""
        work = self._work
        stop_entries(work)
        orders = work.orders()
        wanted = [*tasks.exits(work, orders), *tasks.cancels(work, orders)]
        first = tasks.REFRESH not in self._tried
        wanted += tasks.refreshing(work, orders, first=first, running=self._running.keys())
        if not any(task.key[0] == tasks.EXIT and self._is_urgent(task) for task in wanted):
            wanted += tasks.entries(work, orders)
        if work.notes.looked_up:
            wanted += tasks.protections(work, orders)
        return wanted

    def _is_urgent(self, task: Task) -> bool:
        return task.key in self._running or self._is_due(task, late=False)

    def _is_due(self, task: Task, late: bool) -> bool:
        if task.key in self._running:
            return False
        tried = self._tried.get(task.key)
        if task.key[0] != tasks.EXIT and len(self._running) >= MAX_OTHERS:
            return False
        if tried is None:
            return not late or task.key[0] in ALWAYS
        if late:
            return False
        if task.on_news and self._work.notes.news > tried.news:
            return True
        return self._work.rules.real_time and not tried.done and self._monotonic() >= tried.due

    def _is_done(self, task: Task) -> bool:
        return task.key in self._tried and self._tried[task.key].done

    def _is_late(self) -> bool:
        """Return whether nothing has come for so long that the rest is left to the next call."""
        now, patience = self._monotonic(), self._work.rules.patience.total_seconds()
        if self._news != self._work.notes.news:
            self._news, self._news_at = self._work.notes.news, now
        return now - self._news_at > patience or now - self._begin > MAX_PATIENCE * patience

    def _start(self, task: Task, news: int) -> None:
        if self._work.rules.real_time:
            self._running[task.key] = (task, self._pool.submit(self._act, task, news))
        else:
            self._finish(task, *self._act(task, news))

    def _act(self, task: Task, news: int) -> tuple[bool, int]:
        """Return whether the task is done, and which news it knew. One pair's error does not stop the others."""
        done = False
        self._work.notes.begin_task(news)
        try:
            done = task.act()
        except LeaseLost:
            self._lost.set()
        except Exception as error:
            self._work.notes.problem(" ".join(task.key), f"{task.key}: {type(error).__name__}: {error}")
            self._errors.append(error)
            done = True
        return done, self._work.notes.known_to_task()

    def _collect(self) -> None:
        for task, future in list(self._running.values()):
            if future.done():
                del self._running[task.key]
                self._finish(task, *future.result())

    def _finish(self, task: Task, done: bool, news: int) -> None:
        earlier = self._tried.get(task.key)
        pause = task.pause if earlier is None or news > earlier.news else min(2 * earlier.pause, MAX_PAUSE)
        self._tried[task.key] = Tried(done, news, self._monotonic() + pause, pause)

    def _restore_stops(self) -> None:
        """Put the stop back where an exit could not be sent: the next call takes it away again."""
        orders = self._work.orders()
        for waiting in orders.waiting(OrderKind.EXIT):
            if self._work.notes.looked_up:
                self._act(tasks.protection(self._work, waiting.intent.pair), self._news)
