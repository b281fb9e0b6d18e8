"""Every entry of the sandbox's fault menu, one after the other, on one running stream."""

from typing import Any

import pytest

from streaming.sandbox.faults.kinds import FaultKind
from tests.streaming.faults.faulted_stream import FaultedStream

pytestmark = pytest.mark.soak  # each takes minutes

MARKET = ("book", "trade", "ohlc", "ticker")
TRADING = {  # of orders and accounts: armed all the same, but a stream of the market has no occasion for them
    FaultKind.SEQUENCE_GAP,
    FaultKind.NONCE_ERROR,
    FaultKind.TOKEN_EXPIRY,
}
LASTING = {FaultKind.CANCEL_ONLY, FaultKind.POST_ONLY, FaultKind.MAINTENANCE, FaultKind.CLOCK_SKEW}
CUT = {"kind": "disconnect", "count": 1}
MENU: tuple[tuple[dict[str, Any], ...], ...] = (
    ({"kind": "disconnect", "count": 1},),
    *(({"kind": "disconnect", "channel": channel, "count": 1},) for channel in MARKET),
    *(({"kind": "silent_channel", "channel": channel},) for channel in MARKET),
    ({"kind": "checksum_break", "count": 2},),
    *(({"kind": "missed_message", "channel": channel, "every": 4},) for channel in MARKET),
    *(({"kind": "duplicated_message", "channel": channel, "every": 3},) for channel in MARKET),
    *(({"kind": "reordered_messages", "channel": channel, "every": 3},) for channel in MARKET),
    ({"kind": "slow_loris", "channel": "trade", "seconds": 0.001, "count": 2},),
    ({"kind": "lost_ack", "method": "subscribe", "count": 1}, CUT),
    ({"kind": "slow_ack", "method": "subscribe", "seconds": 0.3}, CUT),
    ({"kind": "rate_limit", "method": "Trades", "count": 1}, CUT),
    ({"kind": "accepted_then_5xx", "method": "Trades", "count": 1}, CUT),
    ({"kind": "cancel_only"}, CUT),
    ({"kind": "post_only"}, CUT),
    ({"kind": "maintenance"}, CUT),
    ({"kind": "clock_skew", "seconds": -90},),
    ({"kind": "clock_skew", "seconds": 90},),
    ({"kind": "sequence_gap"}, {"kind": "nonce_error"}, {"kind": "token_expiry"}),
)
REST = {"rate_limit", "accepted_then_5xx"}  # struck only where the stream has a reason to ask for history


def test_the_menu_is_complete() -> None:
    tried = {fault["kind"] for faults in MENU for fault in faults} | {"garbage_frame"}
    assert tried == {kind.value for kind in FaultKind}


def test_after_every_fault_of_the_menu_all_is_there_once(stream: FaultedStream) -> None:
    stream.play(120)
    for faults in MENU:
        strike(stream, faults)
        stream.wait_until_level()
    stream.settle()


def strike(stream: FaultedStream, faults: tuple[dict[str, Any], ...]) -> None:
    for fault in faults:
        stream.exchange.arm(**fault)
    stream.play(75)
    if not LASTING & {fault["kind"] for fault in faults}:
        kinds = {fault["kind"] for fault in faults} - REST - TRADING
        stream.play_until(lambda: kinds <= struck(stream))
    stream.exchange.disarm()


def struck(stream: FaultedStream) -> set[str]:
    return {each["kind"] for each in stream.exchange.running.faults.describe() if each["struck"]}


@pytest.mark.parametrize("channel", [*MARKET, "instrument", "status"])
def test_a_malformed_frame_of_a_channel_is_put_aside_and_costs_nothing(
    stream: FaultedStream, channel: str
) -> None:
    stream.play(60)
    stream.exchange.arm("garbage_frame", channel=channel, count=5)  # each kind of nonsense that there is
    if channel in MARKET:
        stream.play_until(lambda: times(stream) >= 5)
    else:  # such frames come with a connection
        for _ in range(2):
            cut(stream)
    stream.exchange.disarm()
    stream.settle()
    unreadable = [line for line in stream.log() if line["event"] == "unreadable"]
    assert unreadable
    kept = [path for path in (stream.home / "quarantine").rglob("*") if path.is_file()]
    assert kept


def times(stream: FaultedStream) -> int:
    struck: int = sum(each["struck"] for each in stream.exchange.running.faults.describe())
    return struck


def cut(stream: FaultedStream) -> None:
    stream.exchange.arm("disconnect", count=1)
    stream.play(15)
    stream.until(stream.is_live)
