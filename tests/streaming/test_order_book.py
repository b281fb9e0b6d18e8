"""A book built from changes: the same levels as the plainest model, and the venue's checksum at every change."""

from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.readers.plain_book import PlainBook
from streaming.events import BookChange
from streaming.order_book import OrderBook
from tests.streaming.kraken_recordings import (
    PUBLISHED_ASKS,
    PUBLISHED_BIDS,
    PUBLISHED_CHECKSUM,
    decimals,
    levels,
    older_changes,
    recorded,
)
from trading.errors import InvalidMessage, InvalidValue
from trading.market import Pair

PAIR = Pair("BTC", "USD")


def change(bids: str = "", asks: str = "", snapshot: bool = False, checksum: int | None = None) -> BookChange:
    return BookChange(PAIR, snapshot, levels(bids), levels(asks), checksum, None, None)


def book_of(bids: str = "", asks: str = "", depth: int = 10) -> OrderBook:
    book = OrderBook(depth, price_decimals=1, quantity_decimals=2)
    book.apply(change(bids, asks, snapshot=True))
    return book


PRICES = st.integers(1, 400).map(lambda steps: Decimal(steps).scaleb(-1))
QUANTITIES = st.one_of(
    st.just(Decimal(0)), st.integers(1, 10**6).map(lambda steps: Decimal(steps).scaleb(-2))
)
SIDES = st.lists(st.tuples(PRICES, QUANTITIES), max_size=15).map(tuple)
CHANGES = st.builds(
    lambda bids, asks, snapshot: BookChange(PAIR, snapshot, bids, asks, None, None, None),
    SIDES,
    SIDES,
    st.sampled_from([False, False, False, False, True]),
)


@settings(deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=40), st.integers(1, 15))
def test_any_sequence_of_changes_gives_the_levels_and_checksum_of_the_plainest_model(
    changes: list[BookChange], depth: int
) -> None:
    book, plain = OrderBook(depth, 1, 2), PlainBook(depth, 1, 2)
    book.apply(change(snapshot=True))
    for each in changes:
        book.apply(each)
        plain.apply(each)
        assert book.bids() == tuple(plain.bids.items())
        assert book.asks() == tuple(plain.asks.items())
        assert book.checksum() == plain.checksum()


def test_the_published_checksum_is_reached_from_levels_in_any_order() -> None:
    book = OrderBook(25, 1, 8)
    bids, asks = levels(PUBLISHED_BIDS), levels(PUBLISHED_ASKS)
    book.apply(BookChange(PAIR, True, bids[::-1], asks[::-1], PUBLISHED_CHECKSUM, None, None))
    assert book.is_valid
    assert (book.best_bid, book.best_ask) == (bids[0], asks[0])


def test_leading_zeros_do_not_count() -> None:
    book = OrderBook(10, 8, 8)
    tiny = (Decimal("0.00002345"), Decimal("0.00000051"))  # Decimal writes the second as 5.1E-7
    book.apply(BookChange(PAIR, True, (), (tiny,), crc32(b"234551"), None, None))
    assert book.asks() == (tiny,)


@pytest.mark.parametrize("price", ["100", "1E+2", "100.0", "100.000", "1.00E2"])
def test_the_spelling_of_a_number_does_not_matter(price: str) -> None:
    book = book_of(asks="100.0 1.00")
    known = book.checksum()
    book.apply(BookChange(PAIR, False, (), ((Decimal(price), Decimal("1")),), known, None, None))
    assert len(book.asks()) == 1


def test_changes_of_one_level_count_in_their_order() -> None:
    book = book_of(bids="10.0 1")
    book.apply(change(bids="10.0 0, 10.0 3, 10.0 2"))
    assert book.bids() == levels("10.0 2")
    book.apply(change(bids="10.0 5, 10.0 0"))
    assert book.bids() == ()


def test_levels_beyond_the_depth_are_dropped_and_may_be_removed_again() -> None:
    book = book_of(bids="10.0 1, 9.0 1, 8.0 1", asks="11.0 1, 12.0 1, 13.0 1", depth=2)
    assert book.bids() == levels("10.0 1, 9.0 1")
    assert book.asks() == levels("11.0 1, 12.0 1")
    book.apply(change(bids="8.0 0, 10.0 0"))
    assert book.bids() == levels("9.0 1")


