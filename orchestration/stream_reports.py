"""Reports of the streaming process to Dagster, offered once a second; the reporter takes one a minute."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.settings_schema import Settings
from orchestration.stored_facts import StoredFacts
from orchestration.stream_stores import build_tape
from orchestration.system import reporting_instance
from orchestration.tape_reports import TapeReporter, TapeReports
from trading.stores.postgres.gaps import PostgresGaps

OFFER_SECONDS = 1.0


def build_reporter(settings: Settings, home: Path, dsn: str, dagster_url: str) -> TapeReporter:
    """Build what writes observations of `market_tape`; it opens Dagster's instance with its first report."""
    tape = build_tape(settings, home)
    return TapeReporter(
        lambda: reporting_instance(home, dagster_url),
        tape,
        settings.market.universe,
        StoredFacts(settings, dsn, tape).read,
        PostgresGaps(dsn),
    )


async def report(
    reporter: TapeReporter,
    status: Callable[[], Awaitable[dict[str, Any]]],
    now: Callable[[], datetime],
    stop: asyncio.Event,
) -> None:
    """Offer the stream's facts until `stop`. Dagster that is slow or away never delays the stream."""
    reports = TapeReports(reporter)
    while not stop.is_set():
        reports.offer(await status(), now())
        try:
            await asyncio.wait_for(stop.wait(), OFFER_SECONDS)
        except TimeoutError:
            continue
    facts = await status()
    await asyncio.to_thread(reports.close, facts, now())
