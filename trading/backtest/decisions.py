"""The decisions of a strategy, without the candles at which it decided nothing new."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """Targets of `candles` candles as runs (m,): `target` stands after candles `row` to `until`, both included.

    A year of minutes with a decision in each fiftieth is 0.3 MB like this and 4.2 MB as an array: less to write,
    to read, and to keep for many strategies at once. Raises InvalidValue for runs that overlap, lie outside the
    candles or want something that is not a number.
    """

    row: Rows
    until: Rows
    target: Array
    candles: int

    def __post_init__(self) -> None:
        row, until, target = self.row, self.until, self.target
        if row.ndim != 1 or not row.shape == until.shape == target.shape:
            raise InvalidValue(
                f"runs need {row.shape} rows, ends and targets, not {until.shape} and {target.shape}"
            )
        if not row.size:
            return
        if row[0] < 0 or until[-1] >= self.candles or (row > until).any() or (until[:-1] >= row[1:]).any():
            raise InvalidValue(f"runs must ascend, not overlap and lie within {self.candles} candles")
        if not np.isfinite(target).all():
            raise InvalidValue(f"target of run {int((~np.isfinite(target)).argmax())} is not a finite number")

    @classmethod
    def of(cls, target: Array) -> "Decisions":
        """Find the runs in one target per candle (n,), NaN where nothing new is decided."""
        target = np.ascontiguousarray(target, np.float64)
        candle = np.flatnonzero(target == target)
        return cls._join_runs(candle, target[candle], target.size)

    @classmethod
    def of_signals(cls, entries: Flags, exits: Flags) -> "Decisions":
        """Read signals: all in after a candle where `entries` is set, out after one where only `exits` is, both (n,).

        Raises InvalidValue for anything but two arrays of flags of one length.
        """
        if entries.ndim != 1 or entries.shape != exits.shape or not entries.dtype == exits.dtype == np.bool_:
            raise InvalidValue(
                f"entries {entries.dtype}{entries.shape} and exits {exits.dtype}{exits.shape} must be flags, "
                "one of each per candle"
            )
        candle = np.flatnonzero(entries | exits)
        return cls._join_runs(candle, entries[candle].astype(np.float64), entries.size)

    @classmethod
    def _join_runs(cls, candle: Rows, target: Array, candles: int) -> "Decisions":
        """Join neighbours of one target to one run, from the candles that decide, ascending, and their targets."""
        changes = (np.diff(candle) != 1) | (target[1:] != target[:-1])
        begins, ends = np.append(True, changes)[: candle.size], np.append(changes, True)[: candle.size]
        return cls(candle[begins], candle[ends], target[begins], candles)

    def dense(self) -> Array:
        """Return one target per candle, NaN where nothing new is decided."""
        target = np.full(self.candles, np.nan)
        for row, until, wanted in zip(self.row, self.until, self.target, strict=True):
            target[row : until + 1] = wanted
        return target
