"""Protocols of what is known about policies and models: promotions and track records. Times are UTC."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from trading.market import Pair


class PromotionLog(Protocol):
    """The policy that trades each pair, and every verdict of the gate that led there."""

    def record(
        self, pair: Pair, policy_id: str, promoted: bool, evidence: Mapping[str, Any], at: datetime
    ) -> None:
        """Commit one verdict."""

    def champion(self, pair: Pair, until: datetime | None = None) -> str | None:
        """Return the policy id promoted last, on evidence known by `until`; None while none ever passed the gate."""

    def history(self, pair: Pair) -> list[dict[str, Any]]:
        """List verdicts, newest first: `policy_id`, `promoted`, `evidence`, `at`."""


class PerformanceStore(Protocol):
    """Track records of one dataset: one row per day, model, pair and mode."""

    def replace_day(self, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace everything stored for one day.

        A row has `model`, `pair`, `mode`, `candles`, `votes`, `hit_rate`, `mean_return`, `pnl` and `cost_usd`
        (hit rate and mean return None without a vote); what else it has must be plain JSON values.
        """

    def read(self, start: date, end: date) -> list[dict[str, Any]]:
        """Read the rows with start <= day < end, each with its `day`, by day, pair, model and mode; empty when none."""
