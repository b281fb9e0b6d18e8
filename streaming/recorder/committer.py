"""Batches into the outbox, one commit at a time: the next batch collects while the one before is on its way."""

import asyncio
import time
from collections.abc import Callable

import structlog

from streaming.recorder.batch import Batch, Outbox
from streaming.recorder.metrics import StreamMetrics
from trading.errors import StoreUnreachable

MAX_WAITING = 20_000  # messages that wait for their commit; then the sockets wait
FIRST_PAUSE, MAX_PAUSE = 0.1, 2.0  # seconds between two attempts while PostgreSQL is away
LOG = structlog.get_logger("stream.commit")


class Committer:
    """Commits what `cut` returns, in order, and holds its callers up while too much waits.

    While PostgreSQL is away the same batch is tried again until it is durable, so memory is bounded by what one batch
    and `MAX_WAITING` messages need; the venue's messages wait in the socket.
    """

    def __init__(
        self,
        outbox: Outbox,
        cut: Callable[[], Batch],
        waiting: Callable[[], int],
        metrics: StreamMetrics,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._outbox = outbox
        self._cut = cut
        self._waiting = waiting
        self._metrics = metrics
        self._max_waiting = max_waiting
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = self._released = False
        self.failing_since: float | None = None  # by `time.monotonic`; None while commits succeed
        self.last_commit: float | None = None

    def wake(self) -> None:
        """Commit what waits as soon as the commit before has ended."""
        self._work.set()

    async def make_room(self) -> None:
        """Wait while too much waits for its commit. That is the back-pressure: the caller reads nothing meanwhile."""
        if self._waiting() < self._max_waiting:
            return
        if self._released:
            return
        began = time.monotonic()
        self._room.clear()
        await self._room.wait()
        self._metrics.back_pressure.inc(time.monotonic() - began)

    def release(self) -> None:
        """Hold nobody up any more: everything ends."""
        self._released = True
        self._room.set()

    def stop(self) -> None:
        """Let `run` end once nothing waits any more."""
        self._stopping = True
        self._work.set()

    async def run(self) -> None:
        """Commit until `stop`. LeaseLost when another stream took over, and whatever `cut` raises."""
        while True:
            await self._work.wait()
            self._work.clear()
            batch = self._cut()
            while not batch.is_empty:
                await self._commit(batch)
                batch = self._cut()
            self._metrics.queue.set(0)
            if self._stopping:
                return

    async def _commit(self, batch: Batch) -> None:
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await asyncio.to_thread(
                    self._outbox.commit,
                    batch.messages,
                    batch.checkpoints,
                    list(batch.gaps.values()),
                    list(batch.repaired.values()),
                )
            except StoreUnreachable as error:
                self._note_failure(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE)
            else:
                self._note_commit(batch, began)
                return

    def _note_failure(self, error: StoreUnreachable) -> None:
        self._metrics.commit_retries.inc()
        self._metrics.queue.set(self._waiting())
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            LOG.warning("PostgreSQL is away; what is received waits", why=str(error))

    def _note_commit(self, batch: Batch, began: float) -> None:
        now = self.last_commit = time.monotonic()
        if self.failing_since is not None:
            LOG.info("PostgreSQL is back", away_seconds=round(now - self.failing_since, 1))
            self.failing_since = None
        metrics = self._metrics
        metrics.commit_seconds.observe(now - began)
        metrics.batch_messages.observe(len(batch.messages))
        if batch.oldest is not None:
            metrics.durable_seconds.observe(now - batch.oldest)
        topics: dict[str, int] = {}
        for message in batch.messages:
            topics[message.topic] = topics.get(message.topic, 0) + 1
        for topic, count in topics.items():
            metrics.published.labels(topic).inc(count)
        metrics.queue.set(self._waiting())
        self._room.set()
