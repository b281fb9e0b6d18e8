"""Sinks of the two stores: what is on the bus is stored, once, however often and in whatever parts it comes."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streaming.messages import BookMessage, BusMessage, CandleMessage, TickerMessage, TradeMessage, encode
from streaming.sinks.analytical import AnalyticalSink
from streaming.sinks.operational import OperationalSink
from tests.doubles.bus import MemoryBus
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData
from trading.errors import InvalidMessage, UnusableHome
from trading.market import Pair, Timeframe
from trading.ports import Record, TapeTable
from trading.stores.tape_lake import LakeTape

BTC = Pair("BTC", "USDT")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
T0 = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
FIRST, FAR = T0 - timedelta(days=9), T0 + timedelta(days=9)


def trade(number: int) -> TradeMessage:
    at = T0 + number * SECOND
    return TradeMessage(
        origin="kraken", pair="BTC/USDT", trade_id=number, side="buy", price=0.1 + 0.2, quantity=1.5, at=at,
        known_at=at + SECOND,
    )  # fmt: skip


def candle(number: int) -> CandleMessage:
    opens = T0 + number * MINUTE
    return CandleMessage(
        origin="kraken", pair="BTC/USDT", timeframe="1m", open_time=opens, close_time=opens + MINUTE, open=1.0,
        high=2.0, low=0.5, close=1.5, volume=3.0, trades=4, first_trade_id=1, last_trade_id=4, basis="trades",
        known_at=opens + MINUTE + SECOND,
    )  # fmt: skip


def ticker(number: int) -> TickerMessage:
    at = T0 + number * SECOND
    return TickerMessage(
        origin="kraken", pair="BTC/USDT", bid=1.0, bid_quantity=None, ask=1.1, ask_quantity=2.0, last=1.05,
        volume=None, at=at, known_at=at,
    )  # fmt: skip


def book(number: int) -> BookMessage:
    at = T0 + number * SECOND
    levels = [(100.0 - level, 1.0 + level) for level in range(25)]
    return BookMessage(
        origin="kraken",
        pair="BTC/USDT",
        bids=levels,
        asks=[(101.0, 2.0)],
        at=at,
        changed_at=None,
        known_at=at,
    )


def records(*messages: BusMessage) -> list[Record]:
    made = [encode(message) for message in messages]
    return [Record(each.topic, each.key, each.value, 0, n, T0 + n * SECOND) for n, each in enumerate(made, 1)]


@pytest.fixture
def tape(tmp_path: Path) -> LakeTape:
    return LakeTape(tmp_path / "tape")


def read(tape: LakeTape, table: TapeTable) -> list[dict[str, object]]:
    return list(tape.read(table, "kraken", BTC, FIRST, FAR).iter_rows(named=True))


def test_every_topic_lands_in_its_table_with_every_field(tape: LakeTape) -> None:
    AnalyticalSink(tape).write(records(trade(1), candle(1), ticker(1), book(1), trade(2)))
    first = read(tape, TapeTable.TRADES)[0]
    assert first == {
        "origin": "kraken", "pair": "BTC-USDT", "at": T0 + SECOND, "trade_id": 1, "side": "buy", "price": 0.1 + 0.2,
        "quantity": 1.5, "known_at": T0 + 2 * SECOND,
    }  # fmt: skip
    assert len(read(tape, TapeTable.TRADES)) == 2
    [row] = read(tape, TapeTable.CANDLES)
    message = candle(1)
    assert row == {name: getattr(message, name) for name in row} | {"pair": "BTC-USDT"}
    [row] = read(tape, TapeTable.TICKER)
    assert (row["bid"], row["bid_quantity"], row["volume"]) == (1.0, None, None)
    [row] = read(tape, TapeTable.BOOK)
    assert row["bid_prices"] == [100.0 - level for level in range(10)]  # the best ten
    assert (row["ask_prices"], row["ask_quantities"], row["changed_at"]) == ([101.0], [2.0], None)


def test_however_a_stream_is_cut_and_repeated_each_row_is_stored_once(tape: LakeTape) -> None:
    stream = records(*(kind(n) for n in range(60) for kind in (trade, ticker, candle)))
    store = MemoryMarketData(MemoryEventLog(), "kraken", "kraken-1m", Timeframe.M1)
    chance, position = random.Random(7), 0
    while position < len(stream):
        begin = max(0, position - chance.randrange(30))  # a crash: what was not committed comes again
        position = begin + chance.randrange(1, 40)
        AnalyticalSink(tape).write(stream[begin:position])
        OperationalSink(store).write([each for each in stream[begin:position] if each.topic == "ohlcv-raw"])
    assert [row["trade_id"] for row in read(tape, TapeTable.TRADES)] == [*range(60)]
    assert len(read(tape, TapeTable.TICKER)) == len(read(tape, TapeTable.CANDLES)) == 60
    assert store.between(BTC, Timeframe.M1, FIRST, FAR)["open_time"].to_list() == [
        T0 + n * MINUTE for n in range(60)
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"price":', b'"prize":'),
        (b'"version":1', b'"version":2'),
        (b"BTC/USDT", b"BTC"),
        (b"23:59:00Z", b"23:59:00"),  # a time that does not say where
        (b'"trade_id":0', b'"trade_id":99999999999999999999'),
        (b'"trade_id":0', b'"trade_id":9223372036854775808'),  # no store has whole numbers of that size
        (b'"at":"2', b'"at":"9'),  # a year to which no day can be added
        (b"BTC/USDT", b"B" * 300 + b"/USDT"),  # no name of a folder
        (b'"trade_id":0', b'"more":' + b"[" * 5000 + b"]" * 5000 + b',"trade_id":0'),
    ],
)
def test_of_a_batch_with_a_broken_record_nothing_is_written(tape: LakeTape, old: bytes, new: bytes) -> None:
    good, broken = records(trade(1), trade(0))
    broken = Record(broken.topic, broken.key, broken.value.replace(old, new), 0, 9, T0)
    with pytest.raises(InvalidMessage):
        AnalyticalSink(tape).write([good, broken])
    assert tape.rows(TapeTable.TRADES, "kraken") == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"1m"', b'"2m"'),
        (b'"1m"', b'"1m \xff"'),
        (b'"1m"', b'"5m"'),  # its times are those of a minute
        (b':00Z","close_time"', b':30Z","close_time"'),  # off the grid
    ],
)
def test_a_candle_that_cannot_be_read_is_refused_by_the_operational_sink(old: bytes, new: bytes) -> None:
    [record] = records(candle(0))
    assert old in record.value
    broken = Record(record.topic, record.key, record.value.replace(old, new), 0, 9, T0)
    store = MemoryMarketData(MemoryEventLog(), "kraken", "kraken-1m", Timeframe.M1)
    with pytest.raises(InvalidMessage):
        OperationalSink(store).write([record, broken])
    assert store.newest(BTC, Timeframe.M1) is None


def test_two_brokers_with_equal_offsets_do_not_replace_each_others_rows(tape: LakeTape) -> None:
    [old], [new] = records(trade(1)), records(trade(2))
    later = Record(new.topic, new.key, new.value, new.partition, new.offset, new.at + timedelta(days=3))
    AnalyticalSink(tape).write([old])
    AnalyticalSink(tape).write([later])
    assert [row["trade_id"] for row in read(tape, TapeTable.TRADES)] == [1, 2]


def test_finished_days_are_compacted_when_a_new_one_begins(tmp_path: Path, tape: LakeTape) -> None:
    sink = AnalyticalSink(tape)
    for number in (1, 2):
        sink.write(records(trade(number))[:1])
        assert not list(tmp_path.rglob("day.parquet"))
    sink.write(records(trade(60)))  # midnight
    assert [path.parent.name for path in tmp_path.rglob("day.parquet")] == ["day=2026-01-31"]
    assert [row["trade_id"] for row in read(tape, TapeTable.TRADES)] == [1, 2, 60]


def test_a_day_that_cannot_be_compacted_does_not_stop_the_recording(tape: LakeTape, tmp_path: Path) -> None:
    AnalyticalSink(tape).write(records(trade(1)))
    [part] = tmp_path.rglob("*.parquet")
    part.write_bytes(b"junk")
    AnalyticalSink(tape).write(records(trade(60)))
    assert len(list(tmp_path.rglob("*.parquet"))) == 2


def test_after_a_full_disk_the_same_batch_is_taken(tape: LakeTape, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = records(trade(1), ticker(1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("trading.atomic_files.os.fsync", full)
        with pytest.raises(UnusableHome, match="No space left"):
            AnalyticalSink(tape).write(batch)
    AnalyticalSink(tape).write(batch)
    assert len(read(tape, TapeTable.TRADES)) == len(read(tape, TapeTable.TICKER)) == 1


def test_the_analytical_sink_holds_a_batch_for_a_bounded_time(tape: LakeTape) -> None:
    """A record is on the tape `gather_seconds` and one write after it was on the bus; docs/stores.md says 10 s."""
    sink = AnalyticalSink(tape)
    assert (sink.gather_seconds, sink.gather_records) == (10.0, 20_000)


def test_the_stores_follow_the_bus_each_at_its_own_pace(tape: LakeTape) -> None:
    bus = MemoryBus()
    bus.publish([encode(candle(n)) for n in range(5)])
    for sink in (
        AnalyticalSink(tape),
        OperationalSink(MemoryMarketData(MemoryEventLog(), "k", "k-1m", Timeframe.M1)),
    ):
        consumer = bus.consumer(sink.group, sink.topics)
        found = consumer.poll(100, 1)
        assert len(found) == 5
        sink.write(found)
        consumer.commit()
