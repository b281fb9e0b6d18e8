"""Compiled choice among rows."""

import numpy as np
import numpy.typing as npt

from trading.compiled import compiled


@compiled
def largest_row(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint32]:
    """Index of the row with the largest value of each column, the first among equals; one past the last for NaN."""
    rows, columns = values.shape
    result = np.zeros(columns, np.uint32)
    largest = values[0].copy()
    for row in range(1, rows):
        candidate = values[row]
        for column in range(columns):
            higher = candidate[column] > largest[column]
            result[column] = row if higher else result[column]
            largest[column] = candidate[column] if higher else largest[column]
    for column in range(columns):
        result[column] = result[column] if largest[column] == largest[column] else rows
    return result
