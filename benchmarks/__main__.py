"""Run benchmarks and print one JSON object per line."""

import itertools
import json
import sys

from benchmarks import (
    attacks,
    backtest,
    backtest_command,
    bus,
    candles,
    decision,
    definitions,
    execution,
    fast_lane,
    features,
    gate,
    guard,
    key_state,
    kraken_orders,
    learning,
    ledger,
    memory,
    models,
    performance,
    recovery,
    retrieval,
    risk,
    sandbox,
    sentiment,
    sinks,
    stream_process,
    streaming,
    user_waits,
)
from benchmarks.row import Benchmark

ROOMS = (
    backtest,
    backtest_command,
    bus,
    candles,
    fast_lane,
    recovery,
    features,
    risk,
    decision,
    ledger,
    execution,
    guard,
    learning,
    gate,
    memory,
    models,
    attacks,
    performance,
    definitions,
    streaming,
    stream_process,
    sandbox,
    sentiment,
    retrieval,
    sinks,
    key_state,
    kraken_orders,
    user_waits,
)
BENCHMARKS: dict[str, Benchmark] = {name: each for room in ROOMS for name, each in room.BENCHMARKS.items()}


def main(wanted: list[str]) -> int:
    chosen = {name: [each for each in BENCHMARKS if _is_named(each, name)] for name in wanted}
    if unknown := [name for name, found in chosen.items() if not found]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in dict.fromkeys(itertools.chain(*chosen.values())) if wanted else BENCHMARKS:
        for result in BENCHMARKS[name]():
            print(json.dumps(result), flush=True)
    return 0


def _is_named(benchmark: str, name: str) -> bool:
    """Return whether the name is the benchmark's, or that of the group before its slash."""
    return name in (benchmark, benchmark.partition("/")[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
