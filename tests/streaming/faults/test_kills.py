"""kill -9 at random moments of a running market: afterwards the stores equal the sandbox's export."""

import random
import time

import pytest

from tests.streaming.faults.faulted_stream import FaultedStream, market_going_on

SEED = 20240302
KILLS, SOAK_KILLS = 50, 500
SPEED = 60.0  # market seconds per second
LONGEST_LIFE = 0.8  # seconds from start to kill: before it has connected, while it catches up, after that


@pytest.mark.parametrize("kills", [KILLS, pytest.param(SOAK_KILLS, marks=pytest.mark.soak)])
def test_killed_at_random_moments_nothing_is_lost_or_doubled(stream: FaultedStream, kills: int) -> None:
    chance = random.Random(SEED)
    stream.play(120)
    with market_going_on(stream, SPEED):
        for _ in range(kills):
            time.sleep(chance.uniform(0, LONGEST_LIFE))
            stream.kill()
            stream.start(wait=False)
        stream.until(stream.is_live)
    stream.settle()
    [(epoch,)] = stream.rows("SELECT epoch FROM stream_leases")
    assert epoch > 1
