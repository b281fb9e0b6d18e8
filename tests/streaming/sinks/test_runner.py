"""The loop that every sink runs in: nothing lost, nothing skipped, one batch in memory."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import pytest

from streaming.bus.postgres import PostgresBus
from streaming.messages import DEAD_LETTERS, AlertMessage, DeadLetter, TickerMessage, decode, encode
from streaming.sinks import StartAgain
from streaming.sinks.dead_letters import message_in
from streaming.sinks.runner import SinkRunner
from tests.contracts.bus_contract import message, number, take, wait_until
from tests.doubles.bus import MemoryBus
from trading.errors import StoreUnreachable, UnusableHome
from trading.ports import Bus, Message, Record

AT = datetime(2024, 3, 1, tzinfo=UTC)


class Target:
    """A sink that remembers what it wrote; `before` is called first, and may raise."""

    group = "store"

    def __init__(
        self,
        topics: tuple[str, ...] = ("trades",),
        before: Callable[[Sequence[Record]], None] = lambda records: None,
    ) -> None:
        self.topics, self.before = topics, before
        self.batches: list[list[Record]] = []

    def write(self, records: Sequence[Record]) -> None:
        self.before(records)
        self.batches.append(list(records))

    @property
    def numbers(self) -> list[int]:
        return [number(record) for batch in self.batches for record in batch]


class Notes:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.done, self.letters = 0, 0
        self.lags: list[Mapping[str, int]] = []
        self.failures: list[Exception] = []

    def written(self, group: str, records: int, seconds: float) -> None:
        assert seconds >= 0
        self.done += records

    def lag(self, group: str, lag: Mapping[str, int]) -> None:
        self.lags.append(lag)

    def dead_letters(self, group: str, count: int, reason: str) -> None:
        self.letters += count

    def failed(self, group: str, error: Exception, again_in: float) -> None:
        self.failures.append(error)


def run(bus: Bus, sink: Target, until: Callable[[SinkRunner, Notes], object], batch: int = 10) -> Notes:
    """Run the sink until the fact holds, then stop it."""
    notes = Notes()
    runner = SinkRunner(bus, sink, bus, notes, batch=batch, first_pause=0.01)
    runner.start()
    try:
        wait_until(lambda: until(runner, notes))
    finally:
        assert runner.stop(60)
    return notes


def assert_that(fact: bool) -> None:
    assert fact


def letters(bus: Bus) -> list[DeadLetter]:
    reader = bus.reader([DEAD_LETTERS], from_start=True)
    found = [decode(record, DeadLetter) for record in reader.poll(1000, 0)]
    reader.close()
    return found


@pytest.fixture
def bus() -> Bus:
    return MemoryBus()


def test_everything_is_written_once_in_batches_of_bounded_size_and_the_next_run_goes_on(bus: Bus) -> None:
    bus.publish([message(n) for n in range(95)])
    first = Target()
    notes = run(bus, first, lambda _, notes: notes.done == 95)
    assert first.numbers == [*range(95)]
    assert max(map(len, first.batches)) == 10
    bus.publish([message(n) for n in range(95, 100)])
    second = Target()
    run(bus, second, lambda _, notes: notes.done == 5)
    assert second.numbers == [*range(95, 100)]
    assert notes.failures == []


@pytest.mark.parametrize("error", [StoreUnreachable("away"), UnusableHome("the disk is full")])
def test_a_batch_whose_store_fails_comes_again_as_it_was(bus: Bus, error: Exception) -> None:
    tried: list[list[int]] = []

    def fail_three_times(records: Sequence[Record]) -> None:
        tried.append([number(each) for each in records])
        if len(tried) <= 3:
            raise error

    bus.publish([message(n) for n in range(12)])
    sink = Target(before=fail_three_times)
    notes = run(bus, sink, lambda _, notes: notes.done == 12)
    assert tried == [[*range(10)]] * 4 + [[10, 11]]
    assert sink.numbers == [*range(12)]
    assert notes.failures == [error] * 3
    assert letters(bus) == []


def test_a_record_that_nobody_foresaw_becomes_a_letter_and_the_others_are_written(bus: Bus) -> None:
    def stumble(records: Sequence[Record]) -> None:
        if 5 in map(number, records):
            raise TypeError("no such thing")

    bus.publish([message(n) for n in range(12)])
    sink = Target(before=stumble)
    run(bus, sink, lambda _, notes: notes.done == 12)
    assert sink.numbers == [n for n in range(12) if n != 5]
    [letter] = letters(bus)
    assert letter.reason == "TypeError: no such thing"
    assert message_in(letter) == message(5)


def _ticker(price: float) -> Message:
    values = dict.fromkeys(("bid_quantity", "ask", "ask_quantity", "last", "volume"))
    return encode(TickerMessage(origin="kraken", pair="BTC/USDT", bid=price, at=AT, known_at=AT, **values))


def _decode_all(records: Sequence[Record]) -> None:
    for each in records:
        decode(each, TickerMessage)


def test_what_cannot_be_read_becomes_a_dead_letter_with_its_reason_and_the_rest_is_taken(bus: Bus) -> None:
    newer = json.dumps(json.loads(_ticker(1).value) | {"version": 9}).encode()
    other = encode(
        AlertMessage(source="s", kind="k", severity="info", text="t", pair="BTC/USDT", at=AT)
    ).value
    broken = [
        newer,
        b'{"schema":"ticker","version":1,',
        b"\xff\xfe",
        other,
        _ticker(2.5).value.replace(b"2.5", b'"2.5"'),
    ]
    messages = [_ticker(float(n)) for n in range(20)]
    for place, value in zip((0, 7, 8, 13, 19), broken, strict=True):
        messages[place] = Message("ticker", "BTC-USDT", value)
    bus.publish(messages)
    sink = Target(("ticker",), _decode_all)
    notes = run(bus, sink, lambda _, notes: notes.done == 20)
    written = [decode(record, TickerMessage).bid for batch in sink.batches for record in batch]
    assert written == [float(n) for n in range(20) if n not in (0, 7, 8, 13, 19)]
    found = letters(bus)
    assert notes.letters == len(found) == 5
    assert [message_in(each) for each in found] == [Message("ticker", "BTC-USDT", value) for value in broken]
    assert [each.offset for each in found] == [1, 8, 9, 14, 20]
    assert {(each.group, each.of_topic) for each in found} == {("store", "ticker")}
    for letter, words in zip(
        found,
        ("version 9 of ticker", "cannot be read", "cannot be read", "'alert', not 'ticker'", "bid"),
        strict=True,
    ):
        assert words in letter.reason


def test_a_record_is_not_done_before_its_dead_letter_is_durable(bus: Bus) -> None:
    class FailingOutbox(MemoryBus):
        attempts = 0

        def publish(self, messages: Sequence[Message]) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise StoreUnreachable("away")
            super().publish(messages)

    outbox, notes = FailingOutbox(), Notes()
    bus.publish([Message("ticker", "BTC-USDT", b"{")])
    runner = SinkRunner(bus, Target(("ticker",), _decode_all), outbox, notes, first_pause=0.01)
    runner.start()
    wait_until(lambda: notes.done == 1)
    assert runner.stop(60)
    assert len(letters(outbox)) == 1
    assert outbox.attempts == 3


def test_stopping_ends_a_long_pause_and_leaves_the_batch_for_the_next_run(bus: Bus) -> None:
    def fail(records: Sequence[Record]) -> None:
        raise StoreUnreachable("away")

    bus.publish([message(n) for n in range(5)])
    notes = Notes()
    runner = SinkRunner(bus, Target(before=fail), bus, notes, first_pause=3600)
    runner.start()
    wait_until(lambda: notes.failures)
    assert runner.stop(60)
    successor = Target()
    run(bus, successor, lambda _, notes: notes.done == 5)
    assert successor.numbers == [*range(5)]


def test_a_batch_in_hand_is_finished_and_committed_when_the_sink_is_stopped(bus: Bus) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def block(records: Sequence[Record]) -> None:
        writing.set()
        assert go_on.wait(60)

    bus.publish([message(n) for n in range(5)])
    sink = Target(before=block)
    runner = SinkRunner(bus, sink, bus)
    runner.start()
    assert writing.wait(60)
    assert not runner.stop(0.05)
    go_on.set()
    assert runner.stop(60)
    assert sink.numbers == [*range(5)]
    consumer = bus.consumer("store", ["trades"])
    assert consumer.poll(10, 0) == []


def test_a_sink_whose_target_lost_its_data_gets_the_topic_again(bus: Bus) -> None:
    lost = iter([True])

    def lose_once(records: Sequence[Record]) -> None:
        if any(number(each) == 25 for each in records) and next(lost, False):
            raise StartAgain(["trades"], "the target is empty")

    bus.publish([message(n) for n in range(30)])
    sink = Target(before=lose_once)
    run(bus, sink, lambda _, notes: notes.done == 20 + 30)
    assert sink.numbers == [*range(20), *range(30)]


def test_an_idle_sink_is_asked_whether_it_has_something_to_do(bus: Bus) -> None:
    class Idle(Target):
        calls = 0

        def idle(self) -> None:
            self.calls += 1

    sink = Idle()
    run(bus, sink, lambda *_: sink.calls > 1)


def test_a_mistake_in_the_code_ends_the_thread_and_is_shown(bus: Bus) -> None:
    def fail(records: Sequence[Record]) -> None:
        raise ZeroDivisionError

    bus.publish([message(0)])
    notes = Notes()
    runner = SinkRunner(bus, Target(before=fail), bus, notes)
    runner.start()
    wait_until(lambda: not runner.alive)
    assert isinstance(runner.error, ZeroDivisionError)
    consumer = bus.consumer("store", ["trades"])
    assert len(consumer.poll(10, 0)) == 1


def test_a_sink_that_is_held_up_shows_as_lag(bus: Bus) -> None:
    go_on = threading.Event()
    bus.publish([message(n) for n in range(40)])
    sink, notes = Target(before=lambda records: assert_that(go_on.wait(60))), Notes()
    runner = SinkRunner(bus, sink, bus, notes, batch=10)
    runner.measure()  # nothing is known yet
    runner.start()

    def measured(records: int) -> bool:
        runner.measure()
        return bool(notes.lags) and notes.lags[-1] == {"trades": records}

    wait_until(lambda: measured(40))
    go_on.set()
    wait_until(lambda: measured(0))
    assert runner.stop(60)
    runner.measure()


def test_a_sink_on_postgresql_survives_the_loss_of_every_session_in_mid_batch(dsn: str) -> None:
    from tests.contracts.test_bus import end_sessions

    bus = PostgresBus(dsn)
    bus.publish([message(n) for n in range(200)])
    cuts = iter(range(3))

    def cut(records: Sequence[Record]) -> None:
        if next(cuts, None) is not None:
            end_sessions(dsn)

    sink = Target(before=cut)
    run(bus, sink, lambda runner, notes: 199 in sink.numbers, batch=50)
    assert sorted(set(sink.numbers)) == [*range(200)]
    once = list(dict.fromkeys(sink.numbers))
    assert once == [*range(200)]  # in order, those that came again left out
    consumer = bus.consumer("store", ["trades"])
    bus.publish([message(200)])
    assert [number(each) for each in take(consumer, 1)] == [200]
    consumer.close()
    bus.close()


def test_two_runners_of_a_group_share_its_work_one_after_the_other(dsn: str) -> None:
    bus = PostgresBus(dsn)
    sinks, runners = [Target(), Target()], []
    for sink in sinks:
        runners.append(SinkRunner(bus, sink, bus, first_pause=0.01))
        runners[-1].start()
    bus.publish([message(n) for n in range(10)])
    wait_until(lambda: len(sinks[0].numbers + sinks[1].numbers) == 10)
    active = 0 if sinks[0].numbers else 1
    assert runners[active].stop(60)
    bus.publish([message(n) for n in range(10, 20)])
    wait_until(lambda: len(sinks[1 - active].numbers) == 10)
    assert runners[1 - active].stop(60)
    assert sinks[active].numbers + sinks[1 - active].numbers == [*range(20)]
    bus.close()


class Gathering(Target):
    def __init__(self, seconds: float, records: int) -> None:
        super().__init__()
        self.gather_seconds, self.gather_records = seconds, records


def test_a_gathering_sink_gets_few_large_batches(bus: Bus) -> None:
    bus.publish([message(n) for n in range(23)])
    sink = Gathering(seconds=3600, records=20)
    # The stop does not wait for an hour: it writes the rest.
    run(bus, sink, lambda _, notes: notes.done == 20)
    assert sink.numbers == [*range(23)]
    assert [len(batch) for batch in sink.batches] == [20, 3]


def test_a_gathering_sink_writes_what_it_has_when_it_is_time(bus: Bus) -> None:
    bus.publish([message(n) for n in range(3)])
    sink = Gathering(seconds=0.05, records=1_000_000)
    run(bus, sink, lambda _, notes: notes.done == 3)
    assert sink.numbers == [0, 1, 2]


def test_what_a_gathering_sink_holds_comes_again_after_a_crash(bus: Bus) -> None:
    bus.publish([message(n) for n in range(3)])
    dying = Gathering(seconds=0.05, records=1_000_000)
    dying.before = lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
    runner = SinkRunner(bus, dying, bus)
    runner.start()
    wait_until(lambda: not runner.alive)
    sink = Gathering(seconds=0.05, records=1_000_000)
    run(bus, sink, lambda _, notes: notes.done == 3)
    assert sink.numbers == [0, 1, 2]


def test_streams_of_two_venues_share_a_bus_and_neither_gets_what_is_the_others(dsn: str) -> None:
    bus = PostgresBus(dsn)
    mine, other = (
        encode(
            TickerMessage(
                origin=origin, pair="BTC/USDT", bid=None, bid_quantity=None, ask=None, ask_quantity=None,
                last=1.0, volume=None, at=AT, known_at=AT,
            )
        )
        for origin in ("kraken", "sandbox")
    )  # fmt: skip
    unreadable = Message("ticker", "BTC-USDT", b'"neither"')
    bus.publish([mine, other, mine, unreadable])
    sinks = {origin: Target(("ticker",)) for origin in ("kraken", "sandbox")}
    notes = {origin: Notes() for origin in sinks}
    runners = [
        SinkRunner(bus, sink, bus, notes[origin], first_pause=0.01, origin=origin)
        for origin, sink in sinks.items()
    ]
    for runner in runners:
        runner.start()
    try:
        wait_until(lambda: all(each.done == 4 for each in notes.values()))
    finally:
        assert all(runner.stop(60) for runner in runners)
    found = {
        origin: [json.loads(record.value) for batch in sink.batches for record in batch]
        for origin, sink in sinks.items()
    }
    assert [[each["origin"] for each in some if each != "neither"] for some in found.values()] == [
        ["kraken", "kraken"], ["sandbox"],
    ]  # fmt: skip
    assert all("neither" in some for some in found.values())
