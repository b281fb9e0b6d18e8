"""When to connect again: back-off with jitter, inside the budget of connections that the venue grants.

The budget is the venue's, whoever of us connects: its file is shared by all processes of one machine.
"""

import fcntl
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from streaming.feeds import ConnectionRules, Feed
from trading.errors import InvalidValue, UnusableHome

HEADROOM = 0.2  # of the budget is left to others behind the same address, and to people
INSTANT = (
    3  # retries without a pause after a drop, where the venue asks for less than POLITE before the second one
)
POLITE = 1.0  # seconds; a venue that wants such a first pause wants it before each attempt
SETTLED = 60.0  # seconds: a connection that lived so long was a good one
LARGEST_DOUBLING = 32


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended. `least`: seconds that the venue asked to wait."""

    opened: bool
    lived: float = 0.0  # seconds
    maintenance: bool = False
    least: float = 0.0


class Budget:
    """Attempts in the venue's rolling window, in a small file that all processes share. Times are Unix seconds."""

    def __init__(self, folder: Path, name: str, rules: ConnectionRules) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise InvalidValue(
                f"connection budget {name!r}: allowed are lower-case letters, digits, . _ and -"
            )
        self._file = folder / f"{name}.attempts"
        self._window = rules.window.total_seconds()
        self._most = max(1, math.floor(rules.attempts * (1 - HEADROOM)))

    def take(self, now: float) -> float:
        """0 when the attempt is entered and may begin; else the seconds to wait before asking again.

        UnusableHome when the file cannot be read or written: connecting blindly could get the address banned.
        """
        try:
            with self._locked():
                made = self._made(now)
                if len(made) >= self._most:
                    self._write(made)
                    return made[-self._most] + self._window - now
                self._write([*made, now])
                return 0.0
        except OSError as error:
            raise UnusableHome(
                f"{self._file} counts the connections and cannot be used ({error}): make its folder writable"
            ) from error

    def _made(self, now: float) -> list[float]:
        """Ascending. What lies ahead of a clock that was set back counts from now on."""
        try:
            lines = self._file.read_bytes().split()
        except FileNotFoundError:
            return []
        made = (min(_time(line, now), now) for line in lines)
        return sorted(time for time in made if time > now - self._window)

    def _write(self, made: list[float]) -> None:
        writing = self._file.with_suffix(".writing")
        writing.write_text("".join(f"{time!r}\n" for time in made))
        os.replace(writing, self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _time(line: bytes, now: float) -> float:
    """A line that cannot be read was an attempt, too: it counts as made now."""
    try:
        time = float(line)
    except ValueError:
        return now
    return time if math.isfinite(time) else now


def budget_of(feed: Feed, folder: Path) -> Budget:
    """One for all end points of a venue's domain; an exchange on localhost has one of its own."""
    try:
        host = (urlsplit(feed.url).hostname or "").lower()
    except ValueError as error:
        raise InvalidValue(f"{feed.venue}: its address cannot be read: {error}") from None
    labels = host.split(".")
    domain = host if labels[-1].isdecimal() else ".".join(labels[-2:])
    return Budget(folder, re.sub(r"[^a-z0-9._-]", "-", f"{feed.venue}-{domain}"), feed.rules)


class Attempts:
    """The pauses of one session: none after the first drops, then longer and longer until a connection lives."""

    def __init__(self, rules: ConnectionRules, random: Random, budget: Budget | None = None) -> None:
        self._rules = rules
        self._random = random
        self._budget = budget
        self._failures = 0

    def take(self, now: float) -> float:
        """As `Budget.take`; may wait for another process for a moment."""
        return 0.0 if self._budget is None else self._budget.take(now)

    def pause(self, ending: Ending) -> float:
        """Seconds to wait before the next attempt: full jitter, so that a crowd does not come back at once."""
        if ending.lived >= SETTLED:
            self._failures = 0
        self._failures += 1
        first = self._rules.first_pause.total_seconds()
        polite = first if first >= POLITE else 0.0
        least = max(ending.least, polite)
        if ending.maintenance:
            least = max(least, self._rules.maintenance_pause.total_seconds())
        if ending.opened and not least and self._failures <= INSTANT:
            return 0.0
        doubled = first * 2 ** min(self._failures - 1, LARGEST_DOUBLING)
        return least + self._random.uniform(0, min(doubled, self._rules.longest_pause.total_seconds()))
