"""Compiled functions load late, are never older than their source, and give the numbers of plain loops."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.registry import CPUDispatcher

from tests.trading.indicators.candle_walks import Array
from trading.compiled import Uncompiled, compile_functions
from trading.indicators.percentile_rank import percentile_rank
from trading.indicators.price_arrays import first_fault

ROOT = Path(__file__).parents[3]
MODULES = [
    import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted((ROOT / "trading").rglob("*.py"))
    if "import compiled\n" in path.read_text(encoding="utf-8")
]


def functions(module: ModuleType) -> dict[str, CPUDispatcher]:
    """Return the functions that a module compiles itself."""
    compile_functions(module)
    return {name: value for name, value in vars(module).items() if isinstance(value, CPUDispatcher)}


def test_indicators_regimes_and_correlations_are_compiled_lazily() -> None:
    names = {module.__name__ for module in MODULES}
    assert {"trading.correlation", "trading.regime_weights", "trading.indicators.rolling"} < names


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.removeprefix("trading."))
def test_a_compiled_function_reads_nothing_that_its_own_file_does_not_define(module: ModuleType) -> None:
    """The machine code on disk is renewed when that file changes, and only then."""
    assert functions(module)
    for name, function in functions(module).items():
        assert function.__module__ == module.__name__, name
        for read in function.py_func.__code__.co_names:
            value = vars(module).get(read)
            assert value is np or getattr(value, "__module__", module.__name__) == module.__name__, (
                name,
                read,
            )


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.removeprefix("trading."))
def test_a_module_leaves_no_marked_function_uncompiled(module: ModuleType) -> None:
    compile_functions(module)
    own = [value for value in vars(module).values() if isinstance(value, Uncompiled)]
    assert all(value.function.__module__ != module.__name__ for value in own)


LOOPS = """
from trading.compiled import compiled

@compiled
def twice(number):
    return plus(number, number)

@compiled
def plus(one, other):
    return one + other

"""


def test_functions_call_each_other_and_a_second_process_reads_them_from_disk_until_the_file_changes(
    tmp_path: Path,
) -> None:
    ask = (
        "import sys, loops; early = 'numba' in sys.modules; print(early, loops.twice(2.0),"
        " sum(loops.twice.stats.cache_hits.values()))"
    )
    (tmp_path / "loops.py").write_text(LOOPS)
    assert run(ask, tmp_path) == "False 4.0 0"
    assert run(ask, tmp_path) == "False 4.0 1"
    (tmp_path / "loops.py").write_text(LOOPS.replace("one + other", "one + other + 1"))
    assert run(ask, tmp_path) == "False 5.0 0"


def run(program: str, folder: Path) -> str:
    """Run a program in a new process that can import the modules of `folder`."""
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(folder)!r}]; {program}"
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def plain_rank(window: Array) -> float:
    newest, others = window[-1], window[:-1]
    below, above = (others < newest * (1 - 1e-9)).sum(), (others > newest * (1 + 1e-9)).sum()
    return float(0.5 + (below - above) / (2 * others.size))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000), count=st.sampled_from([1, 19, 20, 21, 700, 1100]),
    spread=st.sampled_from([0.0, 1e-11, 1e-9, 1e-6, 1e-3, 1.0]), ties=st.booleans(),
    unknown=st.integers(0, 3),
)  # fmt: skip
def test_a_rank_is_that_of_a_plain_count_however_close_the_values(
    seed: int, count: int, spread: float, ties: bool, unknown: int
) -> None:
    random = np.random.default_rng(seed)
    moves = random.integers(0, 5, count) if ties else random.lognormal(size=count)
    values = 1e-3 * (1 + spread * moves)
    values[random.integers(0, count, unknown)] = np.nan
    found = percentile_rank(values, 20, 1e-9)
    expected = [plain_rank(values[end - 20 : end]) for end in range(20, count + 1)]
    np.testing.assert_array_equal(found[19:], expected)
    assert np.isnan(found[:19]).all()


@pytest.mark.parametrize("row", [0, 1, 4095, 4096, 4097, 9999])
def test_a_fault_is_found_wherever_it_lies(row: int) -> None:
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
