"""The fault menu: when an armed fault strikes, what it does to frames, and what it may be asked for."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.sandbox.faults import Fault, FaultKind, Faults, from_json
from streaming.sandbox.faults.frames import ConnectionFaults, Outgoing
from streaming.sandbox.faults.kinds import MAX_SECONDS
from tests.doubles.clock import Clock
from tests.streaming.sandbox.websocket_fakes import BTC, XRP
from trading.errors import InvalidValue
from trading.market import PairStatus

FRAME = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USDT","checksum":123}]}'


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def faults(clock: Clock) -> Faults:
    return Faults(clock)


def send_book(
    faults: Faults, frame: bytes = FRAME, connection: ConnectionFaults | None = None
) -> list[bytes]:
    return (connection or ConnectionFaults(faults)).apply("book", "BTC/USDT", frame).frames


def send(faults: Faults, channel: str, frame: bytes, method: str = "") -> list[bytes]:
    return ConnectionFaults(faults).apply(channel, "", frame, method).frames


def test_a_fault_strikes_from_its_beginning_to_its_end(faults: Faults, clock: Clock) -> None:
    faults.arm(Fault(FaultKind.LOST_ACK, after=5, lasts=10))
    struck = []
    for seconds in (0, 4.9, 5, 14.9, 15, 100):
        clock.now = 1000 + seconds
        struck.append(faults.trigger(FaultKind.LOST_ACK, method="add_order") is not None)
    assert struck == [False, False, True, True, False, False]


def test_a_fault_strikes_as_often_as_it_was_told(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.RATE_LIMIT, count=2))
    assert [bool(faults.trigger(FaultKind.RATE_LIMIT)) for _ in range(4)] == [True, True, False, False]


def test_every_third_means_the_third_the_sixth_and_so_on(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.RATE_LIMIT, every=3))
    assert [bool(faults.trigger(FaultKind.RATE_LIMIT)) for _ in range(7)] == [0, 0, 1, 0, 0, 1, 0]


def test_a_fault_strikes_only_what_it_names(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.LOST_ACK, method="add_order", symbol="BTC/USDT"))
    assert not faults.trigger(FaultKind.LOST_ACK, method="cancel_order", symbol="BTC/USDT")
    assert not faults.trigger(FaultKind.LOST_ACK, method="add_order", symbol="XRP/BTC")
    assert not faults.trigger(FaultKind.SLOW_ACK, method="add_order", symbol="BTC/USDT")
    assert faults.trigger(FaultKind.LOST_ACK, method="add_order", symbol="BTC/USDT")


def test_what_strikes_is_listed_with_how_often(faults: Faults) -> None:
    number = faults.arm(Fault(FaultKind.MISSED_MESSAGE, count=2))
    for _ in range(5):
        send_book(faults)
    [entry] = faults.describe()
    assert (entry["id"], entry["kind"], entry["struck"], entry["in_force"]) == (
        number,
        "missed_message",
        2,
        False,
    )
    json.dumps(entry)


def test_a_disarmed_fault_strikes_no_more(faults: Faults) -> None:
    number = faults.arm(Fault(FaultKind.MISSED_MESSAGE))
    assert send_book(faults) == []
    assert faults.disarm(number)
    assert not faults.disarm(number)
    assert send_book(faults) == [FRAME]


def test_without_a_fault_frames_go_out_as_they_are(faults: Faults) -> None:
    assert send_book(faults) == [FRAME]
    assert ConnectionFaults(faults).idle


def test_a_broken_checksum_changes_the_checksum_and_nothing_else(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.CHECKSUM_BREAK))
    [frame] = send_book(faults)
    before, after = json.loads(FRAME), json.loads(frame)
    assert after["data"][0].pop("checksum") != before["data"][0].pop("checksum")
    assert after == before


def test_a_duplicated_message_comes_twice(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.DUPLICATED_MESSAGE, count=1))
    assert send_book(faults) == [FRAME, FRAME]
    assert send_book(faults) == [FRAME]


def test_reordered_messages_change_places_per_connection_and_symbol(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.REORDERED_MESSAGES, every=2, after=0))
    connection = ConnectionFaults(faults)
    assert send_book(faults, b"1", connection) == [b"1"]
    assert send_book(faults, b"2", connection) == []
    assert connection.apply("book", "XRP/BTC", b"x").frames == [b"x"]
    assert send_book(faults, b"other connection") == []
    assert send_book(faults, b"3", connection) == [b"3", b"2"]
    assert send_book(faults, b"4", connection) == [b"4"]


def test_garbage_comes_before_the_frame_and_is_never_a_message(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.GARBAGE_FRAME))
    seen = set()
    for _ in range(5):
        nonsense, frame = send_book(faults)
        assert frame == FRAME
        seen.add(nonsense)
    assert len(seen) == 5
    assert any(not _is_utf8(nonsense) for nonsense in seen)
    assert any(FRAME.startswith(nonsense) for nonsense in seen)


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_silence_of_every_channel_leaves_the_heartbeat(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.SILENT_CHANNEL))
    assert send_book(faults) == []
    assert send(faults, "heartbeat", b"tick") == [b"tick"]
    faults.arm(Fault(FaultKind.SILENT_CHANNEL, channel="heartbeat"))
    assert send(faults, "heartbeat", b"tick") == []


def test_answers_are_only_hit_by_faults_that_name_their_method(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.MISSED_MESSAGE))
    assert send(faults, "", b"ack", "add_order") == [b"ack"]
    faults.arm(Fault(FaultKind.DUPLICATED_MESSAGE, method="add_order"))
    assert send(faults, "", b"ack", "cancel_order") == [b"ack"]
    assert send(faults, "", b"ack", "add_order") == [b"ack", b"ack"]


def test_a_disconnect_at_a_channel_cuts_off_instead_of_sending(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.DISCONNECT, channel="book", count=1))
    assert ConnectionFaults(faults).apply("book", "BTC/USDT", FRAME) == Outgoing([], disconnects=True)
    assert not faults.trigger_disconnect()


def test_a_disconnect_by_the_clock_comes_after_every_pause(faults: Faults, clock: Clock) -> None:
    faults.arm(Fault(FaultKind.DISCONNECT, after=10, count=2, seconds=30))
    due = []
    for seconds in (0, 10, 11, 39, 40, 41, 100):
        clock.now = 1000 + seconds
        due.append(faults.trigger_disconnect())
    assert due == [False, True, False, False, True, False, False]
    assert send_book(faults) == [FRAME]


def test_a_dribbled_frame_says_how_slowly(faults: Faults) -> None:
    faults.arm(Fault(FaultKind.SLOW_LORIS, channel="book", seconds=0.5))
    connection = ConnectionFaults(faults)
    assert connection.apply("book", "BTC/USDT", FRAME) == Outgoing([FRAME], seconds_per_byte=0.5)
    faults.clear()
    assert connection.apply("book", "BTC/USDT", FRAME) == Outgoing([FRAME])


def test_the_strictest_status_is_in_force(faults: Faults) -> None:
    assert faults.status(BTC) is PairStatus.ONLINE
    faults.arm(Fault(FaultKind.POST_ONLY, symbol="BTC/USDT"))
    assert (faults.status(BTC), faults.status(XRP)) == (PairStatus.POST_ONLY, PairStatus.ONLINE)
    assert faults.status(None) is PairStatus.ONLINE
    assert faults.status(BTC, PairStatus.CANCEL_ONLY) is PairStatus.CANCEL_ONLY
    faults.arm(Fault(FaultKind.MAINTENANCE, lasts=60))
    assert faults.status(BTC) is faults.status(XRP) is faults.status(None) is PairStatus.MAINTENANCE


def test_the_clock_is_wrong_while_a_skew_is_in_force(faults: Faults, clock: Clock) -> None:
    faults.arm(Fault(FaultKind.CLOCK_SKEW, seconds=-90, after=5, lasts=5))
    assert faults.skew() == 0
    clock.now += 5
    assert faults.skew() == -90
    clock.now += 5
    assert faults.skew() == 0


def test_a_fault_is_read_from_json_with_its_defaults() -> None:
    entry = {"kind": "slow_ack", "seconds": 2, "method": "AddOrder", "count": 3}
    assert from_json(entry) == Fault(FaultKind.SLOW_ACK, seconds=2, method="AddOrder", count=3)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, "kind is None: allowed are disconnect"),
        ({"kind": "explode"}, "kind is 'explode': allowed are disconnect"),
        ({"kind": "disconnect", "when": 3}, "fault field 'when' is unknown: allowed are kind, after"),
        ({"kind": "disconnect", "after": -1}, "after is -1: allowed are seconds from 0"),
        ({"kind": "disconnect", "after": "soon"}, "after is 'soon'"),
        ({"kind": "disconnect", "lasts": float("nan")}, "lasts is nan"),
        ({"kind": "disconnect", "after": True}, "after is True"),
        ({"kind": "disconnect", "count": 0}, "count is 0: allowed are whole numbers from 1"),
        ({"kind": "disconnect", "every": 1.5}, "every is 1.5"),
        ({"kind": "disconnect", "channel": "bock"}, "channel is 'bock': allowed are balances, book"),
        ({"kind": "disconnect", "channel": 3}, "channel is 3: allowed is text"),
        ({"kind": "disconnect", "symbol": "BTC"}, "'BTC' is not a pair"),
        ({"kind": "disconnect", "symbol": "btc/usdt"}, "write it like BTC/USDT"),
        ({"kind": "lost_ack", "method": "add order"}, "method is 'add order'"),
        ({"kind": "disconnect", "channel": "book", "method": "add_order"}, "give one of the two"),
        ({"kind": "slow_ack"}, "slow_ack needs seconds"),
        ({"kind": "slow_ack", "seconds": -1}, "seconds is -1"),
        ({"kind": "cancel_only", "count": 2}, "cancel_only is in force for a time"),
        ({"kind": "checksum_break", "channel": "trade"}, "checksum_break happens on book, not on trade"),
        ("disconnect", "a fault is an object"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field_and_what_is_allowed(entry: Any, reason: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        from_json(entry)
    assert reason in str(refusal.value)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(
            ["kind", "after", "lasts", "count", "channel", "symbol", "method", "seconds", "every"]
        ),
        st.one_of(
            st.none(),
            st.integers(),
            st.floats(),
            st.text(max_size=10),
            st.booleans(),
            st.sampled_from(FaultKind),
        ),
    )
)
def test_any_json_object_is_a_fault_or_one_clear_refusal(entry: dict[str, Any]) -> None:
    try:
        fault = from_json(entry)
    except InvalidValue:
        return
    faults = Faults(lambda: 0.0)
    faults.arm(fault)
    json.dumps(faults.describe(), allow_nan=False)


def test_faults_are_not_armed_without_end(faults: Faults) -> None:
    for _ in range(1000):
        faults.arm(Fault(FaultKind.LOST_ACK))
    with pytest.raises(InvalidValue, match="1000 faults are armed already"):
        faults.arm(Fault(FaultKind.LOST_ACK))


@pytest.mark.parametrize("field", ["seconds", "after", "lasts"])
@pytest.mark.parametrize("value", [1e300, -1e300, 10**400, 4e8, float("inf"), float("nan"), True, "1"])
def test_a_time_that_no_clock_could_tell_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=f"{field} is .*: allowed are seconds from"):
        from_json({"kind": "clock_skew", "seconds": 5, field: value})


def test_skews_that_add_up_still_leave_a_time_to_tell(faults: Faults) -> None:
    for sign in (1, -1):
        faults.clear()
        for _ in range(900):
            faults.arm(Fault(FaultKind.CLOCK_SKEW, seconds=sign * MAX_SECONDS))
        assert faults.skew() == sign * MAX_SECONDS
