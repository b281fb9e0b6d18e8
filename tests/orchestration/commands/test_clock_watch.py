"""A clock that is too far from the venue's is told of once, and once more when it is right again."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from ml.decision.clock import ClockReading
from orchestration.commands.clock_watch import ClockWatch
from trading.errors import StoreUnreachable

LIMIT = 2.0


class Watched:
    def __init__(self) -> None:
        self.skew: float | None = 0.0
        self.told: list[tuple[str, str]] = []
        build: Callable[[], Any] = self.services
        self.watch = ClockWatch(self.publish, build)

    def services(self) -> Any:
        reading = ClockReading(datetime(2024, 5, 6, tzinfo=UTC), "a test", self.skew)
        risk = SimpleNamespace(clock_skew_seconds=LIMIT)
        return SimpleNamespace(clock=lambda: reading, settings=SimpleNamespace(risk=risk))

    def publish(self, severity: str, text: str) -> None:
        self.told.append((severity, text))

    def look(self, *skews: float | None) -> list[str]:
        for self.skew in skews:
            self.watch.look()
        return [severity for severity, _ in self.told]


def test_a_clock_that_is_off_is_told_of_once_and_again_when_it_is_right() -> None:
    watched = Watched()
    assert watched.look(0.0, LIMIT, -LIMIT) == []
    assert watched.look(10.0, 10.5, -3.0) == ["warning"]
    assert "this machine's clock is +10.0 s from the venue's, at most 2 s" in watched.told[0][1]
    assert watched.look(0.1, 0.0, -10.0) == ["warning", "info", "warning"]


def test_a_venue_that_does_not_tell_its_time_says_nothing() -> None:
    watched = Watched()
    assert watched.look(None, 10.0, None, 10.0, None, 0.0) == ["warning", "info"]


def test_what_could_not_be_told_is_told_with_the_next_look() -> None:
    watched = Watched()

    def away(severity: str, text: str) -> None:
        raise StoreUnreachable("PostgreSQL does not answer")

    watched.watch.publish = away
    with pytest.raises(StoreUnreachable):
        watched.look(10.0)
    watched.watch.publish = watched.publish
    assert watched.look(10.0) == ["warning"]
