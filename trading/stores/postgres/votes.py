"""Recorded votes, as one table."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from trading.ports import DESK, VOTE_SCHEMA
from trading.stores.postgres.connection import Database

# A decision may be made long after its candle: a span is one of candles. `evidence` may say what asking has cost.
# Receipts are large: of some models' votes those alone are read that have one.
_VOTES = """
WITH voted AS MATERIALIZED (
    SELECT decision_id, agent, model, action, confidence, coalesce((evidence->>'usd')::float8, 0) AS usd
    FROM agent_opinions WHERE {of_models}
    UNION ALL
    SELECT decision_id, %(desk)s, model, action, confidence, 0 FROM trade_decisions
    WHERE dataset = %(dataset)s AND {of_models}
), decided AS MATERIALIZED (
    SELECT decision_id, pair, coalesce((receipt->>'shadow')::boolean, false) AS shadow,
           (receipt->>'candle_close_time')::timestamptz AS closed_at,
           receipt->>'scope' AS scope
    FROM trade_decisions WHERE dataset = %(dataset)s AND {of_votes}
)
SELECT decision_id, closed_at, pair, agent, model, action, confidence, shadow, usd
FROM voted JOIN decided USING (decision_id)
WHERE closed_at >= %(start)s AND closed_at < %(end)s AND (agent <> %(desk)s OR scope IS DISTINCT FROM 'proposed')
"""
_ALL = _VOTES.format(of_models="true", of_votes="true")
_OF_MODELS = _VOTES.format(
    of_models="model = ANY(%(models)s)", of_votes="decision_id IN (SELECT decision_id FROM voted)"
)


class PostgresVotes:
    """`dataset` keeps votes on real and on simulated candles apart."""

    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def read(self, start: datetime, end: datetime, models: Sequence[str] | None = None) -> pl.DataFrame:
        values = {"dataset": self._dataset, "desk": DESK, "start": start, "end": end}
        if models is None:
            rows = self._database.execute(_ALL, values)
        else:
            rows = self._database.execute(_OF_MODELS, values | {"models": list(models)})
        return pl.DataFrame(rows, schema=VOTE_SCHEMA, orient="row")
