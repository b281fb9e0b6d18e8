"""Tells a person of two Dagster daemons on one database: each asks for every run, and Dagster only logs it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dagster as dg

LOOK_SECONDS = 15.0  # between two looks; each daemon reports twice as rarely
REMEMBERED = 8  # daemons of the past that are known again


@dataclass
class DaemonReports:
    """What the daemons of the instance in DAGSTER_HOME report."""

    _instance: dg.DagsterInstance | None = field(default=None, repr=False)

    def newest(self) -> dict[str, str]:
        """Return the id of the daemon that reported last, by its kind of work."""
        if self._instance is None:
            self._instance = dg.DagsterInstance.get()
        return {work: each.daemon_id or "" for work, each in self._instance.get_daemon_heartbeats().items()}


@dataclass
class DaemonWatch:
    """Looks at who reports. A daemon that reports again after another one did runs beside it."""

    read: Callable[[], Mapping[str, str]]  # by its kind of work: the id of the daemon that reported last
    publish: Callable[[str, str], None]  # severity and text; StoreUnreachable
    monotonic: Callable[[], float] = time.monotonic
    _looked_at: float = -math.inf
    _seen: dict[str, list[str]] = field(default_factory=dict)  # oldest first
    _told: frozenset[str] = frozenset()

    def look(self) -> None:
        """Look, unless the last look was a moment ago."""
        now = self.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        for work, daemon in self.read().items():
            seen = self._seen.setdefault(work, [])
            if daemon in seen[:-1]:
                self._tell(frozenset({daemon, seen[-1]}))
            if daemon not in seen[-1:]:
                self._seen[work] = [*(each for each in seen if each != daemon), daemon][-REMEMBERED:]

    def _tell(self, daemons: frozenset[str]) -> None:
        if daemons == self._told:
            return
        self.publish(
            "error",
            "two Dagster daemons use this database: each asks for every run. A candle is decided on and ordered for "
            "once all the same, other work is done twice. End one of them: another `marketloom dev` with the same "
            f"PostgreSQL, or a `dagster-daemon` (they report as {' and '.join(sorted(daemons))})",
        )
        self._told = daemons
