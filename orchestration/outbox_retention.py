"""The stream's housekeeping: old messages leave the outbox; a person hears of it where a group had not read them."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from orchestration.settings_schema import BusSettings
from streaming.bus.postgres import PostgresBus
from trading.bus_messages import alert
from trading.errors import MarketloomError
from trading.stores.postgres.retention import Pruned, prune

LOG = structlog.get_logger("marketloom.retention")
PRUNE_SECONDS = 3600.0  # between two rounds


async def keep_outbox_short(settings: BusSettings, dsn: str, ended: asyncio.Event) -> None:
    """Prune at once and then every hour until `ended`; what fails is tried again with the next round."""
    while not ended.is_set():
        try:
            await asyncio.to_thread(prune_and_alert, settings, dsn)
        except MarketloomError as error:
            LOG.warning("the outbox was not pruned", why=str(error))
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), PRUNE_SECONDS)


def prune_and_alert(settings: BusSettings, dsn: str) -> Pruned:
    """Delete what was kept long enough, and publish an alert if a group had not read some of it."""
    pruned = prune(dsn, timedelta(hours=settings.retention_hours))
    if pruned.deleted or pruned.forgotten:
        LOG.info("pruned", deleted=pruned.deleted, forgotten=pruned.forgotten)
    if pruned.problem:
        LOG.error(pruned.problem)
        bus = PostgresBus(dsn)
        bus.publish([alert("stream", "retention", "error", pruned.problem, datetime.now(UTC))])
        bus.close()
    return pruned
