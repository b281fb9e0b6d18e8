"""No random history of decisions, reports, restarts and rival writers breaks what must hold."""

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.journal_model import LedgerMachine
from tests.doubles.stores import MemoryJournal
from trading.stores.postgres import PostgresJournal

CALM = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_no_history_breaks_the_journal_in_memory() -> None:
    def machine() -> LedgerMachine:
        journal = MemoryJournal()
        return LedgerMachine(lambda: journal)

    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=CALM),
    )


def test_no_history_breaks_the_journal_in_postgresql(dsn: str) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(lambda: PostgresJournal(dsn)),
        settings=settings(max_examples=8, stateful_step_count=30, deadline=None, suppress_health_check=CALM),
    )
