"""The past of the tape: what the market's source says and, after a restart, the prints that were kept."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.market import MarketClock, Tick
from streaming.sandbox.model import BookChanged
from tests.streaming.sandbox.exchange_setup import BTC, BUY, START, TERMS, d, listing, new
from trading.market import Pair
from trading.orders import Side


class Recorded:
    """A source of the ticks that it is given."""

    def __init__(self, ticks: Sequence[Tick]) -> None:
        self._all = ticks

    def ticks(self, after: datetime) -> Iterator[Tick]:
        return (tick for tick in self._all if tick.at > after)

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        return [tick for tick in self._all if tick.pair == pair and tick.at <= until][-count:]

    def first(self) -> datetime:
        return self._all[0].at


SOURCE = Recorded(
    [
        Tick(BTC, START + timedelta(minutes=minute), d(f"10{minute:02}.0"), d("0.5"), Side.BUY, "market")
        for minute in range(60)
    ]
)
NOW = START + timedelta(minutes=30)


def started(path: Path) -> tuple[Exchange, ExchangeStore]:
    store = ExchangeStore(path)
    clock = MarketClock(store.position() or NOW, 0, lambda: 0.0)
    return Exchange({BTC: listing(BTC)}, TERMS, "USD", store, clock, lambda: 0.0, SOURCE), store


def test_a_new_exchange_begins_with_the_past_and_quotes_around_its_last_price(tmp_path: Path) -> None:
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        assert (exchange.tape(BTC).last_id, exchange.tape(BTC).last_price) == (31, d("1030.0"))
        assert exchange.book(BTC, 1).asks[0].price == d("1031.1")
        assert exchange.summary(BTC).volume == d("15.5")
        exchange.open_account("alice", {"USD": d(5000)})
        assert exchange.add("alice", new(BUY, "0.1")).average_price == d("1031.1")


def test_after_a_restart_the_tape_is_the_past_and_what_was_printed_since(tmp_path: Path) -> None:
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        exchange.open_account("alice", {"USD": d(5000)})
        for tick in SOURCE.ticks(NOW):
            exchange.apply(tick)
            exchange.add("alice", new(BUY, "0.01"))
        before, summary = exchange.tape(BTC).newest(100), exchange.summary(BTC)
        candles = exchange.tape(BTC).bars(5)
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        assert exchange.tape(BTC).newest(100) == before
        assert exchange.tape(BTC).bars(5) == candles
        assert (exchange.summary(BTC).volume, exchange.summary(BTC).last) == (summary.volume, summary.last)


def test_going_on_from_where_it_was_read_misses_no_tick_and_repeats_none(tmp_path: Path) -> None:
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        assert exchange.resume_from is None
        for tick in list(SOURCE.ticks(NOW))[:10]:
            exchange.apply(tick)
        last_id = exchange.tape(BTC).last_id
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        heard: list[object] = []
        exchange.listen(heard.append)
        assert exchange.resume_from is not None
        for tick in SOURCE.ticks(exchange.resume_from):
            exchange.apply(tick)
        assert exchange.tape(BTC).last_id == last_id + 19
        assert sum(isinstance(event, BookChanged) for event in heard) == 19
