"""At which market time a sandbox begins, and begins again."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from streaming.sandbox.model import Bar
from streaming.sandbox.server import Opening, Running, SandboxServer
from tests.streaming.sandbox.simulated_exchange import BTC, CONFIG, STARTS, opening

LATER = STARTS + timedelta(hours=3)

pytestmark = pytest.mark.anyio


async def run_server(
    folder: Path, start: datetime = STARTS, speed: float = 0.0, resumes: bool = False, advance: float = 0
) -> tuple[datetime, list[Bar]]:
    """Return market time when it listened, and the hourly candles; then `advance` seconds of market, and its end."""
    terms: Opening = replace(opening(), start=start, resumes=resumes)
    server = SandboxServer(replace(CONFIG, speed=speed), terms, folder)
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    found: list[tuple[datetime, list[Bar]]] = []
    stop = asyncio.Event()

    def on_ready(running: Running) -> None:
        found.append((running.exchange.market_now(), running.exchange.tape(BTC).bars(60)))
        ready.set_result(running)

    serving = asyncio.create_task(server.run(stop, on_ready))
    await asyncio.wait((serving, ready), return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and advance:
        await ready.result().player.advance(found[0][0] + timedelta(seconds=advance))
    stop.set()
    await serving
    return found[0]


async def test_a_simulated_market_has_gone_on_while_the_server_was_stopped(tmp_path: Path) -> None:
    await run_server(tmp_path / "one", advance=600)
    now, bars = await run_server(tmp_path / "one", LATER, speed=1)
    assert now - LATER < timedelta(minutes=1)
    assert bars == (await run_server(tmp_path / "two", LATER, speed=1))[1]


async def test_a_market_at_speed_0_is_still_where_it_stopped(tmp_path: Path) -> None:
    await run_server(tmp_path, advance=600)
    stopped, bars = await run_server(tmp_path, LATER)
    assert stopped - STARTS <= timedelta(seconds=600)
    assert await run_server(tmp_path, LATER) == (stopped, bars)


async def test_a_replay_goes_on_where_it_stopped(tmp_path: Path) -> None:
    await run_server(tmp_path, advance=600)
    now, _ = await run_server(tmp_path, LATER, speed=1, resumes=True)
    assert now < STARTS + timedelta(minutes=11)


async def test_a_market_that_ran_ahead_does_not_wait_for_the_clock(tmp_path: Path) -> None:
    await run_server(tmp_path, advance=7200)
    terms = replace(opening(), start=STARTS + timedelta(minutes=1), resumes=False)
    server = SandboxServer(replace(CONFIG, speed=1.0), terms, tmp_path)
    with server._stores() as (store, _):
        exchange, clock = server._exchange(store)
        assert STARTS + timedelta(minutes=118) < clock.now() <= exchange.market_now()
        assert exchange.market_now() < STARTS + timedelta(minutes=121)
