"""An account from before the order ledger: what its orders' reasons said becomes columns."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from orchestration.postgres.embedded import EmbeddedPostgres
from trading.market import Pair
from trading.orders import OrderKind, OrderStatus, WorkingOrder, client_order_id
from trading.risk import HaltKind
from trading.stores.postgres import PostgresJournal, migrate

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
DEADLINE = NOON + timedelta(seconds=20)
VOID = "; void after 2024-05-01T12:00:20Z"
UUID = "00000000-0000-4000-8000-000000000001"
# intent id, pair, reduces, status (None: no order was ever recorded), reason
ORDERS = [
    ("never-asked", "BTC/USDT", False, None, ""),
    ("waits", "BTC/USDT", False, "pending", "Kraken is in maintenance"),
    (UUID, "BTC/USDT", False, "pending", f"sent to Kraken{VOID}"),
    ("never-taken", "BTC/USDT", False, "pending", f"Kraken never took it: it may be placed again{VOID}"),
    ("lost", "BTC/USDT", False, "unknown", f"no answer{VOID}"),
    ("lost-long-ago", "BTC/USDT", False, "unknown", "no answer"),
    ("live", "BTC/USDT", False, "accepted", "Kraken order OABC12-DEF34-GHI567: open"),
    ("partly", "BTC/USDT", False, "accepted", "Kraken order OABC12-DEF34-GHI568: open"),
    ("paper", "BTC/USDT", False, "accepted", "waits for the next price"),
    ("done", "BTC/USDT", False, "filled", ""),
    ("refused", "BTC/USDT", False, "rejected", "too small"),
    ("exit-1", "BTC/USDT", True, "accepted", "Kraken order OABC12-DEF34-GHI569: open"),
    ("exit-2", "BTC/USDT", True, "unknown", f"no answer{VOID}"),
    ("exit-3", "XRP/USDT", True, "pending", ""),
    ("exit-4", "XRP/USDT", True, None, ""),
]
FILLS = [("f1", "done", "1"), ("f2", "partly", "0.4")]


@pytest.fixture
def old(postgres_server: EmbeddedPostgres) -> str:
    """A database with the rows above, as version 3 kept them, brought to the newest version."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS old WITH (FORCE)")
        connection.execute("CREATE DATABASE old")
    dsn = postgres_server.dsn.replace("/marketloom?", "/old?")
    migrate(dsn, "0003")
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO accounts VALUES ('a', %s)", (NOON,))
        for intent_id, pair, reduces, status, reason in ORDERS:
            connection.execute(
                "INSERT INTO trade_decisions (decision_id, decided_at, dataset, account, pair, model, action, "
                "confidence, reasoning, receipt) VALUES (%s, %s, '', 'a', %s, '', '', 1, '', '{}')",
                (intent_id, NOON, pair),
            )
            connection.execute(
                "INSERT INTO order_intents (intent_id, decision_id, account, pair, side, quantity, reduces, stop_loss, "
                "created_at) VALUES (%s, %s, 'a', %s, %s, 1, %s, 98, %s)",
                (intent_id, intent_id, pair, "sell" if reduces else "buy", reduces, NOON),
            )
            if status is not None:
                connection.execute(
                    "INSERT INTO orders VALUES (%s, %s, %s, %s)", (intent_id, status, reason, NOON)
                )
        for fill_id, intent_id, quantity in FILLS:
            connection.execute(
                "INSERT INTO fills (fill_id, intent_id, account, pair, side, price, quantity, fee, fee_asset, "
                "filled_at) VALUES (%s, %s, 'a', 'BTC/USDT', 'buy', 100, %s, 0, 'USDT', %s)",
                (fill_id, intent_id, quantity, NOON),
            )
            connection.execute(
                "INSERT INTO ledger_entries (account, asset, amount, entered_at, fill_id) "
                "VALUES ('a', 'BTC', %s, %s, %s)",
                (quantity, NOON, fill_id),
            )
        connection.execute("INSERT INTO positions VALUES ('a', 'BTC/USDT', 1.4, 100, 98, NULL, %s)", (NOON,))
        connection.execute(
            "INSERT INTO halts (account, kind, since, reason) VALUES ('a', 'drawdown', %s, '10 %% lost')",
            (NOON,),
        )
    migrate(dsn)
    return dsn


def test_an_account_from_before_the_order_ledger_keeps_all_it_had(old: str) -> None:
    journal = PostgresJournal(old)

    def order(intent_id: str) -> WorkingOrder:
        working = journal.working_order(intent_id)
        assert working is not None
        return working

    S = OrderStatus  # noqa: N806
    states = {each[0]: order(each[0]).order.status for each in ORDERS}
    assert states == {
        "never-asked": S.INTENDED, "waits": S.INTENDED, UUID: S.SENT, "never-taken": S.INTENDED,
        "lost": S.UNKNOWN, "lost-long-ago": S.UNKNOWN, "live": S.ACKNOWLEDGED, "partly": S.PARTLY_FILLED,
        "paper": S.ACKNOWLEDGED, "done": S.FILLED, "refused": S.REJECTED, "exit-1": S.ACKNOWLEDGED,
        "exit-2": S.CANCELLED, "exit-3": S.INTENDED, "exit-4": S.CANCELLED,
    }  # fmt: skip
    attempts = {each[0]: order(each[0]).order.attempt for each in ORDERS}
    assert [name for name, attempt in attempts.items() if attempt == 0] == [
        "never-asked", "waits", "refused", "exit-3", "exit-4",
    ]  # fmt: skip
    for intent_id in (UUID, "never-taken", "lost"):
        assert (order(intent_id).order.void_after, order(intent_id).order.sent_at) == (DEADLINE, NOON)
    assert order("lost-long-ago").order.void_after == NOON + timedelta(seconds=60)
    assert order("live").order.venue_order_id == "OABC12-DEF34-GHI567"
    assert (order("partly").order.filled, order("partly").remaining) == (Decimal("0.4"), Decimal("0.6"))
    assert (order("live").intent.kind, order("exit-1").intent.kind) == (OrderKind.ENTRY, OrderKind.EXIT)
    assert journal.intent("done") == order("done").intent
    assert [change.status for change in journal.order_changes("done")] == [S.FILLED]


def test_a_position_from_before_can_shrink_and_be_protected(old: str) -> None:
    journal = PostgresJournal(old)
    position = journal.position("a", BTC)
    assert position is not None
    assert (position.quantity, position.stop_loss, position.exit_reason) == (Decimal("1.4"), 98, "")
    assert journal.update_protection(position)
    with psycopg.connect(old) as connection:
        assert connection.execute("SELECT entry_id FROM positions").fetchone() == ("partly",)


def test_an_order_from_before_keeps_its_name_at_the_venue(old: str) -> None:
    with psycopg.connect(old) as connection:
        rows = connection.execute("SELECT intent_id, client_order_id FROM orders").fetchall()
    assert {name for name, _ in rows} == {each[0] for each in ORDERS}
    assert all(name == client_order_id(intent_id) for intent_id, name in rows)


def test_an_account_that_had_sent_two_exits_halts_until_a_person_looks(old: str) -> None:
    halts = PostgresJournal(old).halts("a")
    assert sorted(halt.kind for halt in halts) == [HaltKind.DRAWDOWN, HaltKind.RECONCILIATION]
    assert all(halt.needs_resume for halt in halts)
    assert any("BTC/USDT" in halt.reason and "XRP/USDT" not in halt.reason for halt in halts)
