"""Run a sink as a thread: poll, write, commit. It holds one batch at a time; a slow sink shows as lag."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from streaming.messages import origin_of
from streaming.sinks import GatheringSink, HoldingSink, IdleSink, Sink, StartAgain
from streaming.sinks.dead_letters import letter_of
from trading.errors import InvalidCandles, InvalidMessage, InvalidValue, LeaseLost, MarketloomError
from trading.ports import Bus, Consumer, Record

BATCH = 1000  # records that are in memory at once
WAIT_SECONDS = 0.5  # for the first record; also how long a stop may take while nothing comes
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts, doubled each time, with jitter
REFUSED = (InvalidMessage, InvalidValue, InvalidCandles)  # by the record's own fault, for ever
# What nobody foresaw of a record. It is kept as a dead letter and can be sent again; the others go on.
UNFORESEEN = (TypeError, ValueError, OverflowError, RecursionError)


class SinkMetrics(Protocol):
    """What a sink tells about its work; called from its thread, must not block and must not raise."""

    def written(self, group: str, records: int, seconds: float) -> None:
        """Note a batch that is done, its dead letters included, and how long that took."""

    def lag(self, group: str, lag: Mapping[str, int]) -> None:
        """Note the records per topic that wait for the group."""

    def dead_letters(self, group: str, count: int, reason: str) -> None:
        """Note records that were put aside; `reason` is the last one's."""

    def failed(self, group: str, error: Exception, again_in: float) -> None:
        """Note a failure, and the seconds until the next attempt."""


class NoMetrics:
    def written(self, group: str, records: int, seconds: float) -> None: ...

    def lag(self, group: str, lag: Mapping[str, int]) -> None: ...

    def dead_letters(self, group: str, count: int, reason: str) -> None: ...

    def failed(self, group: str, error: Exception, again_in: float) -> None: ...


