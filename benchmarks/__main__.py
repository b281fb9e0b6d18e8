"""Run benchmarks and print one JSON object per line."""

import json
import sys

from benchmarks import (
    backtest,
    backtest_command,
    definitions,
    features,
    gate,
    learning,
    performance,
    risk,
    sandbox,
    streaming,
)
from benchmarks.row import Benchmark

ROOMS = (
    backtest,
    backtest_command,
    features,
    risk,
    learning,
    gate,
    performance,
    definitions,
    streaming,
    sandbox,
)
BENCHMARKS: dict[str, Benchmark] = {name: each for room in ROOMS for name, each in room.BENCHMARKS.items()}


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
