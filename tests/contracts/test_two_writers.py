"""Processes that decide on one account at once never exceed a limit together."""

import itertools
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.contracts.rival_writer import MAX_EXPOSURE, MAX_OPEN
from tests.contracts.trade import opened
from trading.stores.postgres import PostgresJournal

ROOT = Path(__file__).parents[2]


def run_rivals(dsn: str, names: list[str], count: int) -> None:
    """Start them behind the account's lock, so that all begin at once."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(dsn) as gate, psycopg.connect(dsn, autocommit=True) as watch:
        gate.execute("SELECT 1 FROM accounts FOR NO KEY UPDATE")
        command = [sys.executable, "-m", "tests.contracts.rival_writer", dsn]
        rivals = [subprocess.Popen([*command, name, str(count)], cwd=ROOT) for name in names]
        while watch.execute(waiting).fetchone() != (len(names),):
            assert all(rival.poll() is None for rival in rivals)
        gate.commit()
        assert [rival.wait() for rival in rivals] == [0] * len(names)


def check_history(dsn: str, names: list[str], count: int) -> None:
    """Replay every change in the order in which it was committed: they all held the account's lock."""
    with psycopg.connect(dsn) as connection:
        changes = connection.execute(
            "SELECT c.intent_id, c.status, i.quantity FROM order_changes c JOIN order_intents i USING (intent_id) "
            "ORDER BY c.number"
        ).fetchall()
    live: dict[str, Decimal] = {}
    for intent_id, status, quantity in changes:
        if status == "intended":
            live[intent_id] = quantity
        else:
            del live[intent_id]
        assert len(live) <= MAX_OPEN
        assert sum(live.values()) <= MAX_EXPOSURE
    writers = [intent_id.split("-")[2] for intent_id, status, _ in changes if status == "intended"]
    assert sorted(writers) == sorted(names * count)
    assert len(list(itertools.groupby(writers))) > len(names)  # they took turns


def test_two_writers_exceed_no_limit(dsn: str) -> None:
    opened(PostgresJournal(dsn))
    run_rivals(dsn, ["a", "b"], 100)
    check_history(dsn, ["a", "b"], 100)


@pytest.mark.soak
def test_two_writers_of_ten_thousand_intents_exceed_no_limit(dsn: str) -> None:
    opened(PostgresJournal(dsn))
    run_rivals(dsn, ["a", "b"], 5_000)
    check_history(dsn, ["a", "b"], 5_000)
