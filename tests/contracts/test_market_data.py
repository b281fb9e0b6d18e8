import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import polars as pl
import psycopg
import pytest

from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData
from trading.candle_events import CANDLE_CLOSED, candle_closed
from trading.closed_candles import Basis, ClosedCandle, Restatement
from trading.errors import InvalidValue
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import EventLog, MarketData
from trading.stores.postgres import Database, PostgresMarketData
from trading.stores.postgres.outbox import PostgresEventLog

ORIGIN, DATASET = "kraken", "kraken-1m"
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "BTC")
M1, M5 = Timeframe.M1, Timeframe.M5
MINUTE, SECOND = dt.timedelta(minutes=1), dt.timedelta(seconds=1)
T0 = dt.datetime(2026, 1, 31, 23, 58, tzinfo=dt.UTC)
FAR = T0 + dt.timedelta(days=9)


def candle(
    minute: int = 0, close: float = 10.0, trades: int | None = 3, late: float = 1.0, **others: object
) -> ClosedCandle:
    """A candle that became known `late` seconds after its end."""
    opens = T0 + minute * MINUTE
    made = ClosedCandle(
        origin=ORIGIN, pair=BTC, timeframe=M1, open_time=opens, open=9.0, high=12.0, low=8.0, close=close,
        volume=0.1 + 0.2, trades=trades, first_trade_id=minute * 10, last_trade_id=minute * 10 + 2, basis=Basis.TRADES,
        known_at=opens + MINUTE + dt.timedelta(seconds=late),
    )  # fmt: skip
    return replace(made, **others)


def quiet(minute: int, late: float = 1.0) -> ClosedCandle:
    made = candle(minute, trades=0, late=late)
    return replace(made, open=10.0, high=10.0, low=10.0, volume=0.0, first_trade_id=None, last_trade_id=None)


class MarketDataContract:
    """Every operational store of candles keeps these promises."""

    @pytest.fixture
    def store(self) -> MarketData:
        raise NotImplementedError

    @pytest.fixture
    def events(self) -> EventLog:
        raise NotImplementedError

    def closes(self, store: MarketData, as_of: dt.datetime | None = None) -> list[float]:
        return store.between(BTC, M1, T0, FAR, as_of)["close"].to_list()

    def announced(self, events: EventLog) -> list[tuple[str, str]]:
        return [(each.payload["pair"], each.payload["close_time"]) for each in events.read(CANDLE_CLOSED, 0)]

    def test_a_candle_comes_back_as_it_went_in(self, store: MarketData) -> None:
        made = candle(close=0.1 + 0.7, known_at=T0 + MINUTE + dt.timedelta(microseconds=123_457))
        assert store.store([made, quiet(1)]) == 2
        rows = store.between(BTC, M1, T0, FAR)
        assert rows.schema == {**CANDLE_SCHEMA, "trades": pl.Int64()}
        assert rows.row(0) == (
            made.open_time, made.close_time, 9.0, 12.0, 8.0, 0.1 + 0.7, 0.1 + 0.2, ORIGIN, made.known_at, 3,
        )  # fmt: skip
        assert rows["trades"].to_list() == [3, 0]
        assert store.newest(BTC, M1) == quiet(1)

    def test_a_venue_that_counts_no_trades_has_candles_without_a_count(self, store: MarketData) -> None:
        store.store([candle(trades=None)])
        assert store.tail(BTC, M1, FAR, 5)["trades"].to_list() == [None]

    def test_nothing_stored_is_no_row_and_no_error(self, store: MarketData) -> None:
        assert store.store([]) == 0
        assert store.between(BTC, M1, T0, FAR).is_empty()
        assert store.tail(BTC, M1, FAR, 5).schema == {**CANDLE_SCHEMA, "trades": pl.Int64()}
        assert store.newest(BTC, M1) is None
        assert store.restatements(BTC, M1, T0, FAR) == []

    def test_delivered_again_it_is_stored_once(self, store: MarketData, events: EventLog) -> None:
        batch = [candle(0), candle(0, close=11.0, late=30), candle(1), quiet(2), candle(3)]
        assert store.store(batch) == 5
        before = self.announced(events)
        for again in (batch, batch[:2], batch[3:], list(reversed(batch)), batch + batch):
            assert store.store(again) == 0
        assert self.closes(store) == [11.0, 10.0, 10.0, 10.0]
        assert self.announced(events) == before

    def test_the_same_numbers_are_no_revision_whenever_they_became_known(self, store: MarketData) -> None:
        store.store([candle(0), candle(0, close=11.0, late=30)])
        assert store.store([candle(0, close=11.0, late=90)]) == 0  # as the newest one
        assert store.store([candle(0, close=11.0, late=20)]) == 0
        assert store.store([candle(0, late=2)]) == 0  # as the one before it
        assert store.store([candle(0, late=90)]) == 1  # the old numbers again are a change

    def test_a_restated_candle_keeps_every_revision(self, store: MarketData) -> None:
        first, second, third = (
            candle(0),
            candle(0, close=11.0, late=30),
            candle(0, late=90, basis=Basis.VENUE),
        )
        assert [store.store([each]) for each in (first, second, third)] == [1, 1, 1]
        assert self.closes(store) == [10.0]
        assert [self.closes(store, each.known_at) for each in (first, second, third)] == [
            [10.0],
            [11.0],
            [10.0],
        ]
        assert self.closes(store, first.known_at - dt.timedelta(microseconds=1)) == []
        assert store.restatements(BTC, M1, T0, FAR) == [
            Restatement(first, second),
            Restatement(second, third),
        ]
        assert store.restatements(BTC, M1, T0 + MINUTE, FAR) == []

    def test_between_includes_the_start_and_not_the_end(self, store: MarketData) -> None:
        store.store([candle(minute) for minute in range(5)])
        rows = store.between(BTC, M1, T0 + MINUTE, T0 + 3 * MINUTE)
        assert rows["open_time"].to_list() == [T0 + MINUTE, T0 + 2 * MINUTE]

    def test_tail_passes_over_candles_without_a_trade(self, store: MarketData) -> None:
        store.store([candle(0), quiet(1), candle(2), quiet(3), candle(4)])
        rows = store.tail(BTC, M1, T0 + 4 * MINUTE, 2)
        assert rows["open_time"].to_list() == [T0, T0 + 2 * MINUTE]
        assert store.tail(BTC, M1, T0 + 5 * MINUTE, 1)["open_time"].to_list() == [T0 + 4 * MINUTE]

    def test_tail_reads_what_was_known_then(self, store: MarketData) -> None:
        repaired = candle(1, close=20.0, late=600)  # a quiet minute that had a trade after all
        store.store([candle(0), quiet(1), repaired])
        assert store.tail(BTC, M1, FAR, 2, as_of=T0 + 3 * MINUTE)["close"].to_list() == [10.0]
        assert store.tail(BTC, M1, FAR, 2, as_of=repaired.known_at)["close"].to_list() == [10.0, 20.0]

    def test_pairs_timeframes_and_venues_do_not_mix(self, store: MarketData, events: EventLog) -> None:
        others = [
            candle(0, close=8.0, pair=XRP), candle(0, close=9.0, origin="sandbox"),
            candle(0, close=11.0, timeframe=M5, known_at=FAR),
        ]  # fmt: skip
        assert store.store([candle(0), *others]) == 4
        assert self.closes(store) == [10.0]
        assert store.between(BTC, M5, T0, FAR)["close"].to_list() == [11.0]
        newest = store.newest(XRP, M1)
        assert newest is not None
        assert newest.close == 8.0
        close = (T0 + MINUTE).isoformat()
        assert sorted(self.announced(events)) == [("BTC/USDT", close), ("XRP/BTC", close)]

    def test_a_candle_with_a_trade_is_announced_once(self, store: MarketData, events: EventLog) -> None:
        store.store([candle(1), candle(0), quiet(2)])
        store.store([candle(0), candle(1)])
        assert self.announced(events) == [("BTC/USDT", (T0 + n * MINUTE).isoformat()) for n in (1, 2)]
        [first, _] = events.read(CANDLE_CLOSED, 0)
        wanted = candle_closed(DATASET, BTC, T0 + MINUTE)
        assert (first.key, first.payload) == (wanted.key, wanted.values)

    def test_nobody_is_asked_to_decide_on_an_old_candle(self, store: MarketData, events: EventLog) -> None:
        store.store([candle(0), quiet(1), candle(3)])
        before = self.announced(events)
        store.store([candle(3, close=11.0, late=30)])  # restated
        store.store([candle(1, late=300)])  # there was a trade after all
        store.store([candle(2, late=300)])  # repaired
        assert self.announced(events) == before
        store.store([candle(4)])
        assert len(self.announced(events)) == len(before) + 1

    def test_what_somebody_else_announced_is_not_announced_again(
        self, store: MarketData, events: EventLog
    ) -> None:
        told = candle_closed(DATASET, BTC, T0 + 2 * MINUTE)
        events.publish(CANDLE_CLOSED, told.key, told.values)
        store.store([candle(0), candle(1), candle(2)])
        assert [close for _, close in self.announced(events)] == [
            (T0 + n * MINUTE).isoformat() for n in (2, 3)
        ]


