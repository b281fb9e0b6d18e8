"""What a journal in PostgreSQL promises beyond the contract: several processes, and SQL."""

from decimal import Decimal

import psycopg
import pytest

from tests.contracts.trade import HOUR, NOON, bought, decided, fill, opened, order
from tests.doubles.threads import at_once
from trading.errors import StoreUnreachable
from trading.orders import OrderStatus
from trading.ports import Journal
from trading.risk import Halt, HaltKind
from trading.stores.postgres import PostgresJournal


@pytest.fixture
def journal(dsn: str) -> Journal:
    return PostgresJournal(dsn)


def test_while_another_process_books_on_the_account_an_order_waits(dsn: str, journal: Journal) -> None:
    wanted = decided(opened(journal))
    impatient = PostgresJournal(f"{dsn}&options=-c%20lock_timeout%3D20ms")
    with psycopg.connect(dsn) as other:
        other.execute("SELECT 1 FROM accounts WHERE account = 'paper' FOR NO KEY UPDATE")
        with pytest.raises(StoreUnreachable, match="another process holds"):
            impatient.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        with pytest.raises(StoreUnreachable, match="another process holds"), impatient.exclusive("paper"):
            pass
    impatient.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
    assert len(journal.fills("paper")) == 1


def test_a_decision_can_be_asked_for_in_sql(dsn: str, journal: Journal) -> None:
    bought(opened(journal))
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT d.action, position_size, stop_loss, executed, receipt ->> 'account', agent, evidence ->> 'adx' "
            "FROM trade_decisions d JOIN agent_opinions USING (decision_id)"
        ).fetchone()
    assert row == ("LONG", Decimal("0.01"), Decimal(9800), True, "paper", "technical", "12.5")


def test_halts_and_peak_are_there_for_the_next_process(dsn: str, journal: Journal) -> None:
    pause = Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")
    journal.begin_halts("paper", [pause])
    journal.raise_peak("paper", Decimal("1234.56789"))
    restarted = PostgresJournal(dsn)
    assert restarted.halts("paper") == [pause]
    assert restarted.peak("paper") == Decimal("1234.56789")


def test_processes_that_find_the_same_drawdown_pause_once_and_store_the_higher_peak(dsn: str) -> None:
    def find(number: int) -> Decimal:
        own = PostgresJournal(dsn)
        own.begin_halts("paper", [Halt(HaltKind.DRAWDOWN, NOON + number * HOUR, None, "10 % lost")])
        return own.raise_peak("paper", Decimal(number))

    peaks = at_once(find, range(4))
    journal = PostgresJournal(dsn)
    assert len(journal.halts("paper")) == 1
    assert journal.peak("paper") == max(peaks) == 3
