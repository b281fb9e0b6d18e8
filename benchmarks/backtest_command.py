"""How long a person waits for `marketloom backtest`: the whole command as a process, on a year of simulated minutes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from functools import partial
from pathlib import Path

from assets.features import month_features
from benchmarks.row import Benchmark, Row, medians, row
from orchestration.services import Services
from orchestration.settings import load_settings
from trading.market import Pair, month_start, next_month

RUNS = 5
PAIR = Pair("BTC", "USDT")
FIRST, LAST = date(2023, 1, 1), date(2023, 12, 1)
COMMAND = ("-m", "orchestration.cli", "backtest", "--pair", str(PAIR))


def backtest_command() -> Iterator[Row]:
    """Time the command with report, page and trades against a process that imports what it is made of."""
    with tempfile.TemporaryDirectory(prefix="marketloom-bench-") as home:
        variables = _fill(Path(home))
        spent = medians(
            {
                "ours": partial(_run, COMMAND, variables),
                "floor": partial(
                    _run, ("-c", "import polars, numba, matplotlib.figure, rich.console"), variables
                ),
            },
            RUNS,
        )
    yield row(
        "backtest_command",
        "`marketloom backtest` with its report on a stored year of minutes, fresh process",
        spent["ours"],
        "s",
        "a process that imports Polars, Numba, matplotlib and rich, and ends",
        spent["floor"],
        target="<= 3.0 s",
        packages=("polars", "numba", "matplotlib"),
    )


def _fill(home: Path) -> Mapping[str, str]:
    """Store candles and features of a simulated year; returns the environment that a command finds them with."""
    variables = os.environ | {
        "MARKETLOOM_HOME": str(home),
        "MARKETLOOM__MARKET__SOURCE": "simulator",
        "MARKETLOOM__MARKET__TIMEFRAME": "1m",
        "MARKETLOOM__SIMULATOR__START": str(FIRST),
        "MARKETLOOM__SIMULATOR__END": str(next_month(LAST)),
    }
    settings = load_settings(variables)
    services = Services(settings, home, dsn="")
    month = FIRST
    while month <= LAST:
        candles = services.candle_source.candles(PAIR, month_start(month), month_start(next_month(month)))
        services.candle_store.write(PAIR, month, candles)
        table = month_features(services.candle_store, settings.market.universe, services.costs, PAIR, month)
        services.feature_store.write(PAIR, month, table)
        month = next_month(month)
    return variables


def _run(arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, *arguments], env=variables, check=True, capture_output=True)


BENCHMARKS: dict[str, Benchmark] = {"backtest_command": backtest_command}
