"""The sinks beside the stream: a person is told of one that falls behind."""

import asyncio

from streaming.recorder.followers import MAX_LAG, FollowerMetrics, Followers
from streaming.recorder.metrics import StreamMetrics


async def _told_of(*lags: int) -> list[tuple[str, str, str]]:
    alerts: list[tuple[str, str, str]] = []
    told = FollowerMetrics(StreamMetrics())
    followers = Followers([], told, lambda *alert: alerts.append(alert))
    for lag in lags:
        told.lag("analytical", {"trades": lag, "book": 1})
        stop = asyncio.Event()
        running = asyncio.create_task(followers.run(stop))
        await asyncio.sleep(0)
        stop.set()
        await running
    return alerts


def test_a_sink_that_falls_behind_is_an_alert() -> None:
    alerts = asyncio.run(_told_of(0, MAX_LAG - 1, MAX_LAG, 0))
    assert alerts == [("lag", "warning", f"analytical is {MAX_LAG + 1} records behind")]
