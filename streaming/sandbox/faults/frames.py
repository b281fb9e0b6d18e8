"""What armed faults do to the frames of one WebSocket connection."""

import re
from dataclasses import dataclass

from streaming.sandbox.faults.kinds import FaultKind
from streaming.sandbox.faults.schedule import Faults

_CHECKSUM = re.compile(rb'("checksum":)(\d+)')


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is really sent instead of one frame."""

    frames: list[bytes]
    disconnects: bool = False  # the connection is closed now
    seconds_per_byte: float = 0.0


class ConnectionFaults:
    """The faults of one connection, with the frames that wait for the next one of their channel."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._delayed: dict[tuple[str, str], bytes] = {}  # by channel and symbol

    @property
    def idle(self) -> bool:
        """True when `apply` would change nothing."""
        return not self._faults.affect_frames and not self._delayed

    def apply(self, channel: str, symbol: str, frame: bytes, method: str = "") -> Outgoing:
        """Apply what is triggered by one frame: of a channel, or the response to a request of `method`."""

        def trigger(kind: FaultKind) -> bool:
            return self._faults.trigger_frame(kind, channel, symbol, method) is not None

        if channel and trigger(FaultKind.DISCONNECT):
            return Outgoing([], disconnects=True)
        if trigger(FaultKind.SILENT_CHANNEL) or trigger(FaultKind.MISSED_MESSAGE):
            return Outgoing([])
        if b'"checksum":' in frame and trigger(FaultKind.CHECKSUM_BREAK):
            frame = _break_checksum(frame)
        delayed = self._delayed.pop((channel, symbol), None)
        if delayed is None and trigger(FaultKind.REORDERED_MESSAGES):
            self._delayed[channel, symbol] = frame
            return Outgoing([])
        frames = [frame] if delayed is None else [frame, delayed]
        if trigger(FaultKind.DUPLICATED_MESSAGE):
            frames.append(frames[-1])
        if fault := self._faults.trigger_frame(FaultKind.GARBAGE_FRAME, channel, symbol, method):
            frames.insert(0, _garbage(frame, self._faults.times_triggered(fault)))
        slow = self._faults.trigger_frame(FaultKind.SLOW_LORIS, channel, symbol, method)
        return Outgoing(frames, seconds_per_byte=slow.seconds if slow else 0.0)


def _garbage(frame: bytes, turn: int) -> bytes:
    """Return truncated JSON, bytes that are no UTF-8, wrong types or an unknown channel, in turn."""
    kinds = (
        frame[: max(1, len(frame) // 2)],
        b"\xff\xfe" + frame[:16] + b"\xc3\x28",
        b'{"channel":"book","type":"update","data":[{"symbol":7,"bids":"none","asks":null,"checksum":-1}]}',
        b'{"channel":"nonsense","type":"update","data":[1e999]}',
        b"[]",
    )
    return kinds[(turn - 1) % len(kinds)]


def _break_checksum(frame: bytes) -> bytes:
    """Return the frame with another checksum: every bit of the right one turned."""
    return _CHECKSUM.sub(lambda found: found[1] + b"%d" % (int(found[2]) ^ 0xFFFFFFFF), frame)
