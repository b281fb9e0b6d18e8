"""Commits one after the other, bounded memory while the database is away, and nothing that is lost or doubled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from streaming.recorder import committer
from streaming.recorder.batch import Batch
from streaming.recorder.committer import Committer
from streaming.recorder.metrics import StreamMetrics
from tests.streaming.recorder.recorder_setup import MemoryOutbox
from trading.errors import LeaseLost
from trading.ports import Message

pytestmark = pytest.mark.anyio


class Source:
    """Messages that wait for their commit."""

    def __init__(self) -> None:
        self.batch = Batch()
        self.next = 0

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.batch.messages.append(Message("trades", "BTC-USDT", b"%d" % self.next))
            self.next += 1

    def cut(self) -> Batch:
        batch, self.batch = self.batch, Batch()
        return batch

    def waiting(self) -> int:
        return len(self.batch.messages)


class Rig:
    def __init__(self) -> None:
        self.source, self.outbox, self.metrics = Source(), MemoryOutbox(), StreamMetrics()
        self.committer = Committer(
            self.outbox, self.source.cut, self.source.waiting, self.metrics, max_waiting=10
        )

    @property
    def durable(self) -> list[int]:
        return [int(each.value) for each in self.outbox.messages]

    async def until_durable(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.durable) < count:
                await asyncio.sleep(0.005)

    async def feed(self, count: int) -> None:
        """What a session's handler does with each event."""
        for _ in range(count):
            self.source.add()
            self.committer.wake()
            await self.committer.make_room()


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(committer, "FIRST_PAUSE", 0.01)
    rig = Rig()
    task = asyncio.create_task(rig.committer.run())
    try:
        yield rig
    finally:
        rig.outbox.away = False
        rig.committer.stop()
        await asyncio.wait_for(task, 20)


async def test_everything_is_committed_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as rig:
        await rig.feed(100)
        await rig.until_durable(100)
        assert rig.durable == list(range(100))


async def test_the_end_waits_until_everything_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(monkeypatch) as rig:
        rig.source.add(5)
    assert rig.durable == list(range(5))


async def test_while_the_database_is_away_the_feeder_waits_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as rig:
        rig.outbox.away = True
        feeding = asyncio.create_task(rig.feed(1000))
        async with asyncio.timeout(20):
            while rig.outbox.attempts < 5:
                await asyncio.sleep(0.005)
        assert not feeding.done()
        assert rig.source.next < 40  # of 1000: one batch on its way, and those that wait
        assert rig.committer.failing_since is not None
        rig.outbox.away = False
        await feeding
        await rig.until_durable(1000)
        assert rig.durable == list(range(1000))
        assert rig.committer.failing_since is None
    exposition = rig.metrics.exposition().decode()
    [waited] = [
        line
        for line in exposition.splitlines()
        if line.startswith("marketloom_stream_back_pressure_seconds_total")
    ]
    assert float(waited.split()[1]) > 0


async def test_a_lost_lease_ends_the_commits() -> None:
    rig = Rig()

    def lost(*_: object) -> None:
        raise LeaseLost("another stream has taken over")

    rig.outbox.commit = lost  # type: ignore[method-assign]
    rig.source.add()
    rig.committer.wake()
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(rig.committer.run(), 20)
