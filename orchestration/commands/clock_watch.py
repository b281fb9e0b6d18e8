"""Tells a person of a clock that is too far from the venue's: entries are refused meanwhile, and it needs a hand."""

from collections.abc import Callable
from dataclasses import dataclass

from orchestration.clocks import skew_problem
from orchestration.services import Services


@dataclass
class ClockWatch:
    """Compares the clocks; publishes one alert when they are too far apart, and one when they agree again.

    A clock of the venue that cannot be read says nothing: that the venue is away is told of by others.
    """

    publish: Callable[
        [str, str], None
    ]  # severity and text; StoreUnreachable: it is told of with the next look
    build: Callable[[], Services] = Services.current
    _told: bool = False

    def look(self) -> None:
        services = self.build()
        skew, limit = services.clock().skew_seconds, services.settings.risk.clock_skew_seconds
        if skew is None:
            return
        problem = skew_problem(skew, limit)
        if problem and not self._told:
            self.publish(
                "warning",
                f"{problem}, at most {limit:g} s are allowed: no position is opened until they agree. Look at the "
                "machine's time service (`timedatectl`)",
            )
        elif self._told and not problem:
            self.publish("info", "this machine's clock and the venue's agree again")
        self._told = bool(problem)
