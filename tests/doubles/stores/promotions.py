"""The promotion log in memory."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from trading.market import Pair
from trading.stores.journal_rules import json_text


class MemoryPromotions:
    def __init__(self) -> None:
        self._verdicts: list[tuple[Pair, dict[str, Any]]] = []

    def record(
        self, pair: Pair, policy_id: str, promoted: bool, evidence: Mapping[str, Any], at: datetime
    ) -> None:
        plain = json.loads(json_text(dict(evidence)))
        verdict = {"policy_id": policy_id, "promoted": promoted, "evidence": plain, "at": at}
        self._verdicts.append((pair, verdict))

    def champion(self, pair: Pair, until: datetime | None = None) -> str | None:
        known = (verdict for verdict in self.history(pair) if until is None or verdict["at"] <= until)
        return next((verdict["policy_id"] for verdict in known if verdict["promoted"]), None)

    def history(self, pair: Pair) -> list[dict[str, Any]]:
        return [dict(verdict) for each, verdict in reversed(self._verdicts) if each == pair]
