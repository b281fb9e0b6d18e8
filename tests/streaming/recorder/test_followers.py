"""The sinks beside the stream: a person is told of one that falls behind."""

import asyncio

from streaming.recorder.followers import MAX_FAILING, MAX_LAG, FollowerMetrics, Followers
from streaming.recorder.metrics import StreamMetrics
from trading.errors import StoreUnreachable


async def _told_of(*lags: int) -> list[tuple[str, str, str]]:
    alerts: list[tuple[str, str, str]] = []
    told = FollowerMetrics(StreamMetrics())
    followers = Followers([], told, lambda *alert: alerts.append(alert))
    for lag in lags:
        told.lag("analytical", {"trades": lag, "book": 1})
        stop = asyncio.Event()
        running = asyncio.create_task(followers.run(stop))
        for _ in range(3):  # turns until it has looked once
            await asyncio.sleep(0)
        stop.set()
        await running
    return alerts


def test_a_sink_that_falls_behind_is_an_alert() -> None:
    alerts = asyncio.run(_told_of(0, MAX_LAG - 1, MAX_LAG, 0))
    assert alerts == [("lag", "warning", f"analytical is {MAX_LAG + 1} records behind")]


def test_a_sink_whose_store_stays_away_makes_the_stream_unwell_until_it_writes_again() -> None:
    told = FollowerMetrics(StreamMetrics())
    followers = Followers([], told, lambda *alert: None)
    told.failed("analytical", StoreUnreachable("the broker is away"), 0.5)
    assert followers.health() == []
    told.failing_since["analytical"] -= MAX_FAILING + 1
    told.failed("analytical", StoreUnreachable("the broker is away"), 30.0)
    assert followers.health() == ["analytical has written nothing for 31 s: the broker is away"]
    told.written("analytical", 1, 0.1)
    assert followers.health() == []
