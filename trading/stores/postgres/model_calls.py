"""The record of model calls in PostgreSQL."""

from typing import Any

from psycopg.types.json import Jsonb

from trading.ports.model_calls import LATENCY_BUCKETS, ModelCall, ModelResponse, ModelUsage
from trading.stores.postgres.connection import Connection, Database

BUDGET_LOCK = 0x6D6F6465  # one reservation at a time: two calls must not both take the last dollar
TODAY = """
SELECT coalesce(sum(coalesce(usd, estimated_usd)), 0)::float8 AS spent FROM model_calls
WHERE began_at >= date_trunc('day', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
"""
BEGIN = """
INSERT INTO model_calls (key, purpose, provider, model, prompt_hash, request, attempt, estimated_usd)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING number
"""
FINISH = """
UPDATE model_calls SET outcome = %s, answer = %s, detail = %s, input_tokens = %s, output_tokens = %s, usd = %s,
    seconds = %s WHERE number = %s
"""
ANSWER = """
UPDATE model_calls SET reused = reused + 1, reused_at = clock_timestamp()
WHERE number = (SELECT max(number) FROM model_calls WHERE key = %s AND answer IS NOT NULL)
RETURNING outcome, answer, detail, input_tokens, output_tokens, usd, seconds
"""
_WITHIN = ", ".join(f"count(*) FILTER (WHERE seconds <= {bound})" for bound in LATENCY_BUCKETS)
USAGE = f"""
SELECT provider, model, purpose, coalesce(outcome, 'open') AS outcome, count(*) AS calls, sum(reused)::bigint AS reused,
    coalesce(sum(input_tokens), 0)::bigint AS input_tokens, coalesce(sum(output_tokens), 0)::bigint AS output_tokens,
    sum(coalesce(usd, estimated_usd))::float8 AS usd, coalesce(sum(seconds), 0)::float8 AS seconds,
    ARRAY[{_WITHIN}] AS within
FROM model_calls GROUP BY provider, model, purpose, coalesce(outcome, 'open')
ORDER BY provider, model, purpose, outcome
"""


class PostgresModelCalls:
    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def begin(self, call: ModelCall, ceiling_usd: float | None) -> int | None:
        with self._database.transaction() as connection:
            if ceiling_usd is not None:
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (BUDGET_LOCK,))
                if _spent(connection) + call.estimated_usd > ceiling_usd:
                    return None
            row = connection.execute(
                BEGIN,
                (
                    call.key,
                    call.purpose,
                    call.provider,
                    call.model,
                    call.prompt_hash,
                    Jsonb(dict(call.request)),
                    call.attempt,
                    call.estimated_usd,
                ),
            ).fetchone()
        assert row is not None
        return int(row["number"])

    def finish(self, number: int, response: ModelResponse) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                FINISH,
                (
                    response.outcome,
                    None if response.answer is None else Jsonb(dict(response.answer)),
                    response.detail,
                    response.input_tokens,
                    response.output_tokens,
                    response.usd,
                    response.seconds,
                    number,
                ),
            )

    def answer(self, key: str) -> ModelResponse | None:
        with self._database.reading() as connection:
            row = connection.execute(ANSWER, (key,)).fetchone()
        return None if row is None else ModelResponse(**row)

    def spent_today(self) -> float:
        with self._database.reading() as connection:
            return _spent(connection)

    def usage(self) -> list[ModelUsage]:
        with self._database.transaction() as connection:
            rows = connection.execute(USAGE.encode()).fetchall()
        return [_usage(row) for row in rows]


def _spent(connection: Connection) -> float:
    row = connection.execute(TODAY).fetchone()
    assert row is not None
    return float(row["spent"])


def _usage(row: dict[str, Any]) -> ModelUsage:
    return ModelUsage(**{**row, "within": tuple(row["within"])})
