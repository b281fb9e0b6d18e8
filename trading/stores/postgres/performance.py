"""Track records of models in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Database, insert
from trading.stores.store_checks import SCORE_COLUMNS, check_scores


class PostgresPerformance:
    """`dataset` keeps scores on real and on simulated candles apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def replace_day(self, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        check_scores(day, rows)
        with self._database.transaction() as connection:
            key = (self._dataset, day)
            connection.execute("DELETE FROM model_performance WHERE dataset = %s AND day = %s", key)
            for row in rows:
                insert(connection, "model_performance", self._columns(day, row))

    def _columns(self, day: date, row: Mapping[str, Any]) -> dict[str, Any]:
        others = {name: value for name, value in row.items() if name not in SCORE_COLUMNS}
        named = {name: row[name] for name in SCORE_COLUMNS} | {"pair": str(row["pair"])}
        return {"dataset": self._dataset, "day": day, **named, "metrics": json_text(others)}

    def read(self, start: date, end: date) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM model_performance WHERE dataset = %s AND day >= %s AND day < %s "
                'ORDER BY day, pair COLLATE "C", model COLLATE "C", mode COLLATE "C"',
                (self._dataset, start, end),
            ).fetchall()
        return [
            {"day": row["day"], **{name: row[name] for name in SCORE_COLUMNS}, **row["metrics"]}
            for row in rows
        ]
