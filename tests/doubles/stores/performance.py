"""Track records of models in memory."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from trading.stores.journal_rules import json_text
from trading.stores.store_checks import check_scores


class MemoryPerformance:
    def __init__(self) -> None:
        self._days: dict[date, list[dict[str, Any]]] = {}

    def replace_day(self, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        check_scores(day, rows)
        self._days[day] = [json.loads(json_text(dict(row))) | {"day": day} for row in rows]

    def read(self, start: date, end: date) -> list[dict[str, Any]]:
        rows = [row for day, rows in self._days.items() if start <= day < end for row in rows]
        return sorted(map(dict, rows), key=lambda row: (row["day"], row["pair"], row["model"], row["mode"]))
