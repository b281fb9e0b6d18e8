"""What keeps a position protected costs per candle, and how long a killed sender's orders stay without one.

The ledger is in PostgreSQL, the venue is the scripted one of the tests: no network, so that only our part is measured.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl

from benchmarks.row import Benchmark, Row, medians, row, seconds
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.contracts.trade import receipt
from tests.doubles.venue import ScriptedVenue
from tests.trading.execution.execution_case import ACCOUNT, BTC, instrument
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import CANDLE_SCHEMA, Pair
from trading.orders import OrderIntent, Side
from trading.portfolio import Position
from trading.risk.protection import advance
from trading.stores.postgres import PostgresJournal, migrate

OPENED = datetime(2024, 1, 1, tzinfo=UTC)
MINUTES = 30 * 24 * 60
ROUNDS, STEPS, RESTARTS = 20, 500, 5
LEASE_SECONDS = 1.0


def protection_step() -> Iterator[Row]:
    """Measure one more candle after 30 days of minutes, and the walk over all of them, per candle."""
    candles = _minutes()
    seen = advance(_position(), candles.head(MINUTES - 1))
    newest = candles.tail(1)
    assert advance(seen, newest).checked_until != seen.checked_until
    spent = medians(
        {"step": lambda: _steps(seen, newest), "walk": lambda: advance(_position(), candles)}, ROUNDS
    )
    yield row(
        "protection_step",
        "levels of one position after one more closed candle, 30 days of minutes after its opening",
        spent["step"] / STEPS * 1e6,
        "us",
        "the same levels by walking all candles since the opening again",
        spent["walk"] * 1e6,
        target="< 50 us",
        packages=("polars",),
    )
    yield row(
        "protection_walk",
        "levels of one position over 43,200 candles that it had not seen, per candle",
        spent["walk"] / MINUTES * 1e6,
        "us",
        "the comparisons alone, in floats",
        min(seconds(lambda: _float_walk(candles)) for _ in range(ROUNDS)) / MINUTES * 1e6,
        target="< 20 us",
        packages=("polars",),
    )


def recovery() -> Iterator[Row]:
    """Measure from a kill to the account as it should be: order found, booked, its stop known. Medians."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        migrate(server.dsn)
        journal = PostgresJournal(server.dsn)
        venue = ScriptedVenue(lambda: datetime.now(UTC), instrument(BTC))
        spent = [_recovery(journal, venue, number) for number in range(RESTARTS)]
    yield row(
        "recovery",
        f"from the kill of a sender between sending and hearing to filled, booked and protected; its lease lasts "
        f"{LEASE_SECONDS:g} s",
        median(spent),
        "s",
        "the lease alone",
        LEASE_SECONDS,
        target="< 30 s with the shipped lease of 15 s",
        packages=("psycopg",),
    )


class _KilledError(BaseException):
    """The sender is gone, and its lease stays."""


def _recovery(journal: PostgresJournal, venue: ScriptedVenue, number: int) -> float:
    account = f"{ACCOUNT}-{number}"
    journal.open_account(account, {"USDT": Decimal(100_000)}, OPENED)
    intent = _entry(account, datetime.now(UTC))
    facts = receipt(intent.decision_id, account=account, decided_at=intent.created_at.isoformat())
    journal.record_decision(facts, intent)
    lease = journal.acquire_lease(account, "killed", LEASE_SECONDS)
    assert lease is not None
    now = datetime.now(UTC)
    journal.mark_sent(intent.intent_id, lease, now, now, venue.void_after())
    venue.submit(intent, venue.void_after())  # and nobody hears the answer
    executor = _executor(journal, venue, "next")
    begin = perf_counter()
    while executor.carry_out(account, datetime.now(UTC)).sent_by_another:
        pass
    spent = perf_counter() - begin
    (stop,) = journal.working_orders(account)
    position = journal.position(account, BTC)
    assert position is not None
    assert stop.remaining == position.quantity == 1
    return spent


def _executor(journal: PostgresJournal, venue: ScriptedVenue, holder: str) -> OrderExecutor:
    rules = ExecutionRules(entry_age=timedelta(hours=2), lease_seconds=LEASE_SECONDS)
    return OrderExecutor(journal, venue, _no_candles, rules, holder=holder)


def _no_candles(pair: Pair, since: datetime, until: datetime) -> pl.DataFrame:
    return CANDLE_SCHEMA.to_frame()


def _entry(account: str, at: datetime) -> OrderIntent:
    return OrderIntent(
        f"intent-{account}", f"decision-{account}", account, BTC, Side.BUY, Decimal(1), False, Decimal(98),
        Decimal(110), at, entry_price=Decimal(100),
    )  # fmt: skip


def _position() -> Position:
    """Nothing touches it in all that time; its stop trails from the first gain on."""
    return Position(
        ACCOUNT, BTC, Decimal(1), Decimal(100), Decimal(1), Decimal(100_000), OPENED,
        trailing_after=Decimal(101), trailing_distance=Decimal(99),
    )  # fmt: skip


def _minutes() -> pl.DataFrame:
    prices = 100 + np.cumsum(np.random.default_rng(1).normal(0, 0.01, MINUTES))
    opened = [OPENED + timedelta(minutes=each) for each in range(MINUTES)]
    closed = [each + timedelta(minutes=1) for each in opened]
    names = ("open_time", "close_time", "open", "high", "low", "close")
    columns = dict(zip(names, (opened, closed, prices, prices + 0.01, prices - 0.01, prices), strict=True))
    return pl.DataFrame(columns, {name: CANDLE_SCHEMA[name] for name in names})


def _steps(seen: Position, newest: pl.DataFrame) -> None:
    for _ in range(STEPS):
        advance(seen, newest)


def _float_walk(candles: pl.DataFrame) -> float:
    best, stop = 100.0, 1.0
    for low, high, close in candles.select("low", "high", "close").iter_rows():
        best = max(best, high)
        if best >= 101.0:
            stop = max(stop, best - 99.0)
        if low <= 1.0 or high >= 100_000.0 or close <= stop:
            break
    return stop


BENCHMARKS: dict[str, Benchmark] = {"protection_step": protection_step, "recovery": recovery}
