"""What agents noted: the table `agent_logs` of one dataset."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading.stores.journal_rules import json_text
from trading.stores.postgres.connection import Database, insert

_NOTED = """
SELECT at, agent, level, message FROM agent_logs
WHERE dataset = %(dataset)s AND at >= %(since)s AND agent <> %(without)s
ORDER BY at DESC, number DESC LIMIT %(count)s
"""


class PostgresAgentLog:
    def __init__(self, dsn: str, dataset: str) -> None:
        self._database = Database(dsn)
        self._dataset = dataset

    def note(self, at: datetime, agent: str, level: str, message: str, details: Mapping[str, Any]) -> None:
        """Store one line; `level` is info or warning."""
        row = {"at": at, "dataset": self._dataset, "agent": agent, "level": level, "message": message}
        with self._database.transaction() as connection:
            insert(connection, "agent_logs", row | {"details": json_text(dict(details))})

    def newest(self, since: datetime, count: int, without: str = "") -> list[dict[str, Any]]:
        """List what was noted since then, newest first, of all agents but one: `at`, `agent`, `level`, `message`."""
        values = {"dataset": self._dataset, "since": since, "without": without, "count": count}
        return self._database.execute(_NOTED, values)
