"""Nonce and rate budget of a private call in PostgreSQL, beside the locked files that one machine could share."""

import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles

from benchmarks.row import Benchmark, Call, Row, medians, row, seconds
from orchestration.postgres.embedded import EmbeddedPostgres
from trading.orders import Purpose
from trading.stores.postgres import PostgresKeyState, migrate
from trading.venues.kraken.key_budget import KeyBudget
from trading.venues.kraken.locked_file import LockedFile
from trading.venues.kraken.rate_budget import RateBudget
from trading.venues.kraken.rate_limits import Allowance, RateLimit

CALLS, EXITS, ROUNDS = 500, 8, 9
PLENTY = RateLimit(1e9, 1e9)
PEER = "a locked file each for nonce and counter, flushed to disk"


def key_state() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, EmbeddedPostgres(Path(name)) as server:
        migrate(server.dsn)
        budget = KeyBudget(PostgresKeyState(server.dsn), "key", Allowance(PLENTY, PLENTY), 0.0)
        files = _files(Path(name))

        def database() -> None:
            budget.spend("XBTUSDT", 1.0, Purpose.EXIT)

        ours, theirs = (_percentiles(call) for call in (database, files))
        for place, (percent, target) in enumerate(((50, "< 1 ms"), (99, "< 5 ms"))):
            what = f"nonce and budget of a private call, p{percent}"
            yield _row(what, ours[place], theirs[place], target)
        both = medians({"ours": lambda: _at_once(database), "theirs": lambda: _at_once(files)}, ROUNDS)
        what = f"until the last of {EXITS} exits at once has its nonce"
        yield _row(what, both["ours"], both["theirs"], "< 20 ms")


def _files(folder: Path) -> Call:
    counters, nonces = RateBudget(folder / "counters", 0.0), LockedFile(folder / "nonces")

    def spend() -> None:
        counters.spend("orders of XBTUSDT", PLENTY, 1.0)
        with nonces.locked():
            nonces.replace(str(max(int(nonces.read() or 0) + 1, time.time_ns() // 1000)))

    return spend


def _percentiles(call: Call) -> tuple[float, float]:
    call()
    found = quantiles((seconds(call) for _ in range(CALLS)), n=100)
    return found[49], found[98]


def _at_once(call: Call) -> None:
    with ThreadPoolExecutor(EXITS) as pool:
        for done in [pool.submit(call) for _ in range(EXITS)]:
            done.result()


def _row(what: str, value: float, peer: float, target: str) -> Row:
    return row("key_state", what, 1000 * value, "ms", PEER, 1000 * peer, target=target, packages=("psycopg",))


BENCHMARKS: dict[str, Benchmark] = {"key_state": key_state}
