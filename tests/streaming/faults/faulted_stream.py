"""A stream that something happens to; in the end everything recorded equals the sandbox's export."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestration.commands.compare_tape import Recorded, TapeComparison, compare_tape
from orchestration.commands.sandbox_truth import SandboxTruth
from streaming.bus.postgres import PostgresBus
from streaming.sinks import Sink
from streaming.sinks.analytical import AnalyticalSink
from streaming.sinks.operational import OperationalSink
from streaming.sinks.runner import SinkRunner
from tests.streaming.faults.forked import Forker
from tests.streaming.recorder.running_stream import ORIGIN, PATIENCE, RunningStream
from tests.streaming.sandbox.running import sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, CROSS, STARTS, XRP, opening
from trading.market import Pair, Timeframe
from trading.stores.postgres import PostgresMarketData
from trading.stores.postgres.outbox import PostgresEventLog
from trading.stores.tape_lake import LakeTape

PAIRS = (BTC, XRP, CROSS)
TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)
MINUTE = timedelta(minutes=1)
LOOK_SECONDS = 0.2  # each look reads all trades of the day
STEP = 15.0  # seconds of market time; several trades of a pair make a minute
DATASET = "sandbox"


@dataclass
class FaultedStream(RunningStream):
    """A stream, forked where there is a forker. `settle` at the end of each test."""

    forker: Forker | None = None

    def start(self, *, wait: bool = True) -> None:
        if self.forker is None:
            super().start(wait=wait)
            return
        self.home.mkdir(parents=True, exist_ok=True)
        self.process = self.forker.start(self.environment, self.log_file)
        if wait:
            self.until(self.is_live)

    @property
    def truth(self) -> SandboxTruth:
        return SandboxTruth(self.exchange.url)

    def play(self, seconds: float, step: float = STEP) -> None:
        """Let market time pass, in steps."""
        while seconds > 0:
            self.exchange.advance(min(step, seconds))
            seconds -= step

    def play_until(self, fact: Callable[[], Any], patience: float = PATIENCE) -> None:
        """Let market time pass until the fact holds."""
        deadline = time.monotonic() + patience
        while not fact():
            assert time.monotonic() < deadline, f"not within {patience} s: {fact}\n{self.log_text()[-4000:]}"
            self.play(STEP)

    def market_now(self) -> datetime:
        return self.truth.market_now()

    # --- what must hold

    def settle(
        self, since: datetime = STARTS, pairs: Sequence[Pair] = PAIRS, patience: float = PATIENCE
    ) -> TapeComparison:
        """Wait until all that has happened is closed and proven, stop the stream, and compare."""
        self.wait_until_level(pairs, patience)
        until = self.wait_until_closed(pairs)
        self.wait_until_level(pairs, patience)
        assert self.stop() == 0, self.log_text()
        return self.compare(since, until, pairs)

    def compare(self, since: datetime, until: datetime, pairs: Sequence[Pair] = PAIRS) -> TapeComparison:
        """Let the sinks finish as the next start would, then compare every store."""
        self.drain()
        found = self._comparison(since, until, pairs)
        assert found.complete, "\n".join(found.differences()) + "\n" + self.log_text()[-4000:]
        return found

    def _comparison(self, since: datetime, until: datetime, pairs: Sequence[Pair]) -> TapeComparison:
        return compare_tape(self.truth, self.recorded(), ORIGIN, pairs, TIMEFRAMES, since, until)

    def wait_until_closed(self, pairs: Sequence[Pair] = PAIRS) -> datetime:
        """Let time go on until every minute that is over now is closed; returns the end of the last one."""
        until = self.market_now().replace(second=0, microsecond=0)
        self.play(75)
        self.until(lambda: all(self.closed_until(pair) >= until for pair in pairs))
        return until

    def until_complete(self, until: datetime, since: datetime = STARTS) -> None:
        """Wait until the running sinks have brought everything into the stores."""
        found = self._comparison(since, until, PAIRS)
        deadline = time.monotonic() + PATIENCE
        while not found.complete:
            assert time.monotonic() < deadline, "\n".join(found.differences()) + self.log_text()[-4000:]
            time.sleep(0.5)
            found = self._comparison(since, until, PAIRS)

    def wait_until_level(self, pairs: Sequence[Pair] = PAIRS, patience: float = PATIENCE) -> None:
        """Wait until the newest trade of every pair is published and no gap is open; time goes on meanwhile."""
        deadline = time.monotonic() + patience
        while True:
            self.play(STEP)
            with suppress(TimeoutError):
                self._level_soon(pairs)
                return
            assert self.process is not None
            assert self.process.poll() is None, (
                f"ended with {self.process.returncode}:\n{self.log_text()[-4000:]}"
            )
            assert time.monotonic() < deadline, (
                f"not level: {self.behind(pairs)}, {self.open_gaps()}\n{self.log_text()[-6000:]}"
            )

    def _level_soon(self, pairs: Sequence[Pair]) -> None:
        """TimeoutError when it has to be asked after the next trade."""
        deadline = time.monotonic() + 2
        while self.behind(pairs) or any(self.open_gaps(pair) for pair in pairs):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(LOOK_SECONDS)

    def behind(self, pairs: Sequence[Pair] = PAIRS) -> dict[str, tuple[int, int]]:
        """Newest trade published and newest trade of the tape, of each pair where they differ."""
        found = {}
        for pair in pairs:
            [(newest,)] = self.rows(
                "SELECT coalesce(max((payload->>'trade_id')::bigint), 0) FROM bus_event "
                "WHERE topic = 'trades' AND key = %s",
                pair.key,
            )
            true = int(self.exchange.running.exchange.tape(pair).last_id)
            if newest < true:
                found[str(pair)] = newest, true
        return found

    def closed_until(self, pair: Pair) -> datetime:
        """Close time of the newest 1-minute candle on the bus."""
        [(newest,)] = self.rows(
            "SELECT coalesce(max((payload->>'open_time')::timestamptz), 'epoch') FROM bus_event "
            "WHERE topic = 'ohlcv-raw' AND key = %s AND payload->>'timeframe' = '1m'",
            pair.key,
        )
        opened: datetime = newest
        return opened + MINUTE

    # --- the stores

    @property
    def tape(self) -> LakeTape:
        return LakeTape(self.home / "tape" / ORIGIN)

    @property
    def market_data(self) -> PostgresMarketData:
        return PostgresMarketData(self.dsn, ORIGIN, DATASET, Timeframe.M1)

    def recorded(self) -> Recorded:
        return Recorded(PostgresEventLog(self.dsn), self.market_data, self.tape)

    def drain(self) -> None:
        """Let the sinks of the two stores take what the stopped process had not written yet: nothing is left then.

        They go on from the offsets that it committed, as those of its next start would: what it lost stays lost.
        """
        bus = PostgresBus(self.dsn)
        sinks: list[Sink] = [OperationalSink(self.market_data), AnalyticalSink(self.tape, gather_seconds=0)]
        for sink in sinks:
            runner = SinkRunner(bus, sink, bus, None, origin=ORIGIN)
            runner.start()
            try:
                self._until_read(sink)
            finally:
                assert runner.stop(PATIENCE), f"{sink.group} does not end"
            assert runner.error is None, runner.error

    def _until_read(self, sink: Sink) -> None:
        deadline = time.monotonic() + PATIENCE
        while lag := self.lag(sink.group):
            assert time.monotonic() < deadline, f"{sink.group} has not read {lag} records"
            time.sleep(0.02)

    def lag(self, group: str) -> int:
        """Records on the bus that the group of this venue has not committed."""
        offsets = self.rows('SELECT topic, "offset" FROM bus_groups WHERE "group" = %s', f"{group}.{ORIGIN}")
        assert offsets, f"{group} has never read anything"
        [(records,)] = self.rows(
            "SELECT count(*) FROM unnest(%s::text[], %s::bigint[]) AS read (topic, until) "
            'JOIN bus_event USING (topic) WHERE bus_event."offset" > until',
            [topic for topic, _ in offsets],
            [until for _, until in offsets],
        )
        return int(records)

    def dead_letters(self) -> list[dict[str, Any]]:
        return [row[0] for row in self.rows("SELECT payload FROM bus_event WHERE topic LIKE '%%dead%%'")]


@contextmanager
def faulted_stream(
    forker: Forker | None,
    folder: Path,
    dsn: str,
    *,
    settings: Mapping[str, str] | None = None,
    begins: datetime = STARTS,
    **sandbox_changes: Any,
) -> Iterator[FaultedStream]:
    """Run a sandbox whose market began at `begins`, ten minutes ago, and a stream of it that is live.

    The market stands still. What a connection repeats reaches back to its first trade.
    """
    opens = opening(begins=begins, starts=begins + 10 * MINUTE)
    changes = {"tier": "unhurried", **sandbox_changes}
    with sandbox(folder / "sandbox", opens=opens, **changes) as exchange:
        made = FaultedStream(exchange, folder / "home", dsn, dict(settings or {}), forker=forker)
        try:
            made.start()
            yield made
        finally:
            made.kill()


@contextmanager
def market_going_on(stream: FaultedStream, speed: float) -> Iterator[None]:
    """Let the market run by itself inside the block."""
    stream.truth.set_speed(speed)
    try:
        yield
    finally:
        stream.truth.set_speed(0)
