"""How far a venue's clock is ahead of this machine's, and how surely that is known."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """The venue's clock less this machine's: below zero where the machine is ahead."""

    seconds: float
    uncertainty: float  # seconds: the true skew lies between `seconds` less this and `seconds` plus this

    @classmethod
    def between(cls, sent: float, received: float, second: float, resolution: float = 1.0) -> "ClockSkew":
        """Return what a venue that named `second` between two times of this machine's clock can mean.

        All in seconds since 1970; the venue cuts its time down to a multiple of `resolution`.
        """
        lowest, highest = second - received, second + resolution - sent
        return cls((lowest + highest) / 2, (highest - lowest) / 2)

    def surely_exceeds(self, limit: float) -> bool:
        """Return whether the clocks differ by more than `limit` seconds whatever the true skew is."""
        return abs(self.seconds) - self.uncertainty > limit

    def venue_time(self, machine: datetime) -> datetime:
        """Return the venue's time, as far as it is known, at a time of this machine's clock."""
        return machine + timedelta(seconds=self.seconds)

    def __str__(self) -> str:
        direction = "behind" if self.seconds > 0 else "ahead of"
        return (
            f"{abs(self.seconds):.1f} s {direction} the venue's clock (give or take {self.uncertainty:.1f} s)"
        )
