"""The promotion log in PostgreSQL."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading.market import Pair
from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Database, insert


class PostgresPromotions:
    """`dataset` keeps policies that learned from real and from simulated candles apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def record(
        self, pair: Pair, policy_id: str, promoted: bool, evidence: Mapping[str, Any], at: datetime
    ) -> None:
        row = {
            "dataset": self._dataset,
            "pair": str(pair),
            "policy_id": policy_id,
            "promoted": promoted,
            "evidence": json_text(dict(evidence)),
            "at": at,
        }
        with self._database.transaction() as connection:
            insert(connection, "promotions", row)

    def champion(self, pair: Pair, until: datetime | None = None) -> str | None:
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT policy_id FROM promotions WHERE dataset = %s AND pair = %s AND promoted "
                "AND at <= coalesce(%s::timestamptz, 'infinity') ORDER BY number DESC LIMIT 1",
                (self._dataset, str(pair), until),
            ).fetchone()
        return row["policy_id"] if row else None

    def history(self, pair: Pair) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT policy_id, promoted, evidence::text, at FROM promotions "
                "WHERE dataset = %s AND pair = %s ORDER BY number DESC",
                (self._dataset, str(pair)),
            ).fetchall()
        return [row | {"evidence": json.loads(row["evidence"])} for row in rows]
