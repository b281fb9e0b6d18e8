"""Books by depth: a client that only follows the published rules computes the checksum of every message."""

import json
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.sandbox.formatting import PairDecimals
from streaming.sandbox.model import BookLevel, BookView
from streaming.sandbox.websocket.books import DEPTHS, PairBook, format_steps, to_steps
from trading.errors import InvalidValue
from trading.market import Pair

RECORDINGS = Path(__file__).parents[4] / "shared" / "data" / "ws"
PAIR = Pair("BTC", "USD")
AT = datetime(2026, 8, 2, 3, 35, 51, 302928, tzinfo=UTC)
DECIMALS = PairDecimals(1, 2)


class NaiveClient:
    """Kraken's guide, word by word: apply, delete what is zero, cut to the depth, then ten levels as digits."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}

    def publish(self, frame: bytes) -> None:
        message = json.loads(frame, parse_float=str)
        [data] = message["data"]
        if message["type"] == "snapshot":
            self.bids, self.asks = {}, {}
        for side, levels, best_first in ((self.bids, data["bids"], -1), (self.asks, data["asks"], 1)):
            for level in levels:
                side[level["price"]] = level["qty"]
                if float(level["qty"]) == 0:
                    del side[level["price"]]
            for price in sorted(side, key=lambda it: best_first * Decimal(it))[self.depth :]:
                del side[price]
        assert self.checksum() == data["checksum"]

    def checksum(self) -> int:
        asks = sorted(self.asks.items(), key=lambda level: Decimal(level[0]))[:10]
        bids = sorted(self.bids.items(), key=lambda level: -Decimal(level[0]))[:10]
        digits = "".join(
            price.replace(".", "").lstrip("0") + quantity.replace(".", "").lstrip("0")
            for price, quantity in asks + bids
        )
        return zlib.crc32(digits.encode())


def level(price: int, quantity: int) -> BookLevel:
    return BookLevel(Decimal(price) / 10, Decimal(quantity) / 100, AT)


levels = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), max_size=8)
changes = st.lists(st.tuples(levels, levels), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(start=levels, changes=changes)
def test_a_client_of_any_depth_computes_the_checksum_of_every_message(
    start: list[tuple[int, int]], changes: list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]
) -> None:
    depths = (
        3,
        10,
        25,
    )  # 3 is none of Kraken's: the checksum is then over what the client has, so it is left out
    asks = {1000 + price: quantity for price, quantity in start if quantity}
    view = BookView((), tuple(level(price, quantity) for price, quantity in asks.items()))
    book = PairBook(PAIR, DECIMALS, view)
    clients = {depth: NaiveClient(depth) for depth in depths[1:]}
    for depth, client in clients.items():
        client.publish(book.snapshot(depth, AT))
    for bids_changed, asks_changed in changes:
        bids = [level(price, quantity) for price, quantity in bids_changed]
        asks_now = [level(1000 + price, quantity) for price, quantity in asks_changed]
        for depth, frame in book.change(bids, asks_now, depths, AT).items():
            if depth in clients:
                clients[depth].publish(frame)
        for depth, client in clients.items():
            late = NaiveClient(depth)
            late.publish(book.snapshot(depth, AT))
            assert (late.bids, late.asks) == (client.bids, client.asks)


def test_a_level_that_returns_to_the_depth_is_published_and_one_that_falls_out_is_not() -> None:
    bids = tuple(level(price, 1) for price in range(20, 9, -1))
    book = PairBook(PAIR, DECIMALS, BookView(bids, ()))
    [gone] = book.change([level(20, 0)], [], [10], AT).values()
    assert json.loads(gone)["data"][0]["bids"] == [{"price": 2.0, "qty": 0}, {"price": 1.0, "qty": 0.01}]
    [back] = book.change([level(20, 5)], [], [10], AT).values()
    assert json.loads(back)["data"][0]["bids"] == [{"price": 2.0, "qty": 0.05}]


def test_a_change_beyond_the_depth_is_not_published() -> None:
    bids = tuple(level(price, 1) for price in range(40, 10, -1))
    book = PairBook(PAIR, DECIMALS, BookView(bids, ()))
    assert set(book.change([level(12, 7)], [], [10, 25, 100], AT)) == {100}
    assert book.change([level(12, 7)], [], [10, 25, 100], AT) == {}
    assert set(book.change([level(12, 0)], [], [10, 25, 100], AT)) == {100}


@pytest.mark.parametrize("name", ["BTC", "XRP"])
def test_the_recorded_frames_are_reproduced_byte_by_byte(name: str) -> None:
    path = RECORDINGS / f"kraken_v2_book_{name}-USD.jsonl"
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    decimals = PairDecimals({"BTC": 1, "XRP": 5}[name], 8)
    book, depth, same, checked = None, 25, 0, 0
    for line in path.read_text().splitlines():
        frame = line[line.index('"frame": ') + 9 : -1]
        message = json.loads(frame, parse_float=Decimal)
        if message.get("channel") != "book":
            continue
        [data] = message["data"]
        at = datetime.fromisoformat(data["timestamp"])
        bids, asks = _levels(data["bids"], at), _levels(data["asks"], at)
        if message["type"] == "snapshot":
            book = PairBook(Pair(name, "USD"), decimals, BookView(tuple(bids), tuple(asks)))
            assert book.snapshot(depth, at).decode() == frame
            continue
        assert book is not None
        published = book.change(bids, asks, [depth], at).get(depth, b"").decode()
        assert book.checksum == data["checksum"]
        checked += 1
        same += published == frame
        _forget_beyond(book, depth, at)
    assert checked > 1000
    assert same > checked * 0.6  # Kraken sends some levels twice in a message, or in another order


def _levels(entries: list[dict[str, Any]], at: datetime) -> list[BookLevel]:
    return [BookLevel(Decimal(entry["price"]), Decimal(entry["qty"]), at) for entry in entries]


def _forget_beyond(book: PairBook, depth: int, at: datetime) -> None:
    """A recording knows no more than its depth: what falls out of it is gone for good."""
    data = json.loads(book.snapshot(2 * depth, at), parse_float=Decimal)["data"][0]
    cut = [[BookLevel(it["price"], Decimal(0), at) for it in data[side][depth:]] for side in ("bids", "asks")]
    book.change(cut[0], cut[1], [], at)


def test_leading_zeros_of_small_prices_are_left_out_of_the_checksum() -> None:
    view = BookView((), (BookLevel(Decimal("0.00001234"), Decimal("10.00000000"), AT),))
    assert PairBook(Pair("XRP", "BTC"), PairDecimals(8, 8), view).checksum == zlib.crc32(b"12341000000000")


@given(st.integers(0, 10**20), st.integers(0, 12))
def test_a_number_in_units_of_its_last_decimal_is_the_same_number(steps: int, decimals: int) -> None:
    spelled = format_steps(steps, decimals)
    assert to_steps(Decimal(spelled), decimals) == steps
    assert len(spelled.partition(".")[2]) == decimals


@pytest.mark.parametrize("value", ["0.05", "-0.1", "NaN", "Infinity"])
def test_a_number_off_the_grid_is_refused(value: str) -> None:
    with pytest.raises(InvalidValue):
        to_steps(Decimal(value), 1)


def test_the_depths_are_those_of_kraken() -> None:
    assert DEPTHS == (10, 25, 100, 500, 1000)
