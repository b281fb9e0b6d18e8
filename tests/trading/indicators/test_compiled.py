"""What is compiled: loaded late, never older than its source, and the same numbers as plain words give."""

import pkgutil
from importlib import import_module
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.registry import CPUDispatcher

from tests.trading.indicators.candle_walks import Array
from trading import indicators
from trading.indicators import kernels

MODULES = [
    import_module(f"trading.indicators.{each.name}")
    for each in pkgutil.iter_modules(indicators.__path__)
    if each.name.startswith("compiled_")
]


def functions(module: ModuleType) -> dict[str, CPUDispatcher]:
    return {name: value for name, value in vars(module).items() if isinstance(value, CPUDispatcher)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_a_compiled_function_reads_nothing_that_its_own_file_does_not_define(module: ModuleType) -> None:
    """What is on disk is renewed when that file changes, and only then."""
    assert functions(module)
    for name, function in functions(module).items():
        assert function.__module__ == module.__name__, name
        for read in function.py_func.__code__.co_names:
            value = vars(module).get(read)
            assert value is np or getattr(value, "__module__", module.__name__) == module.__name__, (
                name,
                read,
            )


@pytest.mark.parametrize("name", kernels.__all__)
def test_every_name_that_is_promised_is_a_compiled_function(name: str) -> None:
    assert isinstance(getattr(kernels, name), CPUDispatcher)


def test_a_name_that_is_not_there_is_an_ordinary_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forecast'"):
        kernels.forecast  # type: ignore[attr-defined]  # noqa: B018


def plain_rank(window: Array) -> float:
    newest, others = window[-1], window[:-1]
    below, above = (others < newest * (1 - 1e-9)).sum(), (others > newest * (1 + 1e-9)).sum()
    return float(0.5 + (below - above) / (2 * others.size))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    count=st.sampled_from([1, 19, 20, 21, 700, 1100]),
    spread=st.sampled_from([0.0, 1e-11, 1e-9, 1e-6, 1e-3, 1.0]),
    ties=st.booleans(),
    unknown=st.integers(0, 3),
)
def test_a_rank_is_that_of_a_plain_count_however_close_the_values(
    seed: int, count: int, spread: float, ties: bool, unknown: int
) -> None:
    random = np.random.default_rng(seed)
    moves = random.integers(0, 5, count) if ties else random.lognormal(size=count)
    values = 1e-3 * (1 + spread * moves)
    values[random.integers(0, count, unknown)] = np.nan
    found = kernels.rank(values, 20, 1e-9)
    expected = [plain_rank(values[end - 20 : end]) for end in range(20, count + 1)]
    np.testing.assert_array_equal(found[19:], expected)
    assert np.isnan(found[:19]).all()


@pytest.mark.parametrize("row", [0, 1, 4095, 4096, 4097, 9999])
def test_a_fault_is_found_wherever_it_lies(row: int) -> None:
    from trading.indicators.compiled_checks import first_fault

    opens = np.arange(10_000) * 60
    prices, volume = np.ones(10_000), np.ones(10_000)
    assert first_fault(opens, opens + 60, prices, prices, prices, volume, 60) == (-1, 0)
    for fault, wrong in enumerate(("opens", "volume", "low", "closes")):
        arrays = {"opens": opens.copy(), "closes": opens + 60, "low": prices.copy(), "volume": volume.copy()}
        arrays[wrong][row] = {"opens": opens[row] - 60, "volume": -1, "low": 2, "closes": opens[row]}[wrong]
        found = first_fault(
            arrays["opens"], arrays["closes"], prices, arrays["low"], prices, arrays["volume"], 60
        )
        # The first candle follows none: there a wrong open time is a wrong length.
        assert found == (row, 3 if wrong == "opens" and row == 0 else fault)
