"""The repair of the stream's feed gaps, built from the settings: a thread that reads the venue's history."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

import structlog

from orchestration.feeds import sandbox_time
from orchestration.settings_schema import Settings
from orchestration.sources import kraken_client, sandbox_public_client
from streaming.events import Trade
from streaming.recorder.repair import RepairWorker, TradeHistory
from trading.errors import MarketloomError
from trading.feed_gaps import FeedGap
from trading.history.missed_trades import MissedTrades
from trading.stores.postgres.gaps import PostgresGaps

PAUSE = 1.0  # seconds between two looks into the ledger
LOG = structlog.get_logger("stream.repair")
Backfill = Callable[[FeedGap, Sequence[Trade], datetime], Awaitable[None]]


class _Stopping(Exception):
    """The stream ends: the rest is repaired after the next start."""


def trade_history(settings: Settings, home: Path) -> TradeHistory | None:
    """Build what gives out the source's trades of the past; None where it gives out none."""
    market = settings.market
    if market.source == "kraken":
        return MissedTrades(kraken_client(settings, home), market.origin)
    if market.source == "sandbox":
        clock = sandbox_time(settings.sandbox.url)  # its server's time is the machine's, not its market's
        return MissedTrades(sandbox_public_client(settings, home), market.origin, clock)
    return None


async def repair(
    settings: Settings,
    home: Path,
    dsn: str,
    backfill: Backfill,
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> None:
    """Work off the ledger until `stop`. An error that nobody expected is raised."""
    loop = asyncio.get_running_loop()

    def deliver(gap: FeedGap, trades: Sequence[Trade], until: datetime) -> None:
        if stop.is_set():
            raise _Stopping
        asyncio.run_coroutine_threadsafe(_awaited(backfill(gap, trades, until)), loop).result()

    worker = RepairWorker(
        settings.market.origin, PostgresGaps(dsn), trade_history(settings, home), deliver, now
    )
    while not stop.is_set():
        try:
            await asyncio.to_thread(worker.run_once)
        except _Stopping:
            return
        except MarketloomError as error:
            LOG.warning("gaps wait", why=str(error))
        try:
            await asyncio.wait_for(stop.wait(), PAUSE)
        except TimeoutError:
            continue


async def _awaited(work: Awaitable[None]) -> None:
    await work
