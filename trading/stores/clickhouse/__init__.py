"""ClickHouse back ends of the ports: one class per port."""

from trading.stores.clickhouse.connection import ClickHouse
from trading.stores.clickhouse.table import ClickHouseTable
from trading.stores.clickhouse.tape import ClickHouseTape

__all__ = ["ClickHouse", "ClickHouseTable", "ClickHouseTape"]
