"""How long a fresh process needs to load the definitions, against importing Dagster alone."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.row import Benchmark, Row, medians, row

RUNS = 5
OURS = "from orchestration.definitions import *; definitions(load_settings())"


def definitions_load() -> Iterator[Row]:
    """Whole processes in turn, medians; the value is what our code adds to `import dagster`."""
    spent = medians({"floor": partial(_run, "import dagster"), "ours": partial(_run, OURS)}, RUNS)
    yield row(
        "definitions_load",
        "loading the definitions beyond `import dagster`, fresh process",
        spent["ours"] - spent["floor"],
        "s",
        "import dagster",
        spent["floor"],
        target="<= 1.0 s",
        packages=("dagster",),
    )


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


BENCHMARKS: dict[str, Benchmark] = {"definitions_load": definitions_load}
