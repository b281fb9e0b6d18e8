"""The record of every call that a language model's client makes, in PostgreSQL."""

from dataclasses import dataclass
from typing import Any

from trading.stores.postgres.connection import Database

BEGIN = """
INSERT INTO tool_calls (caller, client, transport, method, name, arguments_sha256)
VALUES (%s, %s, %s, %s, %s, %s) RETURNING number
"""
FINISH = "UPDATE tool_calls SET outcome = %s, detail = %s, seconds = %s WHERE number = %s"
NEWEST = "SELECT * FROM tool_calls ORDER BY number DESC LIMIT %s"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One request. Its arguments are kept as a digest alone: a secret may be among them."""

    caller: str
    client: str
    transport: str
    method: str
    name: str
    arguments_sha256: str


class PostgresToolCalls:
    """A call is a row before anything is done for it; who dies in the middle leaves one without an outcome."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def begin(self, call: ToolCall) -> int:
        """Record that the call is made, and return its number."""
        values = (call.caller, call.client, call.transport, call.method, call.name, call.arguments_sha256)
        with self._database.transaction() as connection:
            row = connection.execute(BEGIN, values).fetchone()
        assert row is not None
        return int(row["number"])

    def finish(self, number: int, outcome: str, detail: str, seconds: float) -> None:
        """Record what became of it."""
        with self._database.transaction() as connection:
            connection.execute(FINISH, (outcome, detail, seconds, number))

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """List the newest calls, newest first."""
        with self._database.reading() as connection:
            return connection.execute(NEWEST, (limit,)).fetchall()
