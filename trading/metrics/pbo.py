"""Does picking the best back-test pick a good strategy? Combinatorially symmetric cross-validation (CSCV).

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
MOST_BLOCKS = 20  # 184,756 ways to choose; 24 would be 2.7 million


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """What became of the strategy that was best on one half of the time, on the other; over all halvings."""

    probability: float  # of ending in the lower half (at or below the median): 0.5 is picking blindly
    loss: float  # share of halvings in which it lost on the other half
    slope: float | None  # of its Sharpe ratio there on the one here; None where the latter never varies
    logits: Array  # (halvings,) log odds of its relative rank there; 0 is the median

    @property
    def halvings(self) -> int:
        return self.logits.size


def probability_of_overfitting(returns: npt.ArrayLike, blocks: int = 16) -> Overfitting:
    """CSCV on returns (periods, strategies), by Sharpe ratio; the paper's choice is 16 blocks, 12,870 halvings.

    Periods are simple returns in time order, cut into `blocks` of one length; the oldest that do not fill a
    block are left out. A strategy that does not vary on a half, as one that never trades, has a Sharpe ratio
    of zero there. Strategies that end level share their rank. Raises InvalidValue for anything but a finite
    table with at least two strategies and two periods per block.
    """
    table = _checked(returns, blocks)
    sums, squares, means, size = _block_sums(table, blocks)
    here, there, ranks = zip(*_halvings(sums, squares, means, size, table.shape[1]), strict=True)
    best, later = np.concatenate(here), np.concatenate(there)
    relative = np.concatenate(ranks) / (table.shape[1] + 1)
    logits = np.log(relative / (1.0 - relative))
    return Overfitting(
        probability=float((logits <= 0).mean()),
        loss=float((later < 0).mean()),
        slope=_slope(best, later),
        logits=logits,
    )


def _halvings(
    sums: Array, squares: Array, means: Array, size: int, strategies: int
) -> Iterator[tuple[Array, Array, Array]]:
    """Of each halving's best strategy: Sharpe ratio here, there, and its rank there (1 is the worst)."""
    blocks = len(sums)
    members = np.array(list(combinations(range(blocks), blocks // 2)))
    for batch in np.array_split(members, -(-len(members) * strategies // BATCH)):
        chosen = np.zeros((len(batch), blocks))
        np.put_along_axis(chosen, batch, 1.0, axis=1)
        here = _sharpe(chosen @ sums, chosen @ squares, means, size)
        there = _sharpe((1.0 - chosen) @ sums, (1.0 - chosen) @ squares, means, size)
        best = here.argmax(axis=1)[:, None]
        later = np.take_along_axis(there, best, axis=1)
        level = (there == later).sum(axis=1)  # itself included
        ranks = (there < later).sum(axis=1) + (level + 1) / 2
        yield np.take_along_axis(here, best, axis=1)[:, 0], later[:, 0], ranks


def _sharpe(sums: Array, squares: Array, means: Array, size: int) -> Array:
    """From sums of returns less their overall mean, which keeps the subtraction exact where it matters."""
    centred = sums / size
    variance = np.maximum(squares - sums * centred, 0.0) / (size - 1)
    deviation = np.sqrt(variance)
    return np.divide(centred + means, deviation, out=np.zeros_like(sums), where=deviation > NO_VARIANCE)


def _block_sums(table: Array, blocks: int) -> tuple[Array, Array, Array, int]:
    """Sums and squared sums (blocks, strategies) about the means (strategies,), and periods in half the blocks."""
    length = len(table) // blocks
    used = table[len(table) - length * blocks :]
    means = used.mean(axis=0)
    parts = (used - means).reshape(blocks, length, -1)
    return parts.sum(axis=1), (parts * parts).sum(axis=1), means, length * blocks // 2


def _slope(here: Array, there: Array) -> float | None:
    spread = here - here.mean()
    weight = float((spread * spread).sum())
    return float((spread * there).sum()) / weight if weight > NO_VARIANCE else None


def _checked(returns: npt.ArrayLike, blocks: int) -> Array:
    table = np.asarray(returns, dtype=np.float64)
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise InvalidValue(f"blocks is {blocks}: allowed is an even number from 2 to {MOST_BLOCKS}")
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
