"""When the guard goes on with what the executor has left: soon, and ever later while that stays the same."""

import asyncio
import re
from collections.abc import Callable

from trading.execution import Execution

FIRST_SECONDS = 2.0  # until what is left is tried again ...
MAX_SECONDS = (
    60.0  # ... doubling up to this while the problems are the same: each look-up is paid for by the key
)
NUMBER = re.compile(r"\d[\d.:]*")


class LeftWork:
    """Asks again after an execution that has left something. One ask waits at a time; any other ask is independent."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._problems: frozenset[str] = frozenset()  # of the last execution, without their numbers
        self._pause = FIRST_SECONDS
        self._waiting: asyncio.TimerHandle | None = None

    def note(self, result: Execution) -> None:
        """Take what an execution came to; on the event loop."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        seconds = self._seconds(result)
        if result.leaves_work:
            self._waiting = asyncio.get_running_loop().call_later(seconds, self._ask)

    def _seconds(self, result: Execution) -> float:
        """Return the pause after this result. What another one sends, or had no turn, says nothing of the problems."""
        if result.sent_by_another or result.is_unfinished:
            return FIRST_SECONDS
        problems = frozenset(NUMBER.sub("#", each) for each in result.problems)
        stands = problems and problems == self._problems
        self._pause = min(2 * self._pause, MAX_SECONDS) if stands else FIRST_SECONDS
        self._problems = problems
        return self._pause
