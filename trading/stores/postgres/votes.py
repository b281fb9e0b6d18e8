"""Recorded votes, as one table."""

from datetime import datetime

import polars as pl

from trading.ports import DESK, VOTE_SCHEMA
from trading.stores.postgres.connection import Database

# A decision may be made long after its candle: a span is one of candles. `evidence` may say what asking has cost.
_VOTES = """
WITH decided AS MATERIALIZED (
    SELECT decision_id, pair, model, action, confidence, coalesce((receipt->>'shadow')::boolean, false) AS shadow,
           (receipt->>'candle_close_time')::timestamptz AS closed_at,
           receipt->>'scope' AS scope
    FROM trade_decisions WHERE dataset = %(dataset)s
), voted AS (
    SELECT decision_id, agent, model, action, confidence, coalesce((evidence->>'usd')::float8, 0) AS usd
    FROM agent_opinions
    UNION ALL
    SELECT decision_id, %(desk)s, model, action, confidence, 0 FROM decided WHERE scope IS DISTINCT FROM 'proposed'
)
SELECT decision_id, closed_at, pair, voted.agent, voted.model, voted.action, voted.confidence, shadow, usd
FROM voted JOIN decided USING (decision_id)
WHERE closed_at >= %(start)s AND closed_at < %(end)s
"""


class PostgresVotes:
    """`dataset` keeps votes on real and on simulated candles apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def read(self, start: datetime, end: datetime) -> pl.DataFrame:
        values = {"dataset": self._dataset, "desk": DESK, "start": start, "end": end}
        rows = self._database.execute(_VOTES, values)
        return pl.DataFrame(rows, schema=VOTE_SCHEMA, orient="row")
