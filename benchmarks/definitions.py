"""How long a fresh process needs to load the definitions, against importing Dagster alone."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

RUNS = 5


def definitions_load() -> Iterator[dict[str, Any]]:
    """Whole processes in turn, medians; the value is what our code adds to `import dagster`."""
    floor, ours = [], []
    for _ in range(RUNS):
        floor.append(_seconds("import dagster"))
        ours.append(_seconds("from orchestration.definitions import *; definitions(load_settings())"))
    beyond = statistics.median(ours) - statistics.median(floor)
    yield {
        "id": "definitions_load",
        "what": "loading the definitions beyond `import dagster`, fresh process",
        "value": round(beyond, 3),
        "unit": "s",
        "peer": "import dagster",
        "peer_value": round(statistics.median(floor), 3),
        "ratio": round(statistics.median(floor) / beyond, 2),
        "target": "<= 1.0 s",
        "versions": {"dagster": version("dagster")},
    }


def _seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - began


BENCHMARKS = {"definitions_load": definitions_load}
