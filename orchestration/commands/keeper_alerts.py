"""The keeper's own alerts: what it finds out of order, and what it could not do."""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streaming.bus.postgres import PostgresBus
from trading.bus_messages import alert
from trading.errors import StoreUnreachable

LOG = logging.getLogger("marketloom.keeper")
MAX_UNPUBLISHED = 100  # alerts that wait for PostgreSQL
_NUMBER = re.compile(r"\d+([.,:]\d+)*")


def publish_alert(dsn: str, kind: str, severity: str, text: str, about: str | None = None) -> None:
    """Publish an alert of the keeper. StoreUnreachable while PostgreSQL is away.

    `about` None: it is one of its own; empty: the same text within a while tells nothing new.
    """
    at = datetime.now(UTC)
    subject = f"{kind} {at.isoformat()}" if about is None else about
    bus = PostgresBus(dsn)
    try:
        bus.publish([alert("keeper", kind, severity, text, at, about=subject)])
    finally:
        bus.close()


@dataclass
class StandingProblems:
    """Tells of what a piece of work cannot do: each problem once while it stands, and when all of them are solved.

    What cannot be published, since PostgreSQL is away, is published with the next look once it is back.
    """

    publish: Callable[[str, str], None]  # severity and text; StoreUnreachable
    _standing: dict[str, frozenset[str]] = field(default_factory=dict)  # by work
    _unpublished: list[tuple[str, str]] = field(default_factory=list)

    def note(self, work: str, problems: Iterable[str]) -> None:
        """Note how the work has ended. Two problems that differ in numbers alone are the same one."""
        by_words = {_NUMBER.sub("#", each): each for each in problems}
        before = self._standing.get(work, frozenset())
        new = [("warning", f"{work}: {each}") for words, each in by_words.items() if words not in before]
        solved = [("info", f"{work}: everything works again")] if before and not by_words else []
        self._standing[work] = frozenset(by_words)
        self._unpublished = [*self._unpublished, *new, *solved][:MAX_UNPUBLISHED]
        self._flush()

    def _flush(self) -> None:
        while self._unpublished:
            try:
                self.publish(*self._unpublished[0])
            except StoreUnreachable as error:
                LOG.warning("an alert waits for PostgreSQL: %s", error)
                return
            del self._unpublished[0]
