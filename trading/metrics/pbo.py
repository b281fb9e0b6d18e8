"""Probability of back-test overfitting (PBO) by combinatorially symmetric cross-validation (CSCV).

Bailey, Borwein, Lopez de Prado and Zhu (2015), The Probability of Backtest Overfitting, section 3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue
from trading.metrics.formulas import NO_VARIANCE

Array = npt.NDArray[np.float64]
BATCH = 1 << 20  # Sharpe ratios computed at once
MAX_BLOCKS = 20  # 184,756 ways to choose; 24 would be 2.7 million


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """How the best strategy of one half of the time, in sample, did on the other, out of sample, over all splits."""

    probability: float  # that it ranks at or below the median out of sample: 0.5 is picking blindly
    loss: float  # share of splits in which it lost out of sample
    slope: float | None  # of its Sharpe ratio out of sample on that in sample; None where that never varies
    logits: Array  # (splits,) log odds of its relative rank out of sample; 0 is the median

    @property
    def splits(self) -> int:
        return self.logits.size


def probability_of_overfitting(returns: npt.ArrayLike, blocks: int = 16) -> Overfitting:
    """Run CSCV on returns (periods, strategies), by Sharpe ratio; the paper's choice is 16 blocks, 12,870 splits.

    Periods are simple returns in time order, cut into `blocks` of one length; the oldest that do not fill a
    block are left out. A strategy that does not vary on a half, as one that never trades, has a Sharpe ratio
    of zero on it. Strategies that tie share their rank. Raises InvalidValue for anything but a finite
    table with at least two strategies and two periods per block.
    """
    table = _check_table(returns, blocks)
    sums, squares, means, size = _block_sums(table, blocks)
    splits = zip(*_splits(sums, squares, means, size), strict=True)
    in_sample, out_of_sample, ranks = map(np.concatenate, splits)
    relative = ranks / (table.shape[1] + 1)
    logits = np.log(relative / (1.0 - relative))
    return Overfitting(
        probability=float((logits <= 0).mean()),
        loss=float((out_of_sample < 0).mean()),
        slope=_slope(in_sample, out_of_sample),
        logits=logits,
    )


def _splits(sums: Array, squares: Array, means: Array, size: int) -> Iterator[tuple[Array, Array, Array]]:
    """Batches of each split's best strategy: its Sharpe ratio in and out of sample, and its rank there (1 is worst)."""
    blocks, strategies = sums.shape
    members = np.array(list(combinations(range(blocks), blocks // 2)))
    for batch in np.array_split(members, -(-len(members) * strategies // BATCH)):
        chosen = np.zeros((len(batch), blocks))
        np.put_along_axis(chosen, batch, 1.0, axis=1)
        in_sample = _sharpe(chosen @ sums, chosen @ squares, means, size)
        out_of_sample = _sharpe((1.0 - chosen) @ sums, (1.0 - chosen) @ squares, means, size)
        best = in_sample.argmax(axis=1)[:, None]
        reached = np.take_along_axis(out_of_sample, best, axis=1)
        ties = (out_of_sample == reached).sum(axis=1)  # itself included
        ranks = (out_of_sample < reached).sum(axis=1) + (ties + 1) / 2
        yield np.take_along_axis(in_sample, best, axis=1)[:, 0], reached[:, 0], ranks


def _sharpe(sums: Array, squares: Array, means: Array, size: int) -> Array:
    """Compute from sums of returns less their overall mean, which keeps the subtraction exact where it matters."""
    centred = sums / size
    variance = np.maximum(squares - sums * centred, 0.0) / (size - 1)
    deviation = np.sqrt(variance)
    return np.divide(centred + means, deviation, out=np.zeros_like(sums), where=deviation > NO_VARIANCE)


def _block_sums(table: Array, blocks: int) -> tuple[Array, Array, Array, int]:
    """Sum values and squares (blocks, strategies) about the means (strategies,), and periods in half the blocks."""
    length = len(table) // blocks
    used = table[len(table) - length * blocks :]
    means = used.mean(axis=0)
    parts = (used - means).reshape(blocks, length, -1)
    return parts.sum(axis=1), (parts * parts).sum(axis=1), means, length * blocks // 2


def _slope(in_sample: Array, out_of_sample: Array) -> float | None:
    centred = in_sample - in_sample.mean()
    weight = float((centred * centred).sum())
    return float((centred * out_of_sample).sum()) / weight if weight > NO_VARIANCE else None


def _check_table(returns: npt.ArrayLike, blocks: int) -> Array:
    table = np.asarray(returns, dtype=np.float64)
    if blocks % 2 or not 2 <= blocks <= MAX_BLOCKS:
        raise InvalidValue(f"blocks is {blocks}: allowed is an even number from 2 to {MAX_BLOCKS}")
    if table.ndim != 2 or table.shape[1] < 2 or len(table) < 2 * blocks:
        raise InvalidValue(
            f"returns have shape {table.shape}: needed are two periods for each of {blocks} blocks, two strategies"
        )
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise InvalidValue(
            f"return of strategy {column} in period {row} is {table[row, column]}: allowed is finite"
        )
    return table
