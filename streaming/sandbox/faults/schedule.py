"""Everything that goes wrong in real life, on request: what is armed and when it strikes. Pure; the faces apply it.

A strike is one request, or one frame to one connection.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from streaming.sandbox.faults.garbage import broken_checksum, garbage
from streaming.sandbox.faults.kinds import MOST_SECONDS, OF_FRAMES, STATUSES, Fault, FaultKind, from_json
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus

__all__ = ["Faults", "Line"]

HEARTBEAT = "heartbeat"
MOST_ARMED = 1000


@dataclass(slots=True)
class Line:
    """What the faults have done to one connection so far."""

    held: dict[tuple[str, str], bytes] = field(
        default_factory=dict
    )  # waits for the next frame of its channel
    severed: bool = False  # to be cut off now
    dribble: float = 0.0  # seconds per byte of the frames just returned


@dataclass(slots=True)
class _Armed:
    number: int
    fault: Fault
    since: float
    occasions: int = 0
    struck: int = 0
    struck_at: float = -math.inf

    def in_force(self, now: float) -> bool:
        begins, fault = self.since + self.fault.after, self.fault
        spent = fault.count is not None and self.struck >= fault.count
        return begins <= now and not spent and (fault.lasts is None or now < begins + fault.lasts)

    def strike(self, now: float) -> bool:
        self.occasions += 1
        if self.occasions % self.fault.every:
            return False
        self.struck, self.struck_at = self.struck + 1, now
        return True


class Faults:
    """What is armed now. `server` gives server time in seconds since 1970."""

    def __init__(self, server: Callable[[], float]) -> None:
        self._server = server
        self._armed: dict[int, _Armed] = {}
        self._kinds: dict[FaultKind, list[_Armed]] = {}
        self._last = 0
        self.touch_frames = False  # whether `outgoing` could change anything

    def arm(self, fault: Fault) -> int:
        """Its number, for `disarm`."""
        if len(self._armed) >= MOST_ARMED:
            raise InvalidValue(f"{MOST_ARMED} faults are armed already: disarm some first")
        self._last += 1
        self._armed[self._last] = _Armed(self._last, fault, self._server())
        self._sort()
        return self._last

    def disarm(self, number: int) -> bool:
        """False when there is none of that number."""
        known = self._armed.pop(number, None) is not None
        self._sort()
        return known

    def clear(self) -> None:
        self._armed.clear()
        self._sort()

    def listed(self) -> list[dict[str, Any]]:
        """Everything armed, spent ones too, with `id`, `struck` and `in_force`."""
        now = self._server()
        return [
            {
                "id": armed.number,
                **asdict(armed.fault),
                "kind": armed.fault.kind.value,
                "struck": armed.struck,
                "in_force": armed.in_force(now),
            }
            for armed in self._armed.values()
        ]

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> Fault:
        """The same as the function of that name."""
        return from_json(entry)

    def strikes(
        self, kind: FaultKind, *, channel: str = "", symbol: str = "", method: str = ""
    ) -> Fault | None:
        """The fault that strikes here and now, counted; None when all goes well."""
        for armed in self._in_force(kind):
            fault = armed.fault
            if fault.by_clock or not fault.concerns(channel, symbol, method):
                continue
            if armed.strike(self._server()):
                return fault
        return None

    def outgoing(self, channel: str, symbol: str, frame: bytes, line: Line, method: str = "") -> list[bytes]:
        """What is really sent instead of one frame; `line` says when to cut off or to dribble.

        A data frame has a `channel`, the answer to a request a `method`: answers are only hit by faults that name
        their method.
        """

        def struck(kind: FaultKind) -> Fault | None:
            return self._strikes_frame(kind, channel, symbol, method)

        line.dribble = 0.0
        if channel and struck(FaultKind.DISCONNECT):
            line.severed = True
            return []
        if struck(FaultKind.SILENT_CHANNEL) or struck(FaultKind.MISSED_MESSAGE):
            return []
        if b'"checksum":' in frame and struck(FaultKind.CHECKSUM_BREAK):
            frame = broken_checksum(frame)
        frames = self._in_order(channel, symbol, frame, line, method)
        if frames and struck(FaultKind.DUPLICATED_MESSAGE):
            frames.append(frames[-1])
        if frames and (fault := struck(FaultKind.GARBAGE_FRAME)):
            frames.insert(0, garbage(frame, self._struck_so_far(fault)))
        if frames and (fault := struck(FaultKind.SLOW_LORIS)):
            line.dribble = fault.seconds
        return frames

    def status(self, pair: Pair | None = None) -> PairStatus | None:
        """The strictest status that a fault puts the pair (None: the exchange as a whole) into."""
        symbol = "" if pair is None else str(pair)
        for kind, status in STATUSES.items():
            if any(armed.fault.symbol in ("", symbol) for armed in self._in_force(kind)):
                return status
        return None

    def skew(self) -> float:
        """Seconds to add to every server time that is told."""
        together = sum(armed.fault.seconds for armed in self._in_force(FaultKind.CLOCK_SKEW))
        return max(-MOST_SECONDS, min(MOST_SECONDS, together))

    def disconnect_due(self) -> bool:
        """Whether the clock says to cut off all connections now; to be asked often. Counted when it does."""
        now, due = self._server(), False
        for armed in self._in_force(FaultKind.DISCONNECT):
            if armed.fault.by_clock and now >= armed.struck_at + armed.fault.seconds:
                due = armed.strike(now) or due
        return due

    def _in_order(self, channel: str, symbol: str, frame: bytes, line: Line, method: str) -> list[bytes]:
        held = line.held.pop((channel, symbol), None)
        if held is not None:
            return [frame, held]
        if self._strikes_frame(FaultKind.REORDERED_MESSAGES, channel, symbol, method):
            line.held[channel, symbol] = frame
            return []
        return [frame]

    def _strikes_frame(self, kind: FaultKind, channel: str, symbol: str, method: str) -> Fault | None:
        """As `strikes`, but a heartbeat is only hit by faults that name it: silence elsewhere must not look dead."""
        armed = self._kinds.get(kind, ())
        if channel == HEARTBEAT and not any(one.fault.channel == HEARTBEAT for one in armed):
            return None
        if not channel and not any(method and one.fault.method == method for one in armed):
            return None
        return self.strikes(kind, channel=channel, symbol=symbol, method=method)

    def _struck_so_far(self, fault: Fault) -> int:
        return next(armed.struck for armed in self._armed.values() if armed.fault is fault)

    def _in_force(self, kind: FaultKind) -> Iterator[_Armed]:
        armed = self._kinds.get(kind)
        if armed:
            now = self._server()
            yield from (one for one in armed if one.in_force(now))

    def _sort(self) -> None:
        self._kinds = {}
        for armed in self._armed.values():
            self._kinds.setdefault(armed.fault.kind, []).append(armed)
        self.touch_frames = not OF_FRAMES.isdisjoint(self._kinds)
