"""What the stores say of a stream and of the account that trades on it, for its reports to Dagster."""

from datetime import datetime
from typing import Any

from orchestration.settings_schema import Settings
from orchestration.stream_tables import StreamTables
from trading.ports import Journal, Tape
from trading.risk.halts import active_halts
from trading.stores.postgres import PostgresJournal

DECISION = ("decision_id", "pair", "decided_at", "action", "outcome")


class StoredFacts:
    """The facts in PostgreSQL, and the rows of the tape. Connects with the first reading."""

    def __init__(self, settings: Settings, dsn: str, tape: Tape) -> None:
        self._tables = StreamTables.of(settings, dsn, tape)
        self._journal = PostgresJournal(dsn)

    def read(self, account: str, at: datetime) -> dict[str, Any]:
        """Return what `StreamTables` has, the account's newest decision, and what halts it at `at`."""
        halts = active_halts(self._journal.halts(account), at)
        return {
            **self._tables.read(),
            "decision": newest_decision(self._journal, account),
            "halts": [f"{halt.kind.value}: {halt.reason}" for halt in halts],
        }


def newest_decision(journal: Journal, account: str) -> dict[str, Any] | None:
    """Return what one line can say of the account's newest decision; None before its first."""
    newest = journal.decisions(account, limit=1)
    return {key: newest[0][key] for key in DECISION} if newest else None
