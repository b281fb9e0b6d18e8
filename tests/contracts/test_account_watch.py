"""What watches an account: it is told of every change, reads one moment, and commits all or nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from queue import Empty, Queue

import psycopg
import pytest

from tests.contracts.trade import HOUR, NOON, bought, opened, stop
from trading.errors import LeaseLost, NotStored
from trading.ports import Adjustment
from trading.risk import Halt, HaltKind
from trading.stores.order_rules import begun
from trading.stores.postgres import PostgresJournal
from trading.stores.postgres.account_watch import PostgresAccountWatch
from trading.stores.postgres.stream import StreamOutbox

PATIENCE = 60.0
DAY = Halt(HaltKind.DAILY_LOSS, NOON, NOON + timedelta(hours=12), "lost")


@pytest.fixture
def journal(dsn: str) -> PostgresJournal:
    return PostgresJournal(dsn)


@pytest.fixture
def watch(dsn: str) -> Iterator[PostgresAccountWatch]:
    outbox = StreamOutbox(dsn, "venue", "test")
    outbox.open()
    account_watch = PostgresAccountWatch(dsn, "paper", "venue", lambda: outbox.epoch)
    yield account_watch
    account_watch.close()
    outbox.close()


@contextmanager
def told(watch: PostgresAccountWatch) -> Iterator[Callable[[], None]]:
    """Yield what waits for one more word; it fails when none comes."""
    words: Queue[None] = Queue()
    ended = threading.Event()
    thread = threading.Thread(target=watch.wait, args=(lambda: words.put(None), ended))
    thread.start()

    def wait() -> None:
        words.get(timeout=PATIENCE)
        while True:  # one change may be several words
            try:
                words.get(timeout=0.2)
            except Empty:
                return

    try:
        wait()  # the first one says that it listens
        yield wait
    finally:
        ended.set()
        thread.join()


def test_it_is_told_of_everything_that_it_reads(
    journal: PostgresJournal, watch: PostgresAccountWatch
) -> None:
    with told(watch) as word:
        opened(journal)
        word()
        assert watch.read().positions == ()
        bought(journal)
        word()
        (held,) = watch.read().positions
        assert watch.read().balances["BTC"] == journal.balances("paper")["BTC"]
        journal.update_protection(replace(held, stop_loss=Decimal(9900)))
        word()
        assert watch.read().positions[0].stop_loss == 9900
        journal.begin_halts("paper", [DAY])
        word()
        assert watch.read().halts == (DAY,)
        journal.record_adjustment(Adjustment("paper", "D-1", "USDT", Decimal(5), "deposit", NOON + HOUR))
        word()
        assert watch.read().adjustments == 1
        wanted = stop()
        journal.add_order(wanted, begun(wanted), "a test")
        word()
        assert [each.intent.intent_id for each in watch.read().working] == [wanted.intent_id]


def test_what_happens_to_another_account_is_not_told(
    journal: PostgresJournal, watch: PostgresAccountWatch
) -> None:
    with told(watch) as word:
        journal.open_account("someone", {"USDT": Decimal(1)}, NOON)
        opened(journal)
        word()
        assert watch.read().balances == journal.balances("paper")


def test_before_the_account_has_opened_there_is_nothing_to_read(watch: PostgresAccountWatch) -> None:
    with pytest.raises(NotStored):
        watch.read()


def test_levels_and_halts_are_committed_together(
    journal: PostgresJournal, watch: PostgresAccountWatch
) -> None:
    opened(journal)
    bought(journal)
    (held,) = watch.read().positions
    touched = replace(held, exit_reason="take-profit")
    impossible = replace(DAY, until=None, reason="\0")  # PostgreSQL has no such text
    with pytest.raises(Exception, match="NUL"):
        watch.commit([touched], [impossible])
    assert watch.read().positions == (held,)
    watch.commit([touched], [DAY])
    assert watch.read().positions == (touched,)
    assert watch.read().halts == (DAY,)


def test_after_another_stream_has_taken_over_nothing_is_committed(
    journal: PostgresJournal, watch: PostgresAccountWatch, dsn: str
) -> None:
    opened(journal)
    bought(journal)
    (held,) = watch.read().positions
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
    with pytest.raises(LeaseLost, match="taken over"):
        watch.commit([replace(held, exit_reason="take-profit")], [DAY])
    assert watch.read().positions == (held,)
    assert watch.read().halts == ()
