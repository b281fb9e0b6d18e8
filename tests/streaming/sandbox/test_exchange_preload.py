"""The past of the tape: what the market's source says and, after a restart, the prints that were kept."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from streaming.sandbox.exchange.exchange import Exchange, ExchangeStore
from streaming.sandbox.market import MarketClock, Tick
from streaming.sandbox.model import BookChanged
from tests.streaming.sandbox.exchange_setup import BTC, BUY, START, TERMS, d, listing, new
from trading.market import Pair, PairStatus
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


def test_a_restart_after_thousands_of_client_orders_renumbers_no_trade_and_changes_no_candle(
    tmp_path: Path,
) -> None:
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        exchange.open_account("alice", {"USD": d(1_000_000)})
        for tick in SOURCE.ticks(NOW):
            exchange.apply(tick)
            for _ in range(90):
                exchange.add("alice", new(BUY, "0.001"))
        assert exchange.fills("alice")[1] > 2600
        before, summary = exchange.tape(BTC).newest(10_000), exchange.summary(BTC)
        candles = [exchange.tape(BTC).bars(minutes) for minutes in (1, 5, 60, 1440)]
    exchange, store = started(tmp_path / "exchange.db")
    with closing(store):
        assert exchange.tape(BTC).newest(10_000) == before
        assert [each.trade_id for each in before] == list(range(1, len(before) + 1))
        assert [exchange.tape(BTC).bars(minutes) for minutes in (1, 5, 60, 1440)] == candles
        assert (exchange.summary(BTC).volume, exchange.summary(BTC).trades) == (
            summary.volume,
            summary.trades,
        )


def closed_at(path: Path, limit: str) -> None:
    """One tick after NOW, a client's order and its fill, and a resting one: then the exchange closes."""
    exchange, store = started(path)
    with closing(store):
        exchange.open_account("alice", {"USD": d(5000)})
        exchange.apply(next(SOURCE.ticks(NOW)))
        exchange.add("alice", new(BUY, "0.01"))
        exchange.add("alice", new(BUY, "0.1", limit))


def reopened(path: Path, source: Recorded, minutes: int) -> tuple[Exchange, ExchangeStore]:
    store = ExchangeStore(path)
    clock = MarketClock(NOW + timedelta(minutes=minutes), 0, lambda: 0.0)
    exchange = Exchange({BTC: listing(BTC)}, TERMS, "USD", store, clock, lambda: 0.0, source)
    exchange.catch_up()
    return exchange, store


def test_a_market_that_went_on_is_caught_up_with(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    closed_at(path, "900.0")
    exchange, store = reopened(path, SOURCE, 15)
    with closing(store):
        prints, bars = exchange.tape(BTC).newest(100), exchange.tape(BTC).bars(1)
        assert [each.trade_id for each in prints] == list(range(1, 48))  # 46 minutes and the client's
        assert [bar.close for bar in bars] == [d(f"10{minute:02}.0") for minute in range(31)] + [
            d("1032.1"),
            *(d(f"10{minute:02}.0") for minute in range(32, 46)),
        ]
        assert exchange.book(BTC, 1).asks[0].price == d("1046.1")
    exchange, store = reopened(path, SOURCE, 15)
    with closing(store):
        assert exchange.tape(BTC).newest(100) == prints
        for tick in SOURCE.ticks(NOW + timedelta(minutes=15)):
            exchange.apply(tick)
        assert exchange.tape(BTC).last_id == 47 + 14


def dip(last: str) -> Recorded:
    ticks = list(SOURCE.ticks(START - timedelta(minutes=1)))
    prices = {40: "950.0", 41: last}
    return Recorded(
        [replace(tick, price=d(prices.get(number, str(tick.price)))) for number, tick in enumerate(ticks)]
    )


def test_what_traded_while_the_exchange_was_closed_fills_nobody(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    closed_at(path, "1000.0")
    exchange, store = reopened(path, dip("1041.0"), 11)
    with closing(store):
        assert exchange.open_orders("alice")[0].filled == 0
        assert exchange.tape(BTC).bars(5)[-1].low == d("950.0")


def test_an_order_that_meets_the_quotes_of_the_reopened_market_fills_at_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    closed_at(path, "1000.0")
    exchange, store = reopened(path, dip("990.0"), 11)
    with closing(store):
        fills, _ = exchange.fills("alice")
        assert (fills[0].price, fills[0].quantity, fills[0].maker) == (d("1000.0"), d("0.1"), True)
        assert fills[0].at == NOW + timedelta(minutes=11)


def test_a_market_that_is_halted_catches_up_with_nothing(tmp_path: Path) -> None:
    path = tmp_path / "exchange.db"
    closed_at(path, "900.0")
    exchange, store = started(path)
    with closing(store):
        exchange.set_status(BTC, PairStatus.CANCEL_ONLY)
    exchange, store = reopened(path, SOURCE, 15)
    with closing(store):
        assert exchange.tape(BTC).last_id == 33


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
