"""What the guard leaves to threads: a cycle never waits for a database or a venue."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

import structlog

from trading.errors import LeaseLost

RETRY_SECONDS = 1.0  # after a failure ...
MAX_PAUSE = 5.0  # ... doubling up to this: a venue's calls are counted
LOG = structlog.get_logger("stream.guard")
Given = TypeVar("Given")
Result = TypeVar("Result")


class Errand(Generic[Given, Result]):
    """Does one thing again and again, one at a time: when it is asked for, and at the latest after `every` seconds.

    What fails is tried again a second later, with what is due then, and then ever later up to MAX_PAUSE. LeaseLost
    alone is raised: another process does the work.
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[], Given | None],
        act: Callable[[Given], Result],
        done: Callable[[Given, Result], object],
        *,
        failed: Callable[[str], object],
        every: float | None = None,
    ) -> None:
        """`prepare` and `done` run on the event loop, `act` in a thread. None from `prepare`: nothing is to be done."""
        self.name = name
        self._prepare = prepare
        self._act = act
        self._done = done
        self._failed = failed
        self._every = every
        self._wanted = asyncio.Event()
        if every is not None:
            self._wanted.set()  # at once, and then every so often
        self.failing = ""  # why the last attempt failed
        self.finished_at: float | None = None  # by `time.monotonic`

    def ask(self) -> None:
        """Do it soon; once more where it is being done."""
        self._wanted.set()

    async def run(self, pool: Executor) -> None:
        """Work until it is cancelled."""
        pause = RETRY_SECONDS
        while True:
            await self._wait()
            given = self._prepare()
            if given is None:
                pause, self.failing = RETRY_SECONDS, ""  # what has failed is not to be done any more
                continue
            try:
                result = await asyncio.get_running_loop().run_in_executor(pool, self._act, given)
            except LeaseLost:
                raise
            except Exception as error:
                self._note(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE)
                self.ask()
            else:
                pause = RETRY_SECONDS
                self.failing, self.finished_at = "", time.monotonic()
                self._done(given, result)

    async def _wait(self) -> None:
        try:
            # Not `wait_for`: where the event comes in the moment of a cancellation, that one forgets the cancellation.
            async with asyncio.timeout(self._every):
                await self._wanted.wait()
        except TimeoutError:
            return
        self._wanted.clear()

    def _note(self, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}"
        if not self.failing:
            LOG.warning("failed, it is tried again", errand=self.name, why=why)
        self.failing = why
        self._failed(self.name)
