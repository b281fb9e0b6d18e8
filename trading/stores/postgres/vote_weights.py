"""Versions of the weights of votes in PostgreSQL."""

from datetime import datetime

from trading.errors import InvalidValue
from trading.stores.postgres.connection import Database

_NEWEST = """
SELECT content, known_at FROM vote_weights
WHERE dataset = %(dataset)s AND known_at < coalesce(%(before)s::timestamptz, 'infinity')
ORDER BY known_at DESC, number DESC LIMIT 1
"""
_RECORD = """
INSERT INTO vote_weights (dataset, version, content, known_at)
VALUES (%(dataset)s, %(version)s, %(content)s, %(known_at)s) ON CONFLICT (dataset, version) DO NOTHING
"""


class PostgresWeights:
    """`dataset` keeps records on real and on simulated candles apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def record(self, version: str, content: str, known_at: datetime) -> None:
        row = {"dataset": self._dataset, "version": version, "content": content, "known_at": known_at}
        with self._database.transaction() as connection:
            connection.execute("LOCK TABLE vote_weights IN SHARE ROW EXCLUSIVE MODE")
            newest = connection.execute(_NEWEST, {"dataset": self._dataset, "before": None}).fetchone()
            if newest and newest["known_at"] > known_at:
                raise InvalidValue(
                    f"weights known at {newest['known_at']:%Y-%m-%d %H:%M:%S} UTC are stored: older ones "
                    f"({known_at:%Y-%m-%d %H:%M:%S}) would change what decisions since then are tested with"
                )
            connection.execute(_RECORD, row)

    def newest(self, before: datetime) -> str | None:
        rows = self._database.execute(_NEWEST, {"dataset": self._dataset, "before": before})
        return rows[0]["content"] if rows else None

    def history(self) -> list[str]:
        statement = "SELECT content FROM vote_weights WHERE dataset = %(dataset)s ORDER BY known_at, number"
        return [row["content"] for row in self._database.execute(statement, {"dataset": self._dataset})]
