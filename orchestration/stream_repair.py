"""Repair of feed gaps and doubts about candles, built from the settings: a thread that reads the venue's history."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog

from orchestration.settings_schema import Settings
from orchestration.sources import kraken_client, sandbox_public_client
from streaming.events import Candle, Trade
from streaming.recorder.repair import RepairWorker
from streaming.recorder.venue_candles import VenueCandles
from trading.errors import MarketloomError
from trading.feed_gaps import FeedGap
from trading.history.missed_trades import MissedTrades
from trading.market import Pair
from trading.stores.postgres.gaps import PostgresGaps
from trading.venues.kraken import KrakenClient

PAUSE = 1.0  # seconds between two looks into the ledger
LOG = structlog.get_logger("stream.repair")


class Recording(Protocol):
    """What a `StreamProcess` takes; see there."""

    def venue_now(self) -> datetime: ...

    async def backfill(self, gap: FeedGap, trades: Sequence[Trade], until: datetime | None) -> None: ...

    def suspects(self) -> Mapping[Pair, list[datetime]]: ...

    def confirm(self, committed: Sequence[Candle]) -> None: ...


class _Stopping(Exception):
    """The stream ends: the rest is repaired after the next start."""


def history_client(settings: Settings, home: Path) -> KrakenClient | None:
    """Build what reads the source's past over REST; None where it gives out no trades of the past."""
    if settings.market.source == "kraken":
        return kraken_client(settings, home)
    if settings.market.source == "sandbox":
        return sandbox_public_client(settings, home)
    return None


async def repair(
    settings: Settings,
    home: Path,
    dsn: str,
    venue: Recording,
    stop: asyncio.Event,
) -> None:
    """Work off the ledger, and read the venue's candles where ours seem to differ, until `stop`.

    An error that nobody expected is raised.
    """
    loop = asyncio.get_running_loop()

    def deliver(gap: FeedGap, trades: Sequence[Trade], until: datetime) -> None:
        if stop.is_set():
            raise _Stopping
        asyncio.run_coroutine_threadsafe(venue.backfill(gap, trades, until), loop).result()

    with history_client(settings, home) or nullcontext() as client:
        origin = settings.market.origin
        # Never the clock of a venue's server: a sandbox's is the machine's, years after its market.
        history = None if client is None else MissedTrades(client, origin, venue.venue_now)
        worker = RepairWorker(origin, PostgresGaps(dsn), history, deliver, venue.venue_now)
        candles = None if client is None else VenueCandles(client)
        while not stop.is_set():
            try:
                await asyncio.to_thread(worker.run_once)
                if candles is not None and (suspects := venue.suspects()):
                    venue.confirm(await asyncio.to_thread(candles.read, suspects))
            except _Stopping:
                return
            except MarketloomError as error:
                LOG.warning("repair waits", why=str(error))
            try:
                await asyncio.wait_for(stop.wait(), PAUSE)
            except TimeoutError:
                continue
