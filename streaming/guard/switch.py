"""The dead man's switch of a venue: when it is armed, refreshed and turned off (decision 31). No clock and no socket.

Kraken's cancels every order of the account, stops too, and closes nothing. So it is armed only while something is at
the venue that must not outlive this process, and nothing rests or may come to rest there that protects a position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trading.ports import AccountView

REFRESHES = 3  # in the time after which it triggers: Kraken wants 15 to 30 s for 60


class SwitchState(StrEnum):
    """What is known of it at the venue."""

    UNKNOWN = "unknown"  # a process before this one may have armed it, or a call whose answer was lost
    OFF = "off"
    ARMED = "armed"
    NOT_REFRESHED = "not refreshed"  # armed, and left to trigger: an input is not well


@dataclass(slots=True)
class Switch:
    """`due` says what to tell the venue next; `told` that it has been told, `lost` that nobody knows."""

    seconds: int  # after which it triggers
    state: SwitchState = SwitchState.UNKNOWN
    problems: Sequence[str] = ()  # why it is not refreshed
    _told_at: float = 0.0

    def due(self, view: AccountView, problems: Sequence[str], now: float) -> int | None:
        """Return the seconds to set it to now, 0 to turn it off; None: nothing is to be said.

        `problems`: what of its inputs is not well. It is armed without asking for them: it takes nothing away but what
        must not outlive this process, which is worth the more when something is not well. It is refreshed only while
        all is well.
        """
        self.problems = ()
        if not view.opening_orders or view.needs_stops:
            return None if self.state is SwitchState.OFF else 0
        since = now - self._told_at
        if self.state in (SwitchState.UNKNOWN, SwitchState.OFF) or since > self.seconds:
            return self.seconds
        if problems:
            self.problems, self.state = tuple(problems), SwitchState.NOT_REFRESHED
            return None
        self.state = SwitchState.ARMED
        return self.seconds if since >= self.seconds / REFRESHES else None

    def told(self, seconds: int, now: float) -> None:
        """Note that the venue has taken it, by an answer to a call that began at `now`."""
        self.state = SwitchState.ARMED if seconds else SwitchState.OFF
        self._told_at = now

    def lost(self) -> None:
        """Note that a call to the venue failed: it may have been taken all the same."""
        self.state = SwitchState.UNKNOWN
