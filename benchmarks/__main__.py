"""Run benchmarks and print one JSON object per line."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks import definitions, learning

Benchmark = Callable[[], Iterator[Mapping[str, Any]]]
BENCHMARKS: dict[str, Benchmark] = {**learning.BENCHMARKS, **definitions.BENCHMARKS}


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(BENCHMARKS)
    if unknown:
        print(
            f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}", file=sys.stderr
        )
        return 2
    for name in wanted or BENCHMARKS:
        for result in BENCHMARKS[name]():
            print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
