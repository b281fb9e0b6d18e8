"""What the stream writes and the graph reads, built from the settings; opens no connection."""

from pathlib import Path

from orchestration.settings_schema import Settings
from orchestration.tables import in_clickhouse, tape_database
from trading.ports import MarketData, Tape
from trading.stream_coverage import StreamCoverage


def build_tape(settings: Settings, home: Path) -> Tape:
    """Build the analytical store of the stream: Parquet in the home folder, or ClickHouse.

    Every venue has files of its own: a batch's name says nothing about whose it is.
    """
    if in_clickhouse(settings):
        from trading.stores.clickhouse import ClickHouseTape

        return ClickHouseTape(tape_database(settings))
    from trading.stores.tape_lake import LakeTape

    return LakeTape(home / "tape" / settings.market.origin)


def build_market_data(settings: Settings, dsn: str) -> MarketData:
    """Build the operational store of closed candles, which announces those of the base timeframe."""
    from trading.stores.postgres import PostgresMarketData

    universe = settings.market.universe
    return PostgresMarketData(dsn, universe.origin, universe.dataset, universe.timeframe)


def build_coverage(settings: Settings, dsn: str, market_data: MarketData) -> StreamCoverage:
    """Build what says how complete the stream's candles are."""
    from trading.stores.postgres import PostgresGaps

    market = settings.market
    return StreamCoverage(
        origin=market.origin,
        timeframe=market.timeframe,
        market_data=market_data,
        ledger=PostgresGaps(dsn),
        max_unrepaired=settings.stream.max_unrepaired,
    )
