"""Compiled code: late, from disk, and never older than what it was compiled from."""

import os
import subprocess
import sys
from pathlib import Path

from numba.core.registry import CPUDispatcher

from trading.backtest import kernel, kernel_marks, kernel_trades

KERNEL = """
import sys
from trading.backtest.compiling import compile_cached, fingerprint, inline
from numba import types
import arithmetic

added = inline(arithmetic.added)

def entry(sources):
    def walk(number):
        sources
        return added(number)
    return walk

walk = compile_cached(entry(fingerprint(arithmetic, sys.modules[__name__])), types.float64(types.float64))
print(walk(1.0), sum(walk.stats.cache_hits.values()))
"""
ARITHMETIC = "def added(number):\n    return number + {}\n"


def test_loading_the_package_loads_no_compiler() -> None:
    program = "import trading.backtest, sys; print('numba' in sys.modules)"
    assert python(program) == "False"


def test_code_on_disk_follows_every_module_that_it_was_compiled_from(tmp_path: Path) -> None:
    (tmp_path / "machine.py").write_text(KERNEL)
    (tmp_path / "arithmetic.py").write_text(ARITHMETIC.format(1.0))
    assert python("import machine", tmp_path) == "2.0 0"
    assert python("import machine", tmp_path) == "2.0 1"  # from disk
    moment = (tmp_path / "arithmetic.py").stat().st_mtime
    (tmp_path / "arithmetic.py").write_text(ARITHMETIC.format(2.0))  # as long as before
    os.utime(tmp_path / "arithmetic.py", (moment, moment))  # and as old
    forget_bytecode(tmp_path)
    assert python("import machine", tmp_path) == "3.0 0"


def test_every_module_whose_code_is_in_the_kernel_is_part_of_its_key() -> None:
    parts = [part for module in kernel.SOURCES for part in vars(module).values()]
    used = {part.py_func.__module__ for part in parts if isinstance(part, CPUDispatcher)}
    assert used <= {module.__name__ for module in kernel.SOURCES}


def test_no_compiler_may_reorder_arithmetic() -> None:
    for compiled in (kernel.walk, kernel_trades.price_factor, kernel_marks.mark_position):
        assert not compiled.targetoptions.get("fastmath")  # type: ignore[attr-defined]


def test_a_folder_that_cannot_be_written_costs_time_and_no_result(tmp_path: Path) -> None:
    program = "from numba.core import caching\ncaching.CacheImpl._locator_classes = []\nimport machine"
    (tmp_path / "machine.py").write_text(KERNEL)
    (tmp_path / "arithmetic.py").write_text(ARITHMETIC.format(1.0))
    assert python(program, tmp_path) == "2.0 0"


def forget_bytecode(folder: Path) -> None:
    for file in (folder / "__pycache__").glob("*.pyc"):
        file.unlink()


def python(program: str, folder: Path | None = None) -> str:
    root = Path(__file__).parents[3]
    path = os.pathsep.join([str(root), *([str(folder)] if folder else [])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder or root,
    )
    return done.stdout.strip()
