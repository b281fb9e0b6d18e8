"""Which faults are armed, and when each of them is triggered: at a request, or at a frame to one connection."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from streaming.sandbox.faults.kinds import FRAME_KINDS, MAX_SECONDS, STATUSES, Fault, FaultKind
from trading.errors import InvalidValue
from trading.market import Pair, PairStatus

HEARTBEAT = "heartbeat"
MAX_ARMED = 1000


@dataclass(slots=True)
class _Armed:
    number: int
    fault: Fault
    since: float
    occasions: int = 0
    triggered: int = 0
    triggered_at: float = -math.inf

    def in_force(self, now: float) -> bool:
        begins, fault = self.since + self.fault.after, self.fault
        spent = fault.count is not None and self.triggered >= fault.count
        return begins <= now and not spent and (fault.lasts is None or now < begins + fault.lasts)

    def trigger(self, now: float) -> bool:
        self.occasions += 1
        if self.occasions % self.fault.every:
            return False
        self.triggered, self.triggered_at = self.triggered + 1, now
        return True


class Faults:
    """What is armed now. `server` gives server time in seconds since 1970."""

    def __init__(self, server: Callable[[], float]) -> None:
        self._server = server
        self._armed: dict[int, _Armed] = {}
        self._kinds: dict[FaultKind, list[_Armed]] = {}
        self._last = 0
        self.affect_frames = False  # whether a fault of a kind that changes frames is armed

    def arm(self, fault: Fault) -> int:
        """Return its number, for `disarm`."""
        if len(self._armed) >= MAX_ARMED:
            raise InvalidValue(f"{MAX_ARMED} faults are armed already: disarm some first")
        self._last += 1
        self._armed[self._last] = _Armed(self._last, fault, self._server())
        self._sort()
        return self._last

    def disarm(self, number: int) -> bool:
        """Return False when there is none of that number."""
        known = self._armed.pop(number, None) is not None
        self._sort()
        return known

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()
        self._sort()

    def describe(self) -> list[dict[str, Any]]:
        """Return everything armed as JSON, spent ones too, with `id`, `struck` (how often) and `in_force`."""
        now = self._server()
        return [
            {
                "id": armed.number,
                **asdict(armed.fault),
                "kind": armed.fault.kind.value,
                "struck": armed.triggered,
                "in_force": armed.in_force(now),
            }
            for armed in self._armed.values()
        ]

    def trigger(
        self, kind: FaultKind, *, channel: str = "", symbol: str = "", method: str = ""
    ) -> Fault | None:
        """Return the fault that happens at this occasion, and count it; None when all goes well."""
        for armed in self._in_force(kind):
            fault = armed.fault
            if fault.by_clock or not fault.concerns(channel, symbol, method):
                continue
            if armed.trigger(self._server()):
                return fault
        return None

    def trigger_frame(self, kind: FaultKind, channel: str, symbol: str, method: str) -> Fault | None:
        """Trigger a fault of a frame; a heartbeat or a response is only hit by a fault that names it.

        Silence of other channels must not make the connection look dead.
        """
        armed = self._kinds.get(kind, ())
        if channel == HEARTBEAT and not any(one.fault.channel == HEARTBEAT for one in armed):
            return None
        if not channel and not any(method and one.fault.method == method for one in armed):
            return None
        return self.trigger(kind, channel=channel, symbol=symbol, method=method)

    def times_triggered(self, fault: Fault) -> int:
        return next(armed.triggered for armed in self._armed.values() if armed.fault is fault)

    def status(self, pair: Pair | None, own: PairStatus = PairStatus.ONLINE) -> PairStatus:
        """Return the strictest of the status of the pair (None: the exchange as a whole) and what faults make it."""
        symbol = "" if pair is None else str(pair)
        for kind, status in STATUSES.items():
            if status is own or any(armed.fault.symbol in ("", symbol) for armed in self._in_force(kind)):
                return status
        return own

    def skew(self) -> float:
        """Return the seconds by which the clock that clients see is wrong."""
        together = sum(armed.fault.seconds for armed in self._in_force(FaultKind.CLOCK_SKEW))
        return max(-MAX_SECONDS, min(MAX_SECONDS, together))

    def trigger_disconnect(self) -> bool:
        """Return, and count, whether the clock says to close all connections now; to be asked often."""
        now, due = self._server(), False
        for armed in self._in_force(FaultKind.DISCONNECT):
            if armed.fault.by_clock and now >= armed.triggered_at + armed.fault.seconds:
                due = armed.trigger(now) or due
        return due

    def _in_force(self, kind: FaultKind) -> Iterator[_Armed]:
        armed = self._kinds.get(kind)
        if armed:
            now = self._server()
            yield from (one for one in armed if one.in_force(now))

    def _sort(self) -> None:
        self._kinds = {}
        for armed in self._armed.values():
            self._kinds.setdefault(armed.fault.kind, []).append(armed)
        self.affect_frames = not FRAME_KINDS.isdisjoint(self._kinds)
