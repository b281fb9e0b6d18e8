"""The repair of feed gaps beside a sandbox, whose server's clock is not that of its market."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from orchestration.commands.sandbox_truth import SandboxTruth
from orchestration.settings import load_settings
from orchestration.stream_repair import repair
from streaming.events import Candle, Trade
from tests.streaming.sandbox.running import sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, STARTS
from trading.feed_gaps import FeedGap, MissingKind
from trading.market import Pair
from trading.stores.postgres.gaps import PostgresGaps

LASTS = FeedGap("sandbox", BTC, STARTS, None, None, None, MissingKind.FEED_GAP, "a test", STARTS)


@dataclass
class Stream:
    """Ends with the first page of history that it gets."""

    venue_now: Callable[[], datetime]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    trades: list[Trade] = field(default_factory=list)
    until: datetime | None = None

    async def backfill(self, gap: FeedGap, trades: Sequence[Trade], until: datetime | None) -> None:
        self.trades += trades
        self.until = until
        self.stop.set()

    def suspects(self) -> Mapping[Pair, list[datetime]]:
        return {}

    def confirm(self, committed: Sequence[Candle]) -> None:
        raise AssertionError("nothing was suspected")


def test_nothing_is_proven_beyond_the_time_of_the_sandboxs_market(tmp_path: Path, dsn: str) -> None:
    """Its server's own time is the machine's: years later, in which nothing would have traded."""
    with sandbox(tmp_path / "sandbox") as exchange:
        exchange.advance(600)
        PostgresGaps(dsn).open([LASTS])
        port = exchange.url.rpartition(":")[2]
        home = {"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": "sandbox"}
        settings = load_settings(home | {"MARKETLOOM__SANDBOX__PORT": port})
        stream = Stream(SandboxTruth(exchange.url).market_now)
        asyncio.run(asyncio.wait_for(repair(settings, tmp_path, dsn, stream, stream.stop), 60))
        assert stream.until is not None
        assert STARTS + timedelta(minutes=9) < stream.until < STARTS + timedelta(minutes=10)
        assert len(stream.trades) > 10
