"""The feature sink: rows stored and published together, once, whatever comes again or stops in between."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest

from streaming.bus.postgres import PostgresBus
from streaming.messages import FEATURES, OHLCV_RAW, FeaturesMessage, decode
from streaming.recorder.messages import candle_message
from streaming.sinks import IdleSink, Sink
from streaming.sinks.feature_history import StoredCandles
from streaming.sinks.features import FeatureSink, feature_message
from streaming.sinks.hot_refill import record_of
from tests.doubles.stores import MemoryTable
from tests.streaming.sinks.bus_records import candle_records, publish, records
from tests.trading.indicators.candle_walks import START, candles
from tests.trading.live_candles import (
    BTC,
    CROSS,
    ORIGIN,
    USUAL,
    XRP,
    Tables,
    beside,
    closed,
    quiet,
    stream,
    three,
    universe,
)
from trading.errors import InvalidMessage, StoreUnreachable
from trading.feature_rows import FeatureRow
from trading.indicators import FEATURE_NAMES, feature_table, live_row
from trading.live_features import CandleHistory, LiveFeatures
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, month_of
from trading.stores.postgres import PostgresMarketData
from trading.stores.postgres.market_features import PostgresMarketFeatures
from trading.stores.postgres.outbox import PostgresEventLog

H1 = Timeframe.H1
END = START + timedelta(days=999)


def published(dsn: str) -> list[FeaturesMessage]:
    return [decode(record_of(event), FeaturesMessage) for event in PostgresEventLog(dsn).read(FEATURES, 0)]


def stored(dsn: str, pair: Pair = BTC, timeframe: Timeframe = H1) -> list[FeatureRow]:
    return PostgresMarketFeatures(dsn, ORIGIN).tail(pair, timeframe, END, 10_000)


def row(close: datetime, value: float | None, known_at: datetime | None = None) -> FeatureRow:
    return FeatureRow(ORIGIN, BTC, H1, close, {"rsi_14": value, "adx_14": None}, "quiet", known_at or close)


class TestStore:
    """`market_features` alone."""

    @pytest.fixture
    def store(self, dsn: str) -> PostgresMarketFeatures:
        return PostgresMarketFeatures(dsn, ORIGIN)

    def test_rows_come_back_as_they_were_stored_each_with_its_message(
        self, store: PostgresMarketFeatures, dsn: str
    ) -> None:
        rows = [row(START + hours * H1.duration, 0.1 + 0.2 * hours) for hours in range(3)]
        assert store.store(rows, feature_message) == rows
        assert store.tail(BTC, H1, END, 10) == rows
        assert store.tail(BTC, H1, START + H1.duration, 1) == rows[1:2]
        assert [each.values["rsi_14"] for each in published(dsn)] == [0.1, 0.1 + 0.2, 0.1 + 0.2 * 2]

    def test_a_row_that_says_nothing_new_is_neither_stored_nor_published(
        self, store: PostgresMarketFeatures, dsn: str
    ) -> None:
        store.store([row(START, 0.5)], feature_message)
        assert store.store([row(START, 0.5), row(START, 0.5, START + H1.duration)], feature_message) == []
        assert len(published(dsn)) == 1

    def test_a_new_revision_leaves_the_old_one_and_a_reader_of_then_sees_what_was_known_then(
        self, store: PostgresMarketFeatures
    ) -> None:
        later = START + timedelta(minutes=5)
        store.store([row(START, 0.5), row(START, 0.7, later)], feature_message)
        assert [each.values["rsi_14"] for each in store.tail(BTC, H1, END, 9)] == [0.7]
        assert [each.values["rsi_14"] for each in store.tail(BTC, H1, END, 9, as_of=START)] == [0.5]
        assert store.tail(BTC, H1, END, 9, as_of=START - later.resolution) == []

    def test_other_numbers_that_were_known_no_later_are_a_revision_of_just_after(
        self, store: PostgresMarketFeatures
    ) -> None:
        store.store([row(START, 0.5)], feature_message)
        [new] = store.store([row(START, 0.7)], feature_message)
        assert new.known_at == START + timedelta(microseconds=1)
        assert store.tail(BTC, H1, END, 9) == [new]

    def test_nothing_is_stored_when_the_message_cannot_be_published(
        self, store: PostgresMarketFeatures, dsn: str
    ) -> None:
        def fail(_: FeatureRow) -> None:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            store.store([row(START, 0.5)], fail)  # type: ignore[arg-type]
        assert (store.tail(BTC, H1, END, 9), published(dsn)) == ([], [])

    def test_the_newest_close_is_that_of_the_pair_and_timeframe(self, store: PostgresMarketFeatures) -> None:
        assert store.newest_close(BTC, H1) is None
        store.store([row(START, 0.5), row(START + H1.duration, 0.6)], feature_message)
        assert store.newest_close(BTC, H1) == START + H1.duration
        assert (store.newest_close(XRP, H1), store.newest_close(BTC, Timeframe.H4)) == (None, None)


def sink(
    dsn: str,
    history: Callable[[], CandleHistory],
    now: Callable[[], datetime] = lambda: END,
    timeframes: tuple[Timeframe, ...] = (H1,),
) -> FeatureSink:
    store, market = PostgresMarketFeatures(dsn, ORIGIN), universe()
    live = LiveFeatures(market, timeframes, dict.fromkeys(market.pairs, USUAL), history, store.newest_close)
    return FeatureSink(live, store, now)


def tables_as_history(tables: Mapping[Pair, pl.DataFrame]) -> Callable[[], CandleHistory]:
    return lambda: lambda pair, timeframe, rows: tables[pair].tail(rows)


def assert_stored_rows(dsn: str, tables: Tables, after: int) -> None:
    for pair, table in tables.items():
        whole = feature_table(table, H1, beside(pair, tables))[after:]
        rows = stored(dsn, pair)
        assert [each.close_time for each in rows] == whole["close_time"].to_list()
        assert [each.regime for each in rows] == whole["regime"].to_list()
        for name in FEATURE_NAMES:
            found, expected = [each.values[name] for each in rows], whole[name].to_list()
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), name


def test_a_sink_of_candles_follows_them_and_has_something_to_do_while_nothing_comes(dsn: str) -> None:
    made = sink(dsn, tables_as_history(three(1000)))
    assert isinstance(made, IdleSink)
    same: Sink = made
    assert (same.group, same.topics) == ("features", (OHLCV_RAW,))


def test_rows_of_the_candles_on_the_bus_are_stored_and_published_as_the_batch_table_has_them(
    dsn: str,
) -> None:
    tables = three(1012)
    made = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    arriving = [candle for pair in tables for candle in stream(pair, H1, tables[pair][1005:])]
    for candle in sorted(arriving, key=lambda each: each.close_time):
        made.write(candle_records([candle]))
    made.idle()
    assert_stored_rows(dsn, tables, 1005)
    newest = {(each.pair, each.close_time): each for each in published(dsn)}
    for pair in tables:
        for each in stored(dsn, pair):
            assert newest[str(pair), each.close_time].values == each.values


def test_records_that_come_again_change_nothing(dsn: str) -> None:
    tables = three(1010)
    made = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    batch = candle_records(candle for pair in tables for candle in stream(pair, H1, tables[pair][1005:]))
    made.write(batch)
    before = published(dsn)
    made.write(batch)
    made.write(batch[3:])
    assert published(dsn) == before


def test_a_store_that_is_away_loses_no_row_also_not_one_of_another_pair_that_was_computed_again(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = three(1006)
    made = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    [btc], [xrp], [cross] = (list(stream(pair, H1, tables[pair][1005:])) for pair in (BTC, XRP, CROSS))
    made.write(candle_records([xrp, cross]))
    made.idle()

    def away(*_: object) -> None:
        raise StoreUnreachable("PostgreSQL does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(made._store, "store", away)
        for _ in range(5):
            with pytest.raises(StoreUnreachable):
                made.write(candle_records([btc]))
        assert len(made._unsaved) == 3  # however long it is away
    made.write(candle_records([btc]))
    assert_stored_rows(dsn, tables, 1005)


def test_a_sink_that_died_before_it_stored_makes_up_for_it_when_it_starts_again(dsn: str) -> None:
    tables = three(1020)
    first = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    first.write(candle_records(c for pair in tables for c in stream(pair, H1, tables[pair][1005:1010])))
    first.idle()
    again = sink(dsn, tables_as_history({pair: table[:1015] for pair, table in tables.items()}))
    again.idle()
    assert_stored_rows(dsn, {pair: table[:1015] for pair, table in tables.items()}, 1005)


def test_a_record_that_is_no_candle_is_refused_before_anything_of_its_batch_is_taken(dsn: str) -> None:
    tables = three(1010)
    made = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    [good] = candle_records(stream(BTC, H1, tables[BTC][1005:1006]))
    wrong = records([candle_message(closed(BTC, H1, tables[BTC].row(1005, named=True)))])[0]
    for value in (b"{", wrong.value.replace(b'"1h"', b'"7h"'), wrong.value.replace(b'"BTC/USDT"', b'"BTC"')):
        with pytest.raises(InvalidMessage):
            made.write([good, type(wrong)(OHLCV_RAW, "BTC-USDT", value, 0, 2, START)])
    made.idle()
    assert stored(dsn) == []


class TestHistory:
    """Candles from the lake, the operational store and the bus."""

    def history(self, dsn: str, lake: MemoryTable) -> StoredCandles:
        market_data = PostgresMarketData(dsn, ORIGIN, universe().dataset, H1)
        return StoredCandles(universe(), lake, market_data, PostgresEventLog(dsn))

    def lake(self, table: pl.DataFrame, pair: Pair = BTC) -> MemoryTable:
        lake = MemoryTable(CANDLE_SCHEMA)
        for (month,), rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
            assert isinstance(month, datetime)
            lake.write(pair, month_of(month), rows)
        return lake

    def test_each_candle_is_the_newest_revision_of_lake_store_and_bus(self, dsn: str) -> None:
        table = candles(50, 3)
        [stored_one, shared] = stream(BTC, H1, table[38:40])
        newer = closed(BTC, H1, table.row(39, named=True), volume=5.0, known_at=END)
        PostgresMarketData(dsn, ORIGIN, universe().dataset, H1).store([stored_one, shared])
        gone = table["open_time"][41]
        on_the_bus = [*stream(BTC, H1, table[40:42]), newer, quiet(BTC, H1, gone)]
        publish(dsn, [candle_message(each) for each in on_the_bus])
        found = self.history(dsn, self.lake(table[:39]))(BTC, H1, 30)
        expected = table[:41].with_columns(
            volume=pl.when(pl.int_range(pl.len()) == 39).then(5.0).otherwise("volume"),
            known_at=pl.when(pl.int_range(pl.len()) == 39)
            .then(pl.lit(END).cast(CANDLE_SCHEMA["known_at"]))
            .otherwise("known_at"),
        )
        assert found.equals(expected.tail(30))

    def test_a_candle_of_another_venue_on_the_bus_is_none_of_this_one(self, dsn: str) -> None:
        table = candles(10, 3)
        foreign = replace(closed(BTC, H1, table.row(9, named=True), close=1.0, known_at=END), origin="other")
        publish(dsn, [candle_message(foreign)])
        assert self.history(dsn, self.lake(table))(BTC, H1, 5).equals(table.tail(5))

    def test_longer_timeframes_are_composed_of_the_lake_s_and_shorter_ones_come_from_the_stream(
        self, dsn: str
    ) -> None:
        table = candles(50, 3, start=START + timedelta(hours=2))
        minute = next(stream(BTC, Timeframe.M1, candles(1, 3, timeframe=Timeframe.M1)))
        publish(dsn, [candle_message(minute)])
        history = self.history(dsn, self.lake(table))
        four = history(BTC, Timeframe.H4, 100)
        assert four["open_time"].to_list() == [START + timedelta(hours=4 * step) for step in range(1, 13)]
        first = table[2:6]
        assert four.row(0, named=True) | {"volume": 0} == {
            "open_time": START + timedelta(hours=4),
            "close_time": START + timedelta(hours=8),
            "open": first["open"][0],
            "high": first["high"].max(),
            "low": first["low"].min(),
            "close": first["close"][-1],
            "volume": 0,
            "origin": ORIGIN,
            "known_at": first["known_at"][-1],
        }
        assert four["volume"][0] == pytest.approx(first["volume"].sum())
        assert history(BTC, Timeframe.M1, 9)["close"].to_list() == [minute.close]
        assert history(XRP, H1, 9).is_empty()

    def test_a_restart_while_the_operational_store_is_behind_still_knows_every_candle(self, dsn: str) -> None:
        """What the features group has committed never comes again: the bus has it, the store not yet."""
        table = candles(1010, 3)
        publish(dsn, [candle_message(each) for each in stream(BTC, H1, table[1000:1009])])
        made = sink(dsn, lambda: self.history(dsn, self.lake(table[:1000])))
        [newest] = stream(BTC, H1, table[1009:])
        made.write(candle_records([newest]))
        [found] = stored(dsn)
        assert found.values["rsi_14"] == live_row(table, H1)["rsi_14"]


def test_the_bus_brings_the_rows_to_whoever_listens(dsn: str) -> None:
    tables = three(1006)
    made = sink(dsn, tables_as_history({pair: table[:1005] for pair, table in tables.items()}))
    made.write(candle_records(c for pair in tables for c in stream(pair, H1, tables[pair][1005:])))
    bus = PostgresBus(dsn)
    consumer = bus.consumer("listener", [FEATURES])
    found = [decode(record, FeaturesMessage) for record in consumer.poll(10, 5.0)]
    assert {each.pair for each in found} == {"BTC/USDT", "XRP/USDT", "XRP/BTC"}
    assert set(found[0].values) == set(FEATURE_NAMES)
    consumer.close()
    bus.close()
