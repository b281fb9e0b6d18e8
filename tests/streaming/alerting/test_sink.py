"""From the bus to a person: nothing is lost over a restart, nothing is sent twice, and the dead hold up nobody."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from streaming.alerting.filter import WINDOW
from streaming.alerting.limits import AlertLimits
from streaming.alerting.messenger import AppriseMessenger
from streaming.alerting.sink import AlertSink
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, DEAD_LETTERS, AlertMessage, decode, encode
from streaming.sinks.runner import SinkRunner
from tests.contracts.bus_contract import wait_until
from tests.contracts.trade import NOON, bought, opened, receipt
from tests.streaming.alerting.alerts import LIMITS, alert
from tests.streaming.alerting.webhooks import Webhook, webhook
from trading.errors import MessengerUnreachable
from trading.ports import Message, Record
from trading.risk import Halt, HaltKind
from trading.stores.postgres import PostgresJournal

FEW = replace(LIMITS, per_kind=2, kinds={})
MANY = replace(LIMITS, per_minute=60, per_kind=60, kinds={})


class Memory:
    """A messenger that remembers, and refuses the texts in `refused`."""

    name = "memory"

    def __init__(self) -> None:
        self.sent: list[AlertMessage] = []
        self.refused: set[str] = set()

    def send(self, alert: AlertMessage) -> None:
        if alert.text in self.refused:
            raise MessengerUnreachable("away")
        self.sent.append(alert)

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.sent]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def bus(dsn: str) -> Iterator[PostgresBus]:
    bus = PostgresBus(dsn)
    yield bus
    bus.close()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as server:
        yield server


@contextmanager
def running(bus: PostgresBus, sink: AlertSink) -> Iterator[SinkRunner]:
    runner = SinkRunner(bus, sink, bus, first_pause=0.01)
    runner.start()
    try:
        yield runner
    finally:
        assert runner.stop(60)
        assert runner.error is None


def lag(bus: PostgresBus, sink: AlertSink) -> int:
    consumer = bus.consumer(sink.group, sink.topics)
    try:
        return sum(consumer.lag().values())
    finally:
        consumer.close()


def publish(bus: PostgresBus, *texts: str, kind: str = "gap") -> None:
    bus.publish([encode(alert(text, kind)) for text in texts])


def records(*texts: str, first: int = 1) -> list[Record]:
    now = datetime.now(UTC)
    return [
        Record(ALERTS, "stream", encode(alert(text)).value, 0, offset, now)
        for offset, text in enumerate(texts, first)
    ]


def to(hook: Webhook, limits: AlertLimits = MANY, name: str = "json") -> AlertSink:
    return AlertSink(AppriseMessenger(name, hook.url), limits)


def test_orders_fills_refusals_and_halts_of_the_journal_reach_a_person_and_holding_does_not(
    dsn: str, bus: PostgresBus, hook: Webhook
) -> None:
    journal = PostgresJournal(dsn)
    bought(opened(journal))
    held = receipt("decision-hold") | {"outcome": "no order: nothing to close", "risk": None}
    journal.record_decision(held, None)
    refused = {"outcome": "LONG was refused by risk: the reserve would be spent", "risk": {"approved": False}}
    journal.record_decision(receipt("decision-refused") | refused, None)
    journal.begin_halts("paper", [Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")])
    publish(bus, "trades of BTC/USDT are missing")
    with running(bus, to(hook)):
        wait_until(lambda: len(hook.received) == 5)
    titles = [each["title"] for each in hook.received]
    assert titles == [
        "Marketloom info: order BTC/USDT",
        "Marketloom info: fill BTC/USDT",
        "Marketloom info: refusal BTC/USDT",
        "Marketloom error: drawdown",
        "Marketloom warning: gap",
    ]
    assert hook.texts[1].startswith("account paper bought 0.01 BTC at 10000 USDT (entry, fee ")
    assert "LONG was refused by risk: the reserve would be spent" in hook.texts[2]
    assert hook.texts[3] == "account paper is halted, drawdown: 10 % lost"


def test_a_restart_loses_nothing_and_sends_nothing_again(bus: PostgresBus, hook: Webhook) -> None:
    publish(bus, "one", "two")
    first = to(hook)
    with running(bus, first):
        wait_until(lambda: lag(bus, first) == 0)
    publish(bus, "three")
    with running(bus, second := to(hook)):
        wait_until(lambda: lag(bus, second) == 0)
    assert hook.texts == ["one", "two", "three"]


def test_a_dead_messenger_holds_up_no_other_and_gets_what_it_missed(bus: PostgresBus, hook: Webhook) -> None:
    with webhook() as dead:
        dead.status = 503
        publish(bus, "one", "two")
        with running(bus, to(hook)), running(bus, away := to(dead, name="json-2")):
            wait_until(lambda: hook.texts == ["one", "two"])
            wait_until(dead.entered.is_set)
            assert lag(bus, away) == 2
            dead.status = 200
            wait_until(lambda: dead.texts == ["one", "two"])
            wait_until(lambda: lag(bus, away) == 0)


def test_a_slow_messenger_holds_up_no_other(bus: PostgresBus, hook: Webhook) -> None:
    with webhook() as slow:
        slow.free.clear()
        publish(bus, "one", "two")
        with running(bus, to(hook)), running(bus, to(slow, name="json-2")):
            wait_until(slow.entered.is_set)
            wait_until(lambda: hook.texts == ["one", "two"])
            assert slow.texts == []
            slow.free.set()
            wait_until(lambda: slow.texts == ["one", "two"])


def test_what_is_held_back_is_not_committed_before_its_summary_was_sent(bus: PostgresBus) -> None:
    clock, messenger = Clock(), Memory()
    sink = AlertSink(messenger, FEW, monotonic=clock)
    publish(bus, *"abcde")
    with running(bus, sink):
        wait_until(lambda: sink.holds)
    assert messenger.texts == ["a", "b"]
    assert lag(bus, sink) == 5
    with running(bus, sink := AlertSink(messenger, FEW, monotonic=clock)):  # as after a kill
        wait_until(lambda: sink.holds)
        clock.seconds += WINDOW
        wait_until(lambda: lag(bus, sink) == 0)
    assert messenger.texts[:4] == ["a", "b", "a", "b"]
    [summary] = messenger.texts[4:]
    assert summary.startswith("3 more of kind gap since ")
    assert summary.endswith("the newest: e")
    assert not sink.holds


def test_a_summary_that_cannot_be_sent_stays_due() -> None:
    clock, messenger = Clock(), Memory()
    sink = AlertSink(messenger, FEW, monotonic=clock)
    sink.write(records("a", "b", "c"))
    clock.seconds += WINDOW
    send, messenger.send = messenger.send, _refuse  # type: ignore[method-assign]
    with pytest.raises(MessengerUnreachable):
        sink.idle()
    assert sink.holds
    messenger.send = send  # type: ignore[method-assign]
    sink.idle()
    assert len(messenger.sent) == 3


def _refuse(alert: AlertMessage) -> None:
    raise MessengerUnreachable("away")


def test_a_batch_that_failed_in_the_middle_goes_on_there() -> None:
    messenger = Memory()
    sink = AlertSink(messenger, MANY)
    messenger.refused = {"b"}
    for _ in range(3):
        with pytest.raises(MessengerUnreachable):
            sink.write(records("a", "b", "c"))
    messenger.refused = set()
    sink.write(records("a", "b", "c"))
    assert messenger.texts == ["a", "b", "c"]


def test_what_was_held_back_before_the_failure_is_counted_once() -> None:
    clock, messenger = Clock(), Memory()
    sink = AlertSink(messenger, FEW, monotonic=clock)
    batch = records("a", "b", "c", "d")
    batch.append(replace_kind(batch[-1]))
    messenger.refused = {"halted"}
    for _ in range(3):
        with pytest.raises(MessengerUnreachable):
            sink.write(batch)
    messenger.refused = set()
    sink.write(batch)
    clock.seconds += WINDOW
    sink.idle()
    assert messenger.texts[:3] == ["a", "b", "halted"]
    assert messenger.texts[3].startswith("2 more of kind gap since ")


def replace_kind(record: Record) -> Record:
    """Return the record that follows it, of another kind."""
    return replace(record, value=encode(alert("halted", "drawdown", "error")).value, offset=record.offset + 1)


def test_what_was_only_counted_is_said_with_the_next_one() -> None:
    clock, messenger = Clock(), Memory()
    sink = AlertSink(messenger, MANY, monotonic=clock)
    sink.write(records("no connection", "no connection", "no connection"))
    clock.seconds += MANY.repeat_seconds
    sink.write(records("no connection", first=4))
    clock.seconds += MANY.repeat_seconds
    sink.write(records("no connection", first=5))
    more = "no connection (and 2 more times since this was last sent)"
    assert messenger.texts == ["no connection", more, "no connection"]


def test_what_nobody_can_read_becomes_a_dead_letter_and_the_rest_is_sent(
    bus: PostgresBus, hook: Webhook
) -> None:
    bus.publish([Message(ALERTS, "stream", b'{"schema":"alert","version":99}')])
    publish(bus, "one")
    with running(bus, to(hook)):
        wait_until(lambda: hook.texts == ["one"])
    reader = bus.reader([DEAD_LETTERS], from_start=True)
    assert len(reader.poll(10, 0)) == 1
    reader.close()


def test_the_time_of_a_notice_is_that_of_its_publication_not_of_a_market_of_the_past(
    bus: PostgresBus,
) -> None:
    messenger = Memory()
    with running(bus, AlertSink(messenger, MANY)):
        publish(bus, "a gap in 2026 on the market's clock")
        wait_until(lambda: messenger.sent)
    reader = bus.reader([ALERTS], from_start=True)
    [record] = reader.poll(1, 0)
    reader.close()
    assert messenger.sent[0].at == record.at != decode(record, AlertMessage).at
