"""Every entry of the sandbox's fault menu, one after the other, on one running stream."""

from collections.abc import Iterator
from typing import Any

import pytest

from streaming.sandbox.faults.kinds import FaultKind
from tests.streaming.faults.faulted_stream import FaultedStream

MARKET = ("book", "trade", "ohlc", "ticker")
TRADING = {  # of orders and accounts: armed all the same, but a stream of the market has no occasion for them
    FaultKind.SEQUENCE_GAP,
    FaultKind.NONCE_ERROR,
    FaultKind.TOKEN_EXPIRY,
}
LASTING = {FaultKind.CANCEL_ONLY, FaultKind.POST_ONLY, FaultKind.MAINTENANCE, FaultKind.CLOCK_SKEW}
CUT = {"kind": "disconnect", "count": 1}
Faults = tuple[dict[str, Any], ...]  # armed at the same time


def everywhere(kind: str, **details: Any) -> Faults:
    return tuple({"kind": kind, "channel": channel, **details} for channel in MARKET)


MENU: tuple[Faults, ...] = (
    (CUT,),
    everywhere("disconnect", count=1),
    everywhere("silent_channel"),
    ({"kind": "checksum_break", "count": 2},),
    everywhere("missed_message", every=4),
    everywhere("duplicated_message", every=3),
    everywhere("reordered_messages", every=3),
    ({"kind": "slow_loris", "channel": "trade", "seconds": 0.001, "count": 2},),
    ({"kind": "lost_ack", "method": "subscribe", "count": 1}, CUT),
    (
        {"kind": "slow_ack", "method": "subscribe", "seconds": 0.3},
        {"kind": "rate_limit", "method": "Trades", "count": 1},
        {"kind": "accepted_then_5xx", "method": "Trades", "count": 1},
        {"kind": "garbage_answer", "method": "Trades", "count": 1},
        CUT,
    ),
    ({"kind": "cancel_only"}, CUT),
    ({"kind": "post_only"}, CUT),
    ({"kind": "maintenance"}, CUT),
    ({"kind": "clock_skew", "seconds": -90},),
    ({"kind": "clock_skew", "seconds": 90},),
    ({"kind": "sequence_gap"}, {"kind": "nonce_error"}, {"kind": "token_expiry"}),
)
NONSENSE = 5  # each kind of it that the sandbox knows
REST = {
    "rate_limit",
    "accepted_then_5xx",
    "garbage_answer",
}  # struck only where the stream has a reason to ask for history


def test_the_menu_is_complete() -> None:
    tried = {fault["kind"] for faults in MENU for fault in faults} | {"garbage_frame"}
    assert tried == {kind.value for kind in FaultKind}


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_after_every_fault_of_the_menu_all_is_there_once(stream: FaultedStream, apart: bool) -> None:
    stream.play(120)
    for faults in channel_by_channel() if apart else MENU:
        strike(stream, faults)
        stream.wait_until_level()
    stream.settle()


def channel_by_channel() -> Iterator[Faults]:
    for faults in MENU:
        if len({fault["kind"] for fault in faults}) == 1:
            yield from ((fault,) for fault in faults)
        else:
            yield faults


def strike(stream: FaultedStream, faults: Faults) -> None:
    for fault in faults:
        stream.exchange.arm(**fault)
    stream.play(75)
    if not LASTING & {fault["kind"] for fault in faults}:
        kinds = {fault["kind"] for fault in faults} - REST - TRADING
        stream.play_until(lambda: kinds <= struck(stream))
    stream.exchange.disarm()


def struck(stream: FaultedStream) -> set[str]:
    return {each["kind"] for each in stream.exchange.running.faults.describe() if each["struck"]}


def test_malformed_frames_of_every_channel_are_kept_and_counted_and_cost_nothing(
    stream: FaultedStream,
) -> None:
    stream.play(60)
    for channel in (*MARKET, "instrument", "status"):
        stream.exchange.arm("garbage_frame", channel=channel, count=NONSENSE)
    stream.play_until(lambda: all(times(stream, channel) == NONSENSE for channel in MARKET))
    sent = len(MARKET) * NONSENSE
    stream.play_until(lambda: unreadable(stream) >= sent)
    while not all(times(stream, channel) for channel in ("instrument", "status")):
        cut(stream)  # such frames come with a connection
    stream.play_until(lambda: unreadable(stream) > sent)
    sent = times(stream)
    stream.exchange.disarm()
    stream.settle()
    assert unreadable(stream) <= sent  # what was on its way at a cut is lost
    assert any(path.is_file() for path in (stream.home / "quarantine").rglob("*"))


def unreadable(stream: FaultedStream) -> int:
    return sum(line["event"] == "unreadable" for line in stream.log())


def times(stream: FaultedStream, channel: str = "") -> int:
    """How often garbage was sent, in all or on one channel."""
    return sum(
        each["struck"]
        for each in stream.exchange.running.faults.describe()
        if each["kind"] == "garbage_frame" and channel in ("", each["channel"])
    )


def cut(stream: FaultedStream) -> None:
    stream.exchange.arm("disconnect", count=1)
    stream.play_until(stream.is_live)
