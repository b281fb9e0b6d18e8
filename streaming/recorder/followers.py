"""The sinks that run in the streaming process, as threads beside its event loop."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from streaming.recorder.alerts import WARNING
from streaming.recorder.metrics import StreamMetrics
from streaming.sinks.runner import SinkRunner

STOP_SECONDS = 10.0  # that a sink may take for the batch in hand
TICK = 0.5
LAG_SECONDS = 5.0  # between two looks how far the sinks are behind
MAX_LAG = 10_000  # records that a sink may be behind before a person is told
MAX_FAILING = 30.0  # seconds for which a store may be away before the stream is not well
LOG = structlog.get_logger("stream.sinks")


class FollowerMetrics:
    """What sinks tell about their work, from their own threads: figures, and log lines where something is wrong."""

    def __init__(self, metrics: StreamMetrics) -> None:
        self._metrics = metrics
        self.lags: dict[str, dict[str, int]] = {}
        self.failing: dict[str, str] = {}  # why, of those whose last attempt failed
        self.failing_since: dict[str, float] = {}  # by `time.monotonic`
        self.records: dict[str, int] = {}

    def written(self, group: str, records: int, seconds: float) -> None:
        self.failing.pop(group, None)
        self.failing_since.pop(group, None)
        self.records[group] = self.records.get(group, 0) + records
        self._metrics.sink_records.labels(group).inc(records)
        self._metrics.sink_seconds.labels(group).observe(seconds)

    def lag(self, group: str, lag: Mapping[str, int]) -> None:
        self.lags[group] = dict(lag)
        for topic, records in lag.items():
            self._metrics.lag.labels(group, topic).set(records)

    def dead_letters(self, group: str, count: int, reason: str) -> None:
        self._metrics.dead_letters.labels(group).inc(count)
        LOG.error("records put aside", group=group, count=count, why=reason)

    def failed(self, group: str, error: Exception, again_in: float) -> None:
        if group not in self.failing:
            LOG.warning(
                "cannot go on for now", group=group, why=str(error), again_in_seconds=round(again_in, 1)
            )
        self.failing[group] = str(error)
        self.failing_since.setdefault(group, time.monotonic())


class Followers:
    """Starts the sinks, watches that none has died, and stops them. They follow the bus, each at its own pace."""

    def __init__(
        self,
        runners: Sequence[SinkRunner],
        metrics: FollowerMetrics,
        alert: Callable[[str, str, str], None],
    ) -> None:
        """`alert` takes kind, severity and text, on the event loop."""
        self._runners = runners
        self._metrics = metrics
        self._alert = alert
        self._started = False

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop`. What ends a sink that nobody expected is raised: the process begins anew."""
        self._started = True
        for runner in self._runners:
            runner.start()
        await asyncio.gather(self._watch(stop), self._measure(stop))

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for runner in self._runners:
                if runner.error is not None:
                    LOG.error("a sink has ended", group=runner.group, why=repr(runner.error))
                    raise runner.error
            await _pause(stop, TICK)

    async def _measure(self, stop: asyncio.Event) -> None:
        """Not in the sinks' own threads: one that is held up could not say so."""
        while not stop.is_set():
            for runner in self._runners:
                if stop.is_set():
                    return  # each may take as long as its broker is away
                await asyncio.to_thread(runner.measure)
            self._tell_lag()
            await _pause(stop, LAG_SECONDS)

    def _tell_lag(self) -> None:
        for group, lags in list(self._metrics.lags.items()):
            if (behind := sum(lags.values())) > MAX_LAG:
                why = self._metrics.failing.get(group, "")
                reason = f": {why}" if why else ""
                self._alert("lag", WARNING, f"{group} is {behind} records behind{reason}")

    def stop(self) -> None:
        """Let every sink finish its batch; what it has not done comes again at the next start."""
        if not self._started:
            return
        deadline = time.monotonic() + STOP_SECONDS
        for runner in self._runners:
            runner.stop(0)  # all of them end at the same time
        for runner in self._runners:
            if not runner.stop(max(0.0, deadline - time.monotonic())):
                LOG.warning("did not end in time; its batch comes again", group=runner.group)

    def health(self) -> list[str]:
        """Return which sinks have written nothing for a while, and why."""
        now = time.monotonic()
        return [
            f"{group} has written nothing for {now - since:.0f} s: {self._metrics.failing.get(group, '')}"
            for group, since in sorted(self._metrics.failing_since.copy().items())
            if now - since > MAX_FAILING
        ]

    def facts(self) -> dict[str, Any]:
        """Return the state of each sink as JSON values."""
        return {
            runner.group: {
                "lag": self._metrics.lags.get(runner.group, {}),
                "records": self._metrics.records.get(runner.group, 0),
                "failing": self._metrics.failing.get(runner.group, ""),
            }
            for runner in self._runners
        }


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