class TestMemoryMarketData(MarketDataContract):
    @pytest.fixture
    def events(self) -> EventLog:
        return MemoryEventLog()

    @pytest.fixture
    def store(self, events: EventLog) -> MarketData:
        return MemoryMarketData(events, ORIGIN, DATASET, M1)


class TestPostgresMarketData(MarketDataContract):
    @pytest.fixture
    def events(self, dsn: str) -> EventLog:
        return PostgresEventLog(dsn)

    @pytest.fixture
    def store(self, dsn: str) -> MarketData:
        return PostgresMarketData(dsn, ORIGIN, DATASET, M1)

    def test_a_batch_is_stored_and_announced_as_a_whole_or_not_at_all(
        self, store: MarketData, events: EventLog
    ) -> None:
        with pytest.raises(InvalidValue, match="market_data_check"):
            store.store([candle(0), candle(1, late=-1)])
        assert self.closes(store) == []
        assert self.announced(events) == []

    def test_two_writers_store_a_candle_once(self, dsn: str, store: MarketData, events: EventLog) -> None:
        batch = [candle(minute) for minute in range(50)]
        stores = [PostgresMarketData(dsn, ORIGIN, DATASET, M1) for _ in range(4)]
        with ThreadPoolExecutor(4) as threads:
            counts = list(threads.map(lambda each: each.store(batch), stores))
        assert sorted(counts) == [0, 0, 0, 50]
        assert len(self.announced(events)) == 50

    def test_a_server_that_went_away_is_found_again(self, dsn: str, store: MarketData) -> None:
        store.store([candle(0)])
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND datname = current_database()"
            )
        assert store.store([candle(1)]) == 1
        assert self.closes(store) == [10.0, 10.0]

    def test_people_read_the_restatements_as_a_view(self, dsn: str, store: MarketData) -> None:
        store.store([candle(0), candle(0, close=11.0, late=30)])
        with Database(dsn).transaction() as connection:
            [row] = connection.execute("SELECT * FROM market_restatements").fetchall()
        assert (row["pair"], row["close_before"], row["close"]) == ("BTC/USDT", 10.0, 11.0)
        assert row["known_at"] - row["known_at_before"] == 29 * SECOND
