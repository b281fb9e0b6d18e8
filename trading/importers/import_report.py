"""The report of one imported file."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from trading.candles import dead_market_warnings
from trading.market import CANDLE_SCHEMA, Pair, Timeframe

COUNTS = (
    "rows_read", "rows_stored", "duplicates_dropped", "conflicts", "misaligned", "impossible", "unfinished",
    "missing", "gaps", "zero_volume", "unchanged",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts are rows, but `conflicts` are open times whose rows disagree and `missing` are absent candles.

    `first`, `last`, `zero_volume` and `unchanged` are of what is stored. A refused file stores nothing.
    """

    path: Path
    format: str | None  # None when no importer takes the file
    venue: str | None
    pair: Pair | None
    timeframe: Timeframe | None
    rows_read: int
    rows_stored: int
    duplicates_dropped: int
    conflicts: int
    misaligned: int
    impossible: int
    unfinished: int
    missing: int
    gaps: int
    zero_volume: int
    unchanged: int
    first: datetime | None
    last: datetime | None
    refused_reason: str | None

    @classmethod
    def of_refused_file(
        cls, path: Path, file_format: str | None, rows_read: int, reason: str
    ) -> "ImportReport":
        """Report a file that fails before its rows are checked."""
        counts = dict.fromkeys(COUNTS, 0) | {"rows_read": rows_read}
        return cls(
            path=path, format=file_format, venue=None, pair=None, timeframe=None, **counts, first=None, last=None,
            refused_reason=reason,
        )  # fmt: skip

    @property
    def warnings(self) -> tuple[str, ...]:
        """Say what a person should know of the stored candles before trading on them."""
        return dead_market_warnings(self.rows_stored, self.zero_volume, self.unchanged)

    def as_json(self) -> dict[str, str | int | list[str] | None]:
        return {
            "path": str(self.path),
            "format": self.format,
            "venue": self.venue,
            "pair": None if self.pair is None else str(self.pair),
            "timeframe": None if self.timeframe is None else self.timeframe.value,
            "rows_read": self.rows_read,
            "rows_stored": self.rows_stored,
            "duplicates_dropped": self.duplicates_dropped,
            "conflicts": self.conflicts,
            "misaligned": self.misaligned,
            "impossible": self.impossible,
            "unfinished": self.unfinished,
            "missing": self.missing,
            "gaps": self.gaps,
            "zero_volume": self.zero_volume,
            "unchanged": self.unchanged,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "warnings": list(self.warnings),
            "refused_reason": self.refused_reason,
        }


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """`candles` is empty when refused; `rejected` holds quarantined rows as they were, and `reason`."""

    report: ImportReport
    candles: pl.DataFrame
    rejected: pl.DataFrame

    @classmethod
    def of_refused_file(cls, report: ImportReport) -> "ImportedFile":
        return cls(report, CANDLE_SCHEMA.to_frame(), pl.DataFrame(schema={"reason": pl.String}))
