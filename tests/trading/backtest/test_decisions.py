"""Runs of equal targets against their plain definition, at every length around the words they are found in."""

import numpy as np
import numpy.typing as npt
import pytest

from trading.backtest import Decisions
from trading.errors import InvalidValue

Runs = list[tuple[int, int, float]]
SIZES = [0, 1, 2, 63, 64, 65, 127, 128, 129, 200, 1000]


def expected(targets: list[float]) -> Runs:
    runs: Runs = []
    for candle, target in enumerate(targets):
        if np.isnan(target):
            continue
        if runs and runs[-1][1] == candle - 1 and runs[-1][2] == target:
            runs[-1] = (runs[-1][0], candle, target)
        else:
            runs.append((candle, candle, target))
    return runs


def found(decisions: Decisions) -> Runs:
    columns = (decisions.row, decisions.until, decisions.target)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def some_targets(random: np.random.Generator, size: int) -> npt.NDArray[np.float64]:
    targets = random.choice([0.0, -0.0, 1.0, 0.5, -1.0], size)
    targets = np.repeat(targets, random.integers(1, 100))[:size]
    return np.where(random.random(size) < random.choice([0.0, 0.02, 0.5, 0.98, 1.0]), np.nan, targets)


@pytest.mark.parametrize("size", SIZES)
def test_targets_become_their_runs(size: int) -> None:
    for seed in range(30):
        targets = some_targets(np.random.default_rng(seed), size)
        decisions = Decisions.of(targets)
        assert found(decisions) == expected(targets.tolist())
        assert decisions.candles == size


@pytest.mark.parametrize("size", SIZES)
def test_signals_are_targets_of_all_and_nothing_and_an_entry_goes_before_an_exit(size: int) -> None:
    for seed in range(30):
        random = np.random.default_rng(seed)
        often = random.choice([0.0, 0.02, 0.5, 0.98, 1.0], 2)
        entries, exits = random.random(size) < often[0], random.random(size) < often[1]
        targets = np.where(entries, 1.0, np.where(exits, 0.0, np.nan))
        decisions = Decisions.of_signals(entries, exits)
        assert found(decisions) == expected(targets.tolist())
        assert decisions.candles == size


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.bool_])
def test_targets_of_any_number_type_become_float64_for_the_kernel(kind: type) -> None:
    decisions = Decisions.of(np.array([1, 1, 0], kind))
    assert decisions.target.dtype == np.float64
    assert found(decisions) == [(0, 1, 1.0), (2, 2, 0.0)]


def test_columns_of_a_table_of_signals_are_signals() -> None:
    random = np.random.default_rng(0)
    entries, exits = random.random((2, 300, 3)) < 0.1
    column = Decisions.of_signals(entries[:, 1], exits[:, 1])
    assert found(column) == found(Decisions.of_signals(entries[:, 1].copy(), exits[:, 1].copy()))


@pytest.mark.parametrize(
    ("entries", "exits"),
    [
        (np.zeros(3, bool), np.zeros(2, bool)),
        (np.zeros((3, 1), bool), np.zeros((3, 1), bool)),
        (np.zeros(3), np.zeros(3, bool)),
        (np.zeros(3, bool), np.zeros(3, np.int8)),
    ],
)
def test_signals_that_are_not_one_flag_each_per_candle_are_refused(
    entries: npt.NDArray[np.bool_], exits: npt.NDArray[np.bool_]
) -> None:
    with pytest.raises(InvalidValue, match="must be flags"):
        Decisions.of_signals(entries, exits)


def test_an_infinite_target_is_refused() -> None:
    with pytest.raises(InvalidValue, match="run 1 is not a finite number"):
        Decisions.of(np.array([1.0, np.inf]))
