"""Follows the bus for one messenger: each record is judged, and what a person should get is sent."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from streaming.alerting.filter import AlertFilter, Verdict
from streaming.alerting.limits import AlertLimits
from streaming.alerting.messenger import Messenger
from streaming.alerting.notices import TOPICS, notice_of
from streaming.messages import AlertMessage
from trading.ports import Record


class AlertSink:
    """A sink whose group remembers what one messenger has got, so that one that is away holds up no other.

    While something is held back for a summary nothing is committed: a process that dies in that minute loses nothing,
    and the next one sends again what was sent in it.
    """

    topics = TOPICS

    def __init__(
        self,
        messenger: Messenger,
        limits: AlertLimits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._messenger = messenger
        self._filter = AlertFilter(limits)
        self._now, self._monotonic = now, monotonic
        self._done: dict[tuple[str, int], int] = {}  # the newest offset of each topic and partition

    @property
    def group(self) -> str:
        return f"alerts.{self._messenger.name}"

    @property
    def holds(self) -> bool:
        """Return whether records wait for a summary."""
        return self._filter.holds

    def write(self, records: Sequence[Record]) -> None:
        """Tell of the records. MessengerUnreachable: those before are done and are passed over when they come again."""
        for record in records:
            place = (record.topic, record.partition)
            if record.offset > self._done.get(place, -1):
                if (notice := notice_of(record)) is not None:
                    self._tell(notice)
                self._done[place] = record.offset
        self.idle()

    def idle(self) -> None:
        """Send the summary that is due."""
        if summary := self._filter.summary(self._monotonic(), self._now()):
            self._messenger.send(summary)
            self._filter.note_summary()

    def _tell(self, notice: AlertMessage) -> None:
        age = (self._now() - notice.at).total_seconds()
        verdict = self._filter.judge(notice, age, self._monotonic())
        if verdict is Verdict.SEND:
            repeats = self._filter.repeats(notice)
            more = f" (and {repeats} more times since this was last sent)" if repeats else ""
            self._messenger.send(replace(notice, text=notice.text + more))
        self._filter.note(notice, verdict, self._monotonic())
