"""The analytical store of candles and features: the Parquet lake, or ClickHouse. Opens no connection."""

from pathlib import Path

import polars as pl

from orchestration.settings import lake_folder
from orchestration.settings_schema import Settings
from trading.market import CANDLE_SCHEMA
from trading.order_book_features import ORDER_BOOK_SCHEMA
from trading.ports import TableStore
from trading.stores.clickhouse import ClickHouse, ClickHouseTable
from trading.stores.lake import LakeTable


def candle_table(settings: Settings, home: Path) -> TableStore:
    return _table(settings, home, "ohlcv", CANDLE_SCHEMA)


def feature_table(settings: Settings, home: Path) -> TableStore:
    return _table(settings, home, "features", None)


def order_book_table(settings: Settings, home: Path) -> TableStore:
    return _table(settings, home, "order_book", ORDER_BOOK_SCHEMA)


def query_tables(settings: Settings, home: Path, query: str) -> pl.DataFrame:
    """Run one SELECT of a person: in DuckDB's SQL over the lake, in ClickHouse's own where that is chosen."""
    if in_clickhouse(settings):
        from trading.stores.clickhouse.sql import run_query

        return run_query(dataset_database(settings), query)
    from trading.stores.lake_query import run_sql

    return run_sql(lake_folder(home, settings), query)


def in_clickhouse(settings: Settings) -> bool:
    return settings.analytics.store == "clickhouse"


def dataset_database(settings: Settings) -> ClickHouse:
    """Return the database of the chosen dataset: real and simulated candles lie apart, as in the lake."""
    name = settings.market.universe.dataset.replace("-", "_")
    return ClickHouse.at(
        settings.analytics.clickhouse_url, f"{settings.analytics.clickhouse_database}_{name}"
    )


def tape_database(settings: Settings) -> ClickHouse:
    """Return the database of the tape, whose rows name their venue."""
    return ClickHouse.at(settings.analytics.clickhouse_url, settings.analytics.clickhouse_database)


def _table(settings: Settings, home: Path, name: str, schema: pl.Schema | None) -> TableStore:
    if in_clickhouse(settings):
        return ClickHouseTable(dataset_database(settings), name, schema)
    return LakeTable(lake_folder(home, settings) / name, schema)
