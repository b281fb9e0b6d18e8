"""How often the private WebSocket is opened, and how it ends."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from trading.errors import VenueUnreachable
from trading.venues.kraken.rate_limits import CONNECTION_LIMIT
from trading.venues.kraken.websocket_connection import (
    INSTANT_RETRIES,
    MAX_PAUSE,
    KeptConnection,
    reconnect_pause,
)
from trading.venues.kraken.websocket_link import Link

BANNED_AT = 150  # attempts in ten minutes, of all programs behind one address
WINDOW = 600.0  # seconds


@pytest.mark.parametrize("was_open", [True, False], ids=["drops at once", "never opens"])
def test_attempts_stay_far_from_what_kraken_bans(was_open: bool) -> None:
    for seed in range(20):
        random, elapsed = Random(seed), 0.0
        for failures in itertools.count(1):
            elapsed += reconnect_pause(failures, was_open, random)
            if elapsed > WINDOW:
                break
        assert failures < BANNED_AT / 4


def test_all_processes_together_leave_room_for_the_streams_of_market_data() -> None:
    streams = 0.8 * BANNED_AT
    assert streams + CONNECTION_LIMIT.maximum + CONNECTION_LIMIT.decay * WINDOW < BANNED_AT


def test_a_drop_is_mended_at_once_and_a_failed_attempt_is_not() -> None:
    assert reconnect_pause(INSTANT_RETRIES, True, Random(1)) == 0
    assert reconnect_pause(INSTANT_RETRIES + 1, True, Random(1)) > 0
    assert reconnect_pause(1, False, Random(1)) >= 1


def test_pauses_have_a_limit() -> None:
    assert MAX_PAUSE / 2 <= reconnect_pause(10_000, False, Random(1)) <= MAX_PAUSE


def test_a_connection_that_is_collected_on_its_own_thread_ends() -> None:
    problems: list[Exception] = []
    ended = threading.Event()

    @contextmanager
    def closes() -> Iterator[Link]:
        try:
            connection.close()
        except Exception as error:
            problems.append(error)
        ended.set()
        raise VenueUnreachable("closed")
        yield

    connection = KeptConnection(closes, lambda: None, patience=0.0)
    connection.open()
    assert ended.wait(60)
    assert problems == []