class SinkRunner:
    """Starts and stops one sink. Every MarketloomError is a reason to try again later; any other error ends the thread
    and is `error` then: the process should end too, and begin anew."""

    def __init__(
        self,
        bus: Bus,
        sink: Sink,
        outbox: Bus,
        metrics: SinkMetrics | None = None,
        batch: int = BATCH,
        first_pause: float = FIRST_PAUSE,
        origin: str | None = None,
    ) -> None:
        """`outbox` takes the dead letters: it is durable also where the bus is a broker in memory.

        With an `origin` the sink is a group of that origin and gets no other's records: the streams of two venues may
        share a bus, and neither takes what belongs to the other's stores.
        """
        self._bus, self._sink, self._outbox = bus, sink, outbox
        self._origin = origin
        self._batch, self._first_pause = batch, first_pause
        self._metrics: SinkMetrics = metrics or NoMetrics()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{sink.group}", daemon=True)
        self._consumer: Consumer | None = None
        self.error: BaseException | None = None

    @property
    def group(self) -> str:
        """Return the name by which people know it."""
        return self._sink.group

    @property
    def consumer_group(self) -> str:
        """Return the name of its offsets on the bus."""
        return self.group if self._origin is None else f"{self.group}.{self._origin}"

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def measure(self) -> None:
        """Tell how far the sink is behind, also while it is held up; for another thread than its own."""
        consumer = self._consumer
        if consumer is not None:
            with suppress(MarketloomError):  # its own next poll says what is wrong
                self._metrics.lag(self.group, consumer.lag())

    def stop(self, timeout: float | None = None) -> bool:
        """End after the batch in hand, which is committed if it can be written now; False if that took too long."""
        self._stopping.set()
        self._thread.join(timeout)
        return not self.alive

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._follow()
        except BaseException as error:
            self.error = error
            if isinstance(error, Exception):
                self._metrics.failed(self.group, error, float("inf"))

    def _follow(self) -> None:
        """Be a member of the group until the sink stops, or begins again with what is not committed."""
        consumer = self._consumer = self._join()
        if consumer is None:
            return
        try:
            while not self._stopping.is_set():
                if not self._step(consumer):
                    return
        except StartAgain as wanted:
            self._metrics.failed(self.group, wanted, 0.0)
            topics = wanted.topics
            self._try(lambda: consumer.rewind(topics))
        finally:
            self._consumer = None
            with suppress(MarketloomError):
                consumer.close()

    def _join(self) -> Consumer | None:
        joined: list[Consumer] = []
        self._try(lambda: joined.append(self._bus.consumer(self.consumer_group, self._sink.topics)))
        return joined[0] if joined else None

    def _step(self, consumer: Consumer) -> bool:
        """Take one batch; False when the sink was stopped before it could."""
        polled: list[Record] = []
        if not self._try(lambda: polled.extend(consumer.poll(self._batch, WAIT_SECONDS))):
            return False
        if not polled:
            return self._idle(consumer)
        if isinstance(self._sink, GatheringSink) and not self._gather(consumer, polled, self._sink):
            return False
        began = time.monotonic()
        own = [record for record in polled if self._is_own(record)]
        if own and not self._take(own):
            return False
        if not self._commit(consumer):
            return False
        self._metrics.written(self.group, len(polled), time.monotonic() - began)
        return True

    def _idle(self, consumer: Consumer) -> bool:
        sink = self._sink
        if isinstance(sink, IdleSink) and not self._try(sink.idle):
            return False
        return not isinstance(sink, HoldingSink) or self._commit(consumer)

    def _commit(self, consumer: Consumer) -> bool:
        """Commit what was polled, unless the sink is not done with it; False when the runner was stopped first."""
        if isinstance(self._sink, HoldingSink) and self._sink.holds:
            return True
        try:
            return self._try(consumer.commit, give_up=LeaseLost)
        except LeaseLost as error:
            self._metrics.failed(self.group, error, 0.0)  # another member has the records, or they come again
            return True

    def _gather(self, consumer: Consumer, polled: list[Record], sink: GatheringSink) -> bool:
        """Poll more until the sink has enough, it is time, or the thread is to stop: then it writes what it has.

        After a failed poll what was polled before comes again; the sink takes it twice.
        """
        write_at = time.monotonic() + sink.gather_seconds
        while (missing := sink.gather_records - len(polled)) > 0 and not self._stopping.is_set():
            left = write_at - time.monotonic()
            if left <= 0:
                break
            wait = min(left, WAIT_SECONDS)
            if not self._try(lambda missing=missing, wait=wait: polled.extend(consumer.poll(missing, wait))):  # type: ignore[misc]
                return False
        return True

    def _is_own(self, record: Record) -> bool:
        return self._origin is None or origin_of(record) in (self._origin, None)

    def _take(self, records: Sequence[Record]) -> bool:
        """Write the records, those that the sink refuses to the dead letters; in halves, to find which these are."""
        try:
            return self._try(lambda: self._sink.write(records), give_up=REFUSED)
        except (*REFUSED, *UNFORESEEN) as error:
            if len(records) == 1:
                return self._put_aside(records[0], error)
        half = len(records) // 2
        return self._take(records[:half]) and self._take(records[half:])

    def _put_aside(self, record: Record, reason: Exception) -> bool:
        why = str(reason) if isinstance(reason, REFUSED) else f"{type(reason).__name__}: {reason}"
        letter = letter_of(self.group, record, why)
        if not self._try(lambda: self._outbox.publish([letter])):
            return False
        self._metrics.dead_letters(self.group, 1, why)
        return True

    def _try(
        self,
        action: Callable[[], None],
        give_up: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> bool:
        """Do it until it succeeds, pausing after each error of Marketloom's; False when the sink was stopped first."""
        pause = self._first_pause
        while True:
            try:
                action()
                return True
            except give_up:
                raise
            except MarketloomError as error:
                seconds = pause * random.uniform(0.5, 1.0)
                self._metrics.failed(self.group, error, seconds)
            if self._stopping.wait(seconds):
                return False
            pause = min(2 * pause, LONGEST_PAUSE)
