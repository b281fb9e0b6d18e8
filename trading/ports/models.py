"""Protocols of what is known about policies and models: promotions and track records. Times are UTC."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

import polars as pl

from trading.market import TIME, Pair

DESK = "desk"  # stands as agent where a vote is what the decision itself came to
VOTE_SCHEMA = pl.Schema(
    {
        "decision_id": pl.String(),
        "closed_at": TIME,  # of the candle that was decided on
        "pair": pl.String(),
        "agent": pl.String(),
        "model": pl.String(),
        "action": pl.String(),  # null: it abstained
        "confidence": pl.Float64(),
        "shadow": pl.Boolean(),
        "usd": pl.Float64(),  # what asking cost
    }
)


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


class WeightLog(Protocol):
    """Versions of the weights of votes, of one dataset. Each is one text whose digest is its name."""

    def record(self, version: str, content: str, known_at: datetime) -> None:
        """Commit a version; the same one again changes nothing. InvalidValue where a newer one is known already."""

    def newest(self, before: datetime) -> str | None:
        """Return the newest content that was known before this time; None without one."""

    def history(self) -> list[str]:
        """Return every content, oldest first."""


class PerformanceStore(Protocol):
    """Track records of one dataset: one row per day, model, pair and mode."""

    def replace_day(self, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace everything stored for one day.

        A row has `model`, `pair`, `mode`, `candles`, `votes`, `hit_rate`, `mean_return`, `pnl` and `cost_usd`
        (hit rate and mean return None without a vote); what else it has must be plain JSON values.
        """

    def read(self, start: date, end: date) -> list[dict[str, Any]]:
        """Read the rows with start <= day < end, each with its `day`, by day, pair, model and mode; empty when none."""


class VoteLog(Protocol):
    """Every recorded vote of one dataset's decisions."""

    def read(self, start: datetime, end: datetime, models: Sequence[str] | None = None) -> pl.DataFrame:
        """Read VOTE_SCHEMA: all votes on candles that closed in [start, end), and each decision under agent DESK.

        `models`: of these alone.
        """
