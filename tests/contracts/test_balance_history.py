"""The balance history in PostgreSQL: written once per minute, fenced, exact, and the ledger as it was then."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from tests.contracts.trade import BTC, HOUR, MINUTE, NOON, SECOND, bought, fill, opened, order
from trading.account_minute import AccountMinute, PriceReading, account_minute
from trading.errors import InvalidValue, LeaseLost, NotStored
from trading.market import Pair
from trading.orders import OrderStatus
from trading.ports import Adjustment
from trading.stores.postgres import PostgresJournal
from trading.stores.postgres.balance_history import PostgresBalanceHistory, PostgresMinuteWriter
from trading.stores.postgres.stream import StreamOutbox

ACCOUNT, ORIGIN = "paper", "venue"
ETH = Pair("ETH", "USDT")
LATER = NOON + 2 * HOUR


@pytest.fixture
def journal(dsn: str) -> PostgresJournal:
    made = PostgresJournal(dsn)
    opened(made)
    return made


@pytest.fixture
def outbox(dsn: str) -> Iterator[StreamOutbox]:
    made = StreamOutbox(dsn, ORIGIN, "test")
    made.open()
    yield made
    made.close()


@pytest.fixture
def writer(dsn: str, journal: PostgresJournal, outbox: StreamOutbox) -> Iterator[PostgresMinuteWriter]:
    made = PostgresMinuteWriter(dsn, ACCOUNT, ORIGIN, lambda: outbox.epoch)
    yield made
    made.close()


@pytest.fixture
def history(dsn: str) -> PostgresBalanceHistory:
    return PostgresBalanceHistory(dsn)


def valued(writer: PostgresMinuteWriter, end: datetime = LATER, price: str = "10000.1") -> AccountMinute:
    """The minute that ends at `end`, at prices of a second later; ether is not seen."""
    at = end + SECOND
    reading = PriceReading(at, {BTC: Decimal(price)}, {ETH: "book"})
    return account_minute(
        ACCOUNT, "USDT", end - MINUTE, reading, writer.booked(at), known_at=at + timedelta(milliseconds=3)
    )


def test_a_minute_is_read_as_it_was_written(
    writer: PostgresMinuteWriter, journal: PostgresJournal, history: PostgresBalanceHistory
) -> None:
    bought(journal)
    written = valued(writer)
    assert written.positions
    assert written.equity is not None
    writer.write([written])
    [read] = history.minutes(ACCOUNT, LATER - HOUR, LATER)
    for each in fields(AccountMinute):
        assert getattr(read, each.name) == getattr(written, each.name), each.name


def test_what_is_not_known_is_read_as_not_known(
    writer: PostgresMinuteWriter, history: PostgresBalanceHistory
) -> None:
    at = LATER + SECOND
    blind = PriceReading(at, {}, {BTC: "feed"})
    writer.write([account_minute(ACCOUNT, "USDT", LATER - MINUTE, blind, writer.booked(at), known_at=at)])
    [read] = history.minutes(ACCOUNT, LATER - HOUR, LATER)
    assert (read.equity, read.balances["BTC"].value, read.unseen) == (None, None, {BTC: "feed"})
    assert read.cash == 1000


def test_a_minute_that_is_there_stays_as_it_was_written_first(
    writer: PostgresMinuteWriter, history: PostgresBalanceHistory
) -> None:
    first, again = valued(writer), valued(writer, price="12345")
    writer.write([first])
    writer.write([again, replace(again, minute=LATER, at=LATER + MINUTE, known_at=LATER + MINUTE)])
    assert [each.equity for each in history.minutes(ACCOUNT, NOON, LATER + HOUR)] == [
        first.equity,
        again.equity,
    ]


def test_one_that_another_stream_has_taken_over_from_writes_nothing(
    writer: PostgresMinuteWriter, history: PostgresBalanceHistory, dsn: str
) -> None:
    minute = valued(writer)
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
    with pytest.raises(LeaseLost, match="taken over"):
        writer.write([minute])
    assert history.minutes(ACCOUNT, NOON, LATER + HOUR) == []


def test_of_two_minutes_one_that_cannot_be_takes_the_other_with_it(
    writer: PostgresMinuteWriter, history: PostgresBalanceHistory
) -> None:
    minute = valued(writer)
    with pytest.raises(InvalidValue):
        writer.write([minute, replace(minute, minute=LATER)])  # it would have been read before its end
    assert history.minutes(ACCOUNT, NOON, LATER + HOUR) == []


def test_an_account_that_has_not_opened_has_nothing_booked(dsn: str, outbox: StreamOutbox) -> None:
    with pytest.raises(NotStored):
        PostgresMinuteWriter(dsn, "nobody", ORIGIN, lambda: outbox.epoch).booked(NOON)


def test_what_is_booked_later_is_in_the_next_minute_and_never_in_the_one_before(
    writer: PostgresMinuteWriter, journal: PostgresJournal, history: PostgresBalanceHistory
) -> None:
    before = valued(writer)
    writer.write([before])
    bought(journal)  # filled an hour before the minute, heard of after it
    journal.record_adjustment(
        Adjustment(ACCOUNT, "deposit-1", "USDT", Decimal(50), "deposit", LATER, Decimal(50))
    )
    after = valued(writer, LATER + MINUTE)
    assert (len(before.positions), len(after.positions)) == (0, 1)
    assert after.cash == before.cash - Decimal("100.26") + 50
    for each in (before, after):
        booked = history.ledger_balances(ACCOUNT, each.at, each.newest_entry)
        assert booked == {name: balance.amount for name, balance in each.balances.items()}


def test_a_fill_of_after_the_moment_counts_once_its_time_has_come(
    writer: PostgresMinuteWriter, journal: PostgresJournal
) -> None:
    bought(journal)  # filled an hour after noon
    early = writer.booked(NOON + MINUTE)
    assert (early.portfolio.holdings, early.balances["USDT"]) == ({}, 1000)
    late = writer.booked(NOON + HOUR)  # nothing was booked since
    assert late.newest_entry == early.newest_entry
    assert late.portfolio.holdings[BTC].quantity == Decimal("0.01")
    assert late.balances["USDT"] == Decimal("899.74")


def test_more_fills_grow_the_holding(writer: PostgresMinuteWriter, journal: PostgresJournal) -> None:
    entry = bought(journal)
    assert writer.booked(LATER).portfolio.holdings[BTC].quantity == Decimal("0.01")
    more = fill(entry, 2, quantity=Decimal("0.02"), price=Decimal(13_000), filled_at=LATER - SECOND)
    journal.record_order(order(entry, OrderStatus.FILLED), [more])
    held = writer.booked(LATER).portfolio.holdings[BTC]
    assert (held.quantity, held.entry_price) == (Decimal("0.03"), 12_000)


def test_the_ends_of_days_are_their_newest_minutes_and_days_without_one_are_left_out(
    writer: PostgresMinuteWriter, history: PostgresBalanceHistory
) -> None:
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    ends = [midnight - MINUTE, midnight, midnight + HOUR, midnight + timedelta(days=2, hours=5)]
    writer.write([valued(writer, end) for end in ends])
    found = history.day_ends(ACCOUNT, midnight + timedelta(days=3), 4)
    assert [each.minute + MINUTE for each in found] == [midnight, midnight + HOUR, ends[3]]
    assert [each.minute + MINUTE for each in history.day_ends(ACCOUNT, midnight + timedelta(days=1), 1)] == [
        midnight + HOUR
    ]
    assert history.day_ends("nobody", midnight, 4) == []
