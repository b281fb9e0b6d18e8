"""How often the private WebSocket is opened."""

import itertools
from random import Random

import pytest

from trading.venues.kraken.rate_limits import CONNECTION_LIMIT
from trading.venues.kraken.websocket_connection import INSTANT_RETRIES, MAX_PAUSE, reconnect_pause

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
