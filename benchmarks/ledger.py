"""A decision's transaction: risk and ledger under the account's lock, beside a bare PostgreSQL transaction."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from benchmarks.risk import AGES, INSTRUMENT, LIMITS, MARKET, PROPOSAL, STATE
from benchmarks.row import Benchmark, Row, row, seconds
from orchestration.postgres.embedded import EmbeddedPostgres
from trading.orders import OrderIntent
from trading.risk import assess
from trading.risk.halts import active_halts
from trading.stores.postgres import PostgresJournal, migrate

ROUNDS, WARM_UP = 2_000, 100
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
ACCOUNT = "bench"


def ledger_transaction() -> Iterator[Row]:
    """Measure in turns, on one embedded server with its durable settings: what else it does meets both."""
    with _server() as dsn:
        ways = {"ours": _decision(dsn), "bare": _bare(dsn)}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(WARM_UP + ROUNDS):
            for name, call in ways.items():
                spent[name] += [seconds(call)] if number >= WARM_UP else []
                if number < WARM_UP:
                    call()
    for place in (50, 99):
        ours, bare = (float(np.percentile(spent[name], place)) * 1e3 for name in ("ours", "bare"))
        yield row(
            f"ledger_transaction_p{place}",
            "risk and ledger in one transaction: lock the account, read its state, assess, store receipt and intent",
            ours,
            "ms",
            "BEGIN; SELECT ... FOR UPDATE; INSERT; COMMIT on the same server",
            bare,
            target="-",
            packages=("psycopg",),
        )


@contextmanager
def _server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        migrate(server.dsn)
        yield server.dsn


def _decision(dsn: str) -> Callable[[], None]:
    """Each decision cancels the entry before it, so that as much is open in the last one as in the first."""
    journal, numbers = PostgresJournal(dsn), count()
    journal.open_account(ACCOUNT, {"USDT": Decimal(2000), "BTC": Decimal("0.05")}, NOON)

    def decide() -> None:
        number = next(numbers)
        at = NOON + timedelta(minutes=number)
        with journal.exclusive(ACCOUNT):
            journal.balances(ACCOUNT)
            journal.positions(ACCOUNT)
            working = journal.working_orders(ACCOUNT)
            assert not active_halts(journal.halts(ACCOUNT), at)
            journal.intents_since(ACCOUNT, at - timedelta(minutes=1))
            assessment = assess(PROPOSAL, STATE, MARKET, AGES, INSTRUMENT, LIMITS)
            assert assessment.approved, assessment.rejection_reason
            intent = _intent(number, assessment.adjusted_size, at)
            receipt = _receipt(intent, assessment.facts())
            assert journal.record_decision(receipt, intent, [each.intent.intent_id for each in working])

    return decide


def _intent(number: int, quantity: Decimal, at: datetime) -> OrderIntent:
    return OrderIntent(
        intent_id=f"intent-{number}",
        decision_id=f"decision-{number}",
        account=ACCOUNT,
        pair=INSTRUMENT.pair,
        side=PROPOSAL.side,
        quantity=quantity,
        reduces=False,
        stop_loss=Decimal("0.51577123"),
        take_profit=Decimal("0.543981"),
        created_at=at,
        entry_price=Decimal("0.52431"),
    )


def _receipt(intent: OrderIntent, assessment: dict[str, Any]) -> dict[str, Any]:
    opinion = {
        "agent": "technical",
        "model": "rules",
        "action": "LONG",
        "confidence": 0.8,
        "reasoning": "trend",
    }
    return {
        "decision_id": intent.decision_id, "account": ACCOUNT, "pair": str(intent.pair),
        "decided_at": intent.created_at, "action": "LONG", "confidence": 0.8, "risk": assessment,
        "opinions": [opinion | {"evidence": {"adx": 31.5}} for _ in range(4)],
    }  # fmt: skip


def _bare(dsn: str) -> Callable[[], None]:
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("CREATE TABLE bare (account text PRIMARY KEY)")
    connection.execute(
        "CREATE TABLE bare_intents (number bigint PRIMARY KEY, account text, quantity numeric)"
    )
    connection.execute("INSERT INTO bare VALUES ('bench')")
    numbers = count()

    def insert() -> None:
        with connection.transaction():
            connection.execute("SELECT 1 FROM bare WHERE account = 'bench' FOR UPDATE")
            connection.execute("INSERT INTO bare_intents VALUES (%s, 'bench', 1.5)", (next(numbers),))

    return insert


BENCHMARKS: dict[str, Benchmark] = {"ledger_transaction": ledger_transaction}
