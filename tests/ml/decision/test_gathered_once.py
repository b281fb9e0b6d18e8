"""A whole decision over PostgreSQL and the lake: what it reads of the candles, and the statements that it takes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from threading import get_ident
from typing import Any

import psycopg
import pytest

from ml.decision.market_reader import END_OF_TIME
from ml.decision.reader import InputReader
from ml.learning.registry import PolicyRegistry
from tests.ml.decision.decision_world import with_market
from tests.ml.decision.replay_world import CROSS, OTHER, ReplayWorld
from tests.ml.decision.trading_day import PAIR, START
from trading.market import CANDLE_SCHEMA
from trading.stores.lake import LakeTable
from trading.stores.postgres import PostgresJournal, PostgresNews, PostgresPromotions

PAIRS = (PAIR, CROSS, OTHER)
STATEMENTS_OF_A_DECISION = 171  # with an entry on paper, from settling to the snapshot
STATEMENTS_UNDER_THE_LOCK = 24  # from the account's lock to the commit of receipt and order


class CountedStore:
    """The candles, and how often each window of them was read; a clock on history looks for the newest of all times."""

    def __init__(self, inner: LakeTable) -> None:
        self.inner = inner
        self.tails: Counter[tuple[str, datetime]] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def tail(self, pair: Any, until: datetime, rows: int) -> Any:
        if until < END_OF_TIME:
            self.tails[str(pair), until] += 1
        return self.inner.tail(pair, until, rows)


class CountedJournal(PostgresJournal):
    """The journal, and the statements of each time that it held the account's lock."""

    def __init__(self, dsn: str, statements: list[str]) -> None:
        super().__init__(dsn)
        self.statements, self.under_lock = statements, list[list[str]]()

    @contextmanager
    def exclusive(self, account: str) -> Iterator[None]:
        with super().exclusive(account):
            before = len(self.statements)
            yield
        self.under_lock.append(self.statements[before:])


class RealWorld(ReplayWorld):
    """Three pairs, a champion and news, all of it in PostgreSQL and the lake; every statement is noted."""

    def __init__(self, folder: Path, dsn: str, statements: list[str]) -> None:
        super().__init__(folder, journal=CountedJournal(dsn, statements))
        lake = LakeTable(folder / "lake", CANDLE_SCHEMA)
        for pair in PAIRS:
            for month in self.table.months(pair):
                lake.write(pair, month, self.table.read(pair, month))
        promotions, news = PostgresPromotions(dsn, "test"), PostgresNews(dsn, "test")
        promotions.record(PAIR, self.champion, True, {}, at=START)
        self.store = CountedStore(lake)
        self.reader = replace(
            with_market(self.reader, candles=self.store, news=news),
            policies=PolicyRegistry(folder, promotions),
        )


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement of this thread that goes to PostgreSQL from now on; others may be left from earlier tests."""
    noted: list[str] = []
    own = get_ident()
    execute, execute_many = psycopg.Cursor.execute, psycopg.Cursor.executemany

    def note(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        if get_ident() == own:
            noted.append(str(query))
        return execute(cursor, query, *arguments, **named)

    def note_many(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        if get_ident() == own:
            noted.append(str(query))
        return execute_many(cursor, query, *arguments, **named)

    monkeypatch.setattr(psycopg.Cursor, "execute", note)
    monkeypatch.setattr(psycopg.Cursor, "executemany", note_many)
    return noted


@pytest.fixture
def world(tmp_path: Path, dsn: str, statements: list[str]) -> RealWorld:
    made = RealWorld(tmp_path, dsn, statements)
    made.reader.account.ensure_open(made.newest)
    made.store.tails.clear()
    return made


def test_a_decision_reads_each_pair_once_at_its_time_and_once_at_midnight(world: RealWorld) -> None:
    clock = world.reader.read_clock()
    world.store.tails.clear()
    midnight = datetime.combine(clock.at, time(), clock.at.tzinfo)
    assert world.execute(clock.at).receipt["intent"]
    assert world.store.tails == {(str(pair), at): 1 for pair in PAIRS for at in (clock.at, midnight)}


def test_without_one_reading_for_the_decision_the_same_windows_are_read_again(
    world: RealWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count above is of what the reader for one decision saves."""
    monkeypatch.setattr(InputReader, "for_one_decision", lambda reader, at: reader)
    world.execute(world.newest)
    assert world.store.tails[str(PAIR), world.newest] > 1


def test_the_account_is_locked_for_these_statements_alone(world: RealWorld) -> None:
    at = world.newest
    before = len(world.journal.statements)
    assert world.execute(at).receipt["intent"]
    _, decision = world.journal.under_lock
    assert len(decision) == STATEMENTS_UNDER_THE_LOCK, "\n".join(decision)
    assert len(world.journal.statements) - before == STATEMENTS_OF_A_DECISION, "\n".join(
        world.journal.statements[before:]
    )
