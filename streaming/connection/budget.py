"""The number of connections that a venue grants, counted in a file that all processes of one machine share."""

import fcntl
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from streaming.feeds import ConnectionRules, Feed
from trading.errors import InvalidValue, UnusableHome

HEADROOM = 0.2  # of the budget is left to others behind the same address, and to people


class ConnectionBudget:
    """Attempts in the venue's rolling window, in a small file that all processes share. Times are Unix seconds."""

    def __init__(self, folder: Path, name: str, rules: ConnectionRules) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
            raise InvalidValue(
                f"connection budget {name!r}: allowed are lower-case letters, digits, . _ and -"
            )
        self._file = folder / f"{name}.attempts"
        self._window = rules.window.total_seconds()
        self._max_attempts = max(1, math.floor(rules.max_attempts * (1 - HEADROOM)))

    def take(self, now: float) -> float:
        """Return 0 when the attempt is recorded and may begin, else the seconds to wait before asking again.

        UnusableHome when the file cannot be read or written: connecting blindly could get the address banned.
        """
        try:
            with self._lock():
                attempts = self._read(now)
                if len(attempts) >= self._max_attempts:
                    self._write(attempts)
                    return attempts[-self._max_attempts] + self._window - now
                self._write([*attempts, now])
                return 0.0
        except OSError as error:
            raise UnusableHome(
                f"{self._file} counts the connections and cannot be used ({error}): make its folder writable"
            ) from error

    def _read(self, now: float) -> list[float]:
        """Return times in ascending order. What lies ahead of a clock that was set back counts from now on."""
        try:
            lines = self._file.read_bytes().split()
        except FileNotFoundError:
            return []
        attempts = (min(_parse_time(line, now), now) for line in lines)
        return sorted(time for time in attempts if time > now - self._window)

    def _write(self, attempts: list[float]) -> None:
        writing = self._file.with_suffix(".writing")
        writing.write_text("".join(f"{time!r}\n" for time in attempts))
        os.replace(writing, self._file)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _parse_time(line: bytes, now: float) -> float:
    """Return the time; a line that cannot be read was an attempt, too, and counts as made now."""
    try:
        time = float(line)
    except ValueError:
        return now
    return time if math.isfinite(time) else now


def budget_for(feed: Feed, folder: Path) -> ConnectionBudget:
    """Return the budget of all end points of a venue's domain; an exchange on localhost has one of its own."""
    try:
        host = (urlsplit(feed.url).hostname or "").lower()
    except ValueError as error:
        raise InvalidValue(f"{feed.venue}: its address cannot be read: {error}") from None
    labels = host.split(".")
    domain = host if labels[-1].isdecimal() else ".".join(labels[-2:])
    return ConnectionBudget(folder, re.sub(r"[^a-z0-9._-]", "-", f"{feed.venue}-{domain}"), feed.rules)
