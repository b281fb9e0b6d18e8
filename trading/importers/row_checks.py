"""Checks of a file's rows: none is changed, and each that is left out is counted with its reason."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from trading.candles import NUMBERS, broken_value_rule, off_grid
from trading.importers.raw_candles import RawCandles
from trading.market import Timeframe

MAX_QUARANTINED = 0.01  # share of rows; above it the file is not trusted at all
MISALIGNED = "open not on the grid"
MAX_MOVING_WITHOUT_VOLUME = 0.5  # share of rows; no spot file has one such row
MAX_SHOWN = 3  # conflicting open times that a refusal spells out


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """rows read = rows + duplicates + impossible + misaligned + unfinished, unless there are conflicts."""

    rows: pl.DataFrame  # open_time and five numbers, ascending, unique unless in conflict
    rejected: pl.DataFrame  # the file's own columns and `reason`
    rows_read: int
    duplicates: int
    impossible: int
    misaligned: int
    unfinished: int
    conflicts: tuple[str, ...]  # one text per open time that has several rows

    @property
    def refusal(self) -> str | None:
        """The reason to store nothing of this file; None when its rows may be stored."""
        if not self.rows_read:
            return "holds no rows"
        if self.rejected.height > MAX_QUARANTINED * self.rows_read:
            reason, count = self.rejected["reason"].value_counts(sort=True).row(0)
            return (
                f"{self.rejected.height} of {self.rows_read} rows would be quarantined, more than "
                f"{MAX_QUARANTINED:.0%} (most often, {count} times: {reason})"
            )
        if self.conflicts:
            shown = "; ".join(self.conflicts[:MAX_SHOWN])
            return f"{len(self.conflicts)} open times have rows that disagree: {shown}: remove the wrong rows"
        if self.rows.is_empty():
            return "none of its candles has closed yet: import it again once the first has"
        if (without_trade := _moving_without_volume(self.rows)) > MAX_MOVING_WITHOUT_VOLUME:
            return (
                f"in {without_trade:.0%} of its candles the price moves although nothing was traded: that is a mark "
                "price, an index, or a file without volumes; fetch spot candles with their volume"
            )
        return None


def check_rows(raw: RawCandles, timeframe: Timeframe, written_at: datetime, now: datetime) -> CheckedRows:
    """Sort out the rows: quarantine first, then candles that still ran, exact duplicates, and conflicts."""
    misaligned = pl.when(off_grid(timeframe)).then(pl.lit(MISALIGNED))
    reasons = raw.numbers.select(
        reason=pl.coalesce(broken_value_rule(), _in_future(timeframe, now), misaligned)
    )["reason"]
    possible = raw.numbers.filter(reasons.is_null())
    good = possible.filter(~_still_ran(timeframe, written_at, now))
    rows = good.unique(keep="first", maintain_order=True).sort("open_time", maintain_order=True)
    rejected = raw.source.with_columns(reason=reasons).filter(pl.col("reason").is_not_null())
    off = int((reasons == MISALIGNED).sum())
    return CheckedRows(
        rows=rows,
        rejected=rejected,
        rows_read=raw.numbers.height,
        duplicates=good.height - rows.height,
        impossible=rejected.height - off,
        misaligned=off,
        unfinished=possible.height - good.height,
        conflicts=_conflicts(rows),
    )


def _in_future(timeframe: Timeframe, now: datetime) -> pl.Expr:
    """Name candles that open more than one timeframe from now: no clock is that far behind."""
    return pl.when(pl.col("open_time") > now + timeframe.duration).then(pl.lit("opens in the future"))


def _still_ran(timeframe: Timeframe, written_at: datetime, now: datetime) -> pl.Expr:
    """Mark candles that have not closed, and the newest one if it had not when the file was written.

    A vendor's newest row is the candle of the moment: its numbers change until it closes.
    """
    opens = pl.col("open_time")
    closes = opens + timeframe.duration
    return (closes > now) | ((opens == opens.max()) & (opens <= written_at) & (closes > written_at))


def _moving_without_volume(rows: pl.DataFrame) -> float:
    """Return the share of candles with a range and no volume."""
    moving = (pl.col("volume") == 0) & (pl.col("high") > pl.col("low"))
    return rows.filter(moving).height / rows.height


def _conflicts(rows: pl.DataFrame) -> tuple[str, ...]:
    several = rows.filter(pl.col("open_time").is_duplicated())
    return tuple(
        f"{open_time:%Y-%m-%d %H:%M:%S} has {' and '.join(map(row_text, group.iter_rows(named=True)))}"
        for (open_time,), group in several.group_by("open_time", maintain_order=True)
    )


def row_text(row: dict[str, float]) -> str:
    """Format a row as `(open 1.0, high 2.0, low 1.0, close 2.0, volume 5.0)`."""
    return f"({', '.join(f'{name} {row[name]!r}' for name in NUMBERS)})"
