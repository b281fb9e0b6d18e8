"""The tape in memory."""

from datetime import datetime

import polars as pl

from trading.closed_candles import ClosedCandle
from trading.market import Pair
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_KEYS, TAPE_SCHEMAS


class MemoryTape:
    """Rows by table and batch, each row once as it is read."""

    def __init__(self) -> None:
        self._batches: dict[tuple[TapeTable, str], pl.DataFrame] = {}

    def append(self, table: TapeTable, rows: pl.DataFrame, batch: str) -> None:
        assert rows.schema == TAPE_SCHEMAS[table], rows.schema
        self._batches[table, batch] = rows

    def read(self, table: TapeTable, origin: str, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        time = pl.col(_time(table))
        return (
            self._all(table)
            .filter(pl.col("origin") == origin, pl.col("pair") == pair.key, time >= start, time < end)
            .sort(_time(table), "known_at")
        )

    def rows(self, table: TapeTable, origin: str) -> int:
        return self._all(table).filter(pl.col("origin") == origin).height

    def newest(self, table: TapeTable, origin: str, pair: Pair) -> datetime | None:
        rows = self._all(table).filter(pl.col("origin") == origin, pl.col("pair") == pair.key)
        newest = rows[_time(table)].max()
        assert newest is None or isinstance(newest, datetime)
        return newest

    def compact(self, before: datetime) -> None:
        """Do nothing: there are no files."""

    def _all(self, table: TapeTable) -> pl.DataFrame:
        parts = [rows for (of, _), rows in self._batches.items() if of is table]
        frame = pl.concat(parts) if parts else TAPE_SCHEMAS[table].to_frame()
        return frame.unique(TAPE_KEYS[table], keep="first", maintain_order=True)


def _time(table: TapeTable) -> str:
    return "open_time" if table is TapeTable.CANDLES else "at"


def tape_rows(*candles: ClosedCandle) -> pl.DataFrame:
    """Return the candles as rows of the tape."""
    rows = [
        {
            **{name: getattr(each, name) for name in TAPE_SCHEMAS[TapeTable.CANDLES] if hasattr(each, name)},
            "pair": each.pair.key,
            "timeframe": each.timeframe.value,
            "basis": each.basis.value,
        }
        for each in candles
    ]
    return pl.DataFrame(rows, schema=TAPE_SCHEMAS[TapeTable.CANDLES])
