"""A decision without a language model, from the candle to the committed intent, and its replay."""

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from assets.market import read_closed_candles
from benchmarks.row import Benchmark, Row, row, seconds
from ml.decision.clock import chosen_time
from ml.decision.execute import execute_decision
from orchestration.commands.replay import replay_all, replayer
from orchestration.postgres.embedded import EmbeddedPostgres
from orchestration.services import Services
from orchestration.settings import load_settings
from trading.execution import Execution
from trading.market import month_of, months_between
from trading.stores.postgres import migrate

NOW = datetime(2024, 3, 20, tzinfo=UTC)
HISTORY, CANDLES = timedelta(days=75), 60  # a decision after each of so many hours, of three pairs
PROMISE = "the promise: 50 ms"


class Idle:
    """Carries nothing out, which `execution` measures; the last call of a decision comes when it is committed."""

    called_at = 0.0

    def carry_out(self, account: str, at: datetime) -> Execution:
        self.called_at = perf_counter()
        return Execution()


def decision_body() -> Iterator[Row]:
    """Decide on every candle of three pairs, and show where the time goes."""
    with _decided() as (_, wall, stages):
        for place in (50, 99):
            what = "from the newest candle to the committed decision, without a language model"
            yield _row(f"decision_body_p{place}", what, float(np.percentile(wall, place)))
        for stage, spent in stages.items():
            yield row(f"decision_body_{stage}", f"of it: {stage}", median(spent), "ms", "-", None, target="-")
    cold, warm = (_first_decision(way) for way in ("cold", "warm"))
    what = "features of a fresh process' first decision after `warm_up`"
    yield row("decision_body_first", what, warm, "ms", "without it", cold, target="10")


def replay() -> Iterator[Row]:
    """Replay every one of these decisions against the stores they were made from."""
    with _decided() as (services, wall, _):
        ids = services.journal.decisions_since(services.account.name, NOW - HISTORY)
        report = replay_all(replayer(services), (services.journal.decision(each) for each in ids))
        assert report.exit_code == 0, report.facts()["counts"]
        what = f"decisions replayed to the byte, against the stores too ({len(ids)})"
        peer = "making them"
        yield row("replay", what, report.per_second, "decisions/s", peer, 1e3 / median(wall), target="-")


def _row(identity: str, what: str, value: float) -> Row:
    return row(identity, what, value, "ms", PROMISE, 50.0, target="1")


@contextmanager
def _decided() -> Iterator[tuple[Services, list[float], dict[str, list[float]]]]:
    """Decide, and return the services, the milliseconds of each decision and those of each stage."""
    with (
        tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        migrate(server.dsn)
        services = Services(load_settings(), Path(folder) / "home", server.dsn)
        _fill(services)
        wall: list[float] = []
        stages: dict[str, list[float]] = defaultdict(list)
        reader, rules, pairs = services.input_reader, services.rules, services.settings.market.pairs
        executor = Idle()
        for hour in range(CANDLES):
            clock = chosen_time(NOW + timedelta(hours=hour))
            for pair in pairs:
                begin = perf_counter()
                done = execute_decision(pair, clock, reader, rules, services.journal, executor)
                wall.append((executor.called_at - begin) * 1e3)
                for stage, spent in done.receipt["timings_ms"].items():
                    stages[stage].append(spent)
        warm = len(pairs) * 5
        yield services, wall[warm:], {stage: spent[warm:] for stage, spent in stages.items()}


def _fill(services: Services) -> None:
    """Store candles and instruments as the assets would."""
    market, end = services.settings.market, NOW + timedelta(hours=CANDLES)
    for pair in market.pairs:
        for month in months_between(month_of(NOW - HISTORY), month_of(end)):
            candles = read_closed_candles(services.candle_source, pair, month, market.universe)
            services.candle_store.write(pair, month, candles)
    services.instrument_file.write(list(services.known_instruments.values()))


def _first_decision(way: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", __name__, way], capture_output=True, text=True, check=True, timeout=300
    )
    return float(done.stdout)


def _time_first_features(way: str) -> None:
    """Print the milliseconds that the first features of this process take."""
    from ml.decision.warm_up import warm_up
    from tests.ml.decision.trading_day import candles
    from trading.indicators import live_row

    universe = load_settings().market.universe
    if way == "warm":
        warm_up(universe)
    print(seconds(partial(live_row, candles(0.0), universe.timeframe)) * 1e3)


BENCHMARKS: dict[str, Benchmark] = {"decision_body": decision_body, "replay": replay}

if __name__ == "__main__":
    _time_first_features(sys.argv[1])
