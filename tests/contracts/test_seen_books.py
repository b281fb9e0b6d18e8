"""The newest verified book that the stream has put on the bus, and how old it is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trading.bus_messages import BOOK
from trading.market import Pair
from trading.stores.postgres import Database
from trading.stores.postgres.outbox import PostgresEventLog
from trading.stores.postgres.seen_books import PostgresSeenBooks

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
AT = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)


@pytest.fixture
def log(dsn: str) -> PostgresEventLog:
    return PostgresEventLog(dsn)


@pytest.fixture
def books(dsn: str) -> PostgresSeenBooks:
    return PostgresSeenBooks(dsn, "kraken")


def publish(
    log: PostgresEventLog,
    bid: Sequence[float] = (100.0, 1.0),
    *,
    seconds: float = 0,
    origin: str = "kraken",
    asks: Sequence[Sequence[float]] = ((101.0, 2.0), (102.0, 1.0)),
) -> None:
    at = (AT + timedelta(seconds=seconds)).isoformat()
    log.publish(BOOK, BTC.key, {"origin": origin, "at": at, "bids": [bid, [99.0, 3.0]], "asks": asks})


def test_without_a_sample_of_the_pair_and_the_venue_there_is_none(
    log: PostgresEventLog, books: PostgresSeenBooks
) -> None:
    publish(log, origin="sandbox")
    assert books.newest(BTC) is None
    publish(log)
    assert books.newest(XRP) is None


def test_the_newest_sample_counts_with_its_best_prices(
    log: PostgresEventLog, books: PostgresSeenBooks
) -> None:
    publish(log)
    publish(log, (100.5, 1.0), seconds=1)
    publish(log, (90.0, 1.0), seconds=2, origin="sandbox")
    found = books.newest(BTC)
    assert found is not None
    assert (found.bid, found.ask, found.at) == (100.5, 101.0, AT + timedelta(seconds=1))


def test_a_book_with_one_side_alone_is_none(log: PostgresEventLog, books: PostgresSeenBooks) -> None:
    publish(log)
    publish(log, seconds=1, asks=())
    found = books.newest(BTC)
    assert found is not None
    assert found.at == AT


def test_its_age_is_that_of_its_row_whatever_the_clock_of_this_machine_says(
    dsn: str, log: PostgresEventLog, books: PostgresSeenBooks
) -> None:
    publish(log)
    Database(dsn).execute("UPDATE bus_event SET at = at - interval '1 hour' RETURNING 1", {})
    found = books.newest(BTC)
    assert found is not None
    assert found.seconds_ago >= 3600


@pytest.mark.parametrize(
    ("by_venue", "seconds_ago", "age"),
    [
        (0.5, 3600.0, 0.5),  # a market that stands still
        (240.0, 1.0, 1.0),  # one that goes faster than time
        (60.0, 61.0, 60.0),
        (-2.0, 1.5, 1.5),  # it came after the account's clock was read
        (-3600.0, 3599.0, 3599.0),  # a venue's clock that is wrong makes no old book young
    ],
)
def test_the_less_of_two_ages_counts(
    log: PostgresEventLog, books: PostgresSeenBooks, by_venue: float, seconds_ago: float, age: float
) -> None:
    publish(log)
    found = books.newest(BTC)
    assert found is not None
    seen = replace(found, seconds_ago=seconds_ago)
    assert seen.age_seconds(AT + timedelta(seconds=by_venue)) == age