def test_the_book_is_truncated_after_the_whole_message() -> None:
    book = book_of(bids="10.0 1, 9.0 1", depth=2)
    book.apply(change(bids="11.0 1, 10.0 0"))
    assert book.bids() == levels("11.0 1, 9.0 1")


def test_a_snapshot_replaces_everything() -> None:
    book = book_of(bids="10.0 1", asks="11.0 1")
    book.apply(change(bids="9.0 1", snapshot=True))
    assert (book.bids(), book.asks()) == (levels("9.0 1"), ())


def test_a_wrong_checksum_empties_the_book_until_the_next_snapshot() -> None:
    book = book_of(bids="10.0 1", asks="11.0 1")
    with pytest.raises(InvalidMessage, match=r"BTC/USD: checksum \d+, the venue says 1"):
        book.apply(change(bids="9.0 1", checksum=1))
    assert (book.is_valid, book.best_bid, book.best_ask, book.bids(), book.asks()) == (
        False,
        None,
        None,
        (),
        (),
    )
    with pytest.raises(InvalidMessage, match="before the snapshot"):
        book.apply(change(bids="9.0 1"))
    book.apply(change(bids="9.0 1", snapshot=True))
    assert book.is_valid


def test_a_checksum_is_also_compared_where_no_checked_level_changed() -> None:
    book = book_of(asks=", ".join(f"{price}.0 1" for price in range(100, 112)), depth=25)
    right = book.checksum()
    book.apply(change(asks="111.0 2", checksum=right))
    with pytest.raises(InvalidMessage):
        book.apply(change(asks="111.0 3", checksum=right ^ 1))


def test_a_wrong_snapshot_leaves_the_book_invalid() -> None:
    book = OrderBook(10, 1, 2)
    with pytest.raises(InvalidMessage):
        book.apply(change(bids="10.0 1", snapshot=True, checksum=1))
    assert not book.is_valid


@pytest.mark.parametrize(
    "price", ["-1", "0", "0.0", "0.05", "NaN", "-Infinity", "1E+999999", "1E-999999", "-0"]
)
@pytest.mark.parametrize("bid", [True, False])
def test_a_price_that_the_pair_cannot_have_is_refused(price: str, bid: bool) -> None:
    book = book_of(bids="10.0 1")
    with pytest.raises(InvalidMessage, match="book: BTC/USD"):
        book.apply(change(bids=f"{price} 1") if bid else change(asks=f"{price} 1"))
    assert not book.is_valid


@pytest.mark.parametrize("quantity", ["-1", "0.001", "NaN", "sNaN", "Infinity", "1E+999999", "1E-999999"])
def test_a_quantity_that_the_pair_cannot_have_is_refused(quantity: str) -> None:
    book = book_of(bids="10.0 1")
    with pytest.raises(InvalidMessage):
        book.apply(change(bids=f"9.0 {quantity}"))


@pytest.mark.parametrize(("depth", "price", "quantity"), [(0, 1, 1), (10, -1, 1), (10, 1, -1)])
def test_a_book_without_levels_or_steps_is_refused(depth: int, price: int, quantity: int) -> None:
    with pytest.raises(InvalidValue):
        OrderBook(depth, price, quantity)


def test_a_crossed_book_is_detected() -> None:
    assert not book_of(bids="10.0 1", asks="10.1 1").is_crossed
    assert book_of(bids="10.0 1", asks="10.0 1").is_crossed
    assert not book_of(bids="10.0 1").is_crossed


def test_the_best_levels_can_be_requested_alone() -> None:
    book = book_of(bids="10.0 1, 9.0 2", asks="11.0 1, 12.0 1")
    assert (book.bids(1), book.asks(1)) == (levels("10.0 1"), levels("11.0 1"))


@recorded
def test_every_checksum_of_the_older_protocols_recording_is_right() -> None:
    books: dict[Pair, OrderBook] = {}
    checked = 0
    for each in older_changes("kraken_v1_book.jsonl"):
        if each.snapshot:
            price, quantity = each.asks[0]
            books[each.pair] = OrderBook(1000, decimals(price), decimals(quantity))
        books[each.pair].apply(each)
        checked += each.checksum is not None
    assert (checked, len(books)) == (2739, 6)
