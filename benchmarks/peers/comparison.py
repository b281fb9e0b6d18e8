"""Trade by trade: where another engine's ledger is ours, and where it is not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.peers.ours import OurResult
from benchmarks.peers.protocol import Ledger

SAME = 1e-9  # prices that differ by less differ by rounding


@dataclass(frozen=True, slots=True)
class Agreement:
    trades: int  # theirs
    missing: int  # trades of ours that they did not enter
    equal: int  # entered and left in the same candles at the same prices
    gapped: int  # of the others: the market opened beyond the stop
    equity: float  # largest relative difference after a trade that both entered in the same candle

    def explain(self, explanation: str) -> str:
        """Return the agreement in words; the explanation is used where trades differ."""
        unequal = self.trades - self.equal
        if self.missing:
            return f"{self.missing} of our trades are missing, {unequal} are others"
        if not unequal:
            return "same trades"
        gaps = f"{self.gapped} of {unequal} opened beyond the stop" if self.gapped else f"{unequal} trades"
        return f"{gaps}: {explanation}"


def compare(ours: OurResult, theirs: Ledger) -> Agreement:
    mine = ours.ledger
    _, left, right = np.intersect1d(mine.entry_time, theirs.entry_time, return_indices=True)
    equal = (
        (mine.exit_time[left] == theirs.exit_time[right])
        & nearly_equal(mine.entry_price[left], theirs.entry_price[right])
        & nearly_equal(mine.exit_price[left], theirs.exit_price[right])
    )
    difference = np.abs(theirs.equity[right] / mine.equity[left] - 1.0)
    return Agreement(
        trades=theirs.entry_time.size,
        missing=mine.entry_time.size - left.size,
        equal=int(equal.sum()),
        gapped=int(ours.gapped[left][~equal].sum()),
        equity=float(difference.max()) if difference.size else float("inf"),
    )


def nearly_equal(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.abs(left - right) <= SAME * np.abs(right))
