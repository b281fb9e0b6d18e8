"""Sequence numbers of messages about our own orders."""

from streaming.events import (
    Channel,
    Execution,
    Subscription,
    UnknownInterval,
)
from streaming.session.output import Interrupted, Restored
from tests.streaming.session.session_fakes import (
    at,
    connected,
    empty_snapshot,
    execution,
)

EXECUTIONS = Subscription(Channel.EXECUTIONS)


def test_a_missing_message_about_our_orders_causes_a_new_subscription() -> None:
    harness = connected(EXECUTIONS)
    harness.receive(execution(1, snapshot=True), execution(1, snapshot=True, order="O2"))
    harness.advance(1)
    harness.receive(execution(2))
    harness.advance(1)
    harness.receive(execution(4), execution(4, order="O2"))
    assert harness.events_of(Interrupted) == [
        Interrupted(Channel.EXECUTIONS, None, at(1), "message 4 came after 2")
    ]
    assert [each.sequence for each in harness.events_of(Execution)] == [1, 1, 2, 4, 4]
    assert harness.events_of(Restored) == []
    harness.advance(1)
    harness.confirm_all()
    harness.receive(execution(1, snapshot=True))
    harness.receive(execution(2))
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.EXECUTIONS, None, at(1), at(3), "message 4 came after 2")
    ]
    assert harness.count_requests("subscribe", "executions") == 2


def test_a_repeated_message_about_our_orders_is_passed_on_once() -> None:
    harness = connected(EXECUTIONS)
    for sequence in (1, 2, 2, 3):
        harness.receive(execution(sequence))
    assert [each.sequence for each in harness.events_of(Execution)] == [1, 2, 3]
    assert harness.events_of(Interrupted) == []


def test_a_new_connection_starts_a_new_sequence() -> None:
    harness = connected(EXECUTIONS)
    harness.receive(execution(1), execution(2))
    harness.drop()
    harness.connect()
    harness.receive(empty_snapshot())
    harness.receive(execution(2))
    assert [each.sequence for each in harness.events_of(Execution)] == [1, 2, 2]
    assert len(harness.events_of(Interrupted)) == 1


def test_sequence_numbers_that_go_back_are_a_gap_too() -> None:
    harness = connected(EXECUTIONS)
    for sequence in (1, 2, 3, 1):
        harness.receive(execution(sequence))
    assert harness.events_of(Interrupted)[0].reason == "message 1 came after 3"
