"""Checks of anything that makes a table from candles: whether it sees the future, and whether it forgets its start.

Both report by column. Numbers are the same when they differ by no more than 1e-9 of their size, or of the
column's spread where they are near zero; everything else is the same when it is equal.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl

TOLERANCE = 1e-9

Compute = Callable[[pl.DataFrame], pl.DataFrame]


def lookahead_columns(
    compute: Compute, candles: pl.DataFrame, cuts: Iterable[int], whole: pl.DataFrame | None = None
) -> dict[str, datetime]:
    """Find columns of which some row changes once later candles are there, each with the first open time that does.

    Every cut is a number of candles: the table of those first candles alone is compared, row by row, with
    `whole`, the table of all of them unless another is given, such as the stored one. Rows are matched by
    `open_time`; those of which `whole` knows nothing are left out.
    """
    standard = compute(candles) if whole is None else whole
    moved: dict[str, datetime] = {}
    for cut in cuts:
        pairs = _side_by_side(compute(candles[:cut]), standard)
        for name, differs in _differences(*pairs).items():
            if (differs > TOLERANCE).any():
                time: datetime = pairs[0]["open_time"][int((differs > TOLERANCE).argmax())]
                moved[name] = min(time, moved.get(name, time))
    return moved


def recursive_bias(
    compute: Compute, candles: pl.DataFrame, starts: Iterable[int], lookback: int
) -> dict[str, float]:
    """Measure how much each column depends on where its history starts: the worst relative difference, 0 at best.

    Every start is a number of first candles that are withheld; rows with `lookback` candles left before them are
    compared with those of the whole history. Infinite where one is null and the other is not. `known_at`, which
    rightly depends on the candles that are there, is left out.
    """
    standard = compute(candles)
    worst: dict[str, float] = {}
    for start in starts:
        pairs = _side_by_side(compute(candles[start:])[lookback:], standard)
        for name, differs in _differences(*pairs).items():
            if name != "known_at":
                worst[name] = max(float(differs.max(initial=0.0)), worst.get(name, 0.0))
    return worst


def _side_by_side(part: pl.DataFrame, whole: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of both that have the same open time."""
    return (
        part.join(whole.select("open_time"), on="open_time", how="semi", maintain_order="left"),
        whole.join(part.select("open_time"), on="open_time", how="semi", maintain_order="left"),
    )


def _differences(part: pl.DataFrame, whole: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    floats = [name for name, kind in whole.schema.items() if kind.is_float()]
    one, other = (table.with_columns(pl.col(floats).fill_null(np.nan)) for table in (part, whole))
    return {
        name: _relative(one[name].to_numpy(), other[name].to_numpy())
        if name in floats
        else np.where(part[name].ne_missing(whole[name]).to_numpy(), np.inf, 0.0)
        for name in whole.columns
        if name != "open_time"
    }


def _relative(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the relative difference of numbers of which NaN is none: 0 for two of those, infinite for one."""
    finite = np.isfinite(other)
    spread = float(other[finite].std()) if finite.any() else 0.0
    size = np.maximum(np.abs(other), spread)
    apart = np.abs(one - other)
    differs = np.divide(apart, size, out=np.where(apart > 0, np.inf, 0.0), where=size > 0)
    return np.where(np.isnan(one) & np.isnan(other), 0.0, np.where(np.isnan(apart), np.inf, differs))
