"""The venue's own candles beside ours: what is confirmed is restated with both values, a stale message is nothing."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from streaming.events import Candle
from streaming.recorder.venue_candles import PAUSE, VenueCandles
from streaming.sinks.operational import OperationalSink
from tests.streaming.recorder.recorder_setup import BTC, MINUTE, START, Recording, trade
from trading.market import Pair, Timeframe
from trading.ports import Message, Record
from trading.stores.postgres import PostgresMarketData, migrate
from trading.stores.postgres.connection import Database
from trading.venues.kraken.market_responses import OhlcRow

LATE = 20.0  # minutes


def ohlc(minute: int, close: float, volume: float = 1.0) -> Candle:
    low, high = min(close, 100.0), max(close, 100.0)
    return Candle(BTC, Timeframe.M1, START + minute * MINUTE, 100.0, high, low, close, volume, 1)


@dataclass
class Venue:
    """REST OHLC: its last row is of the minute that has not ended yet."""

    rows: list[Candle] = field(default_factory=list)
    calls: int = 0

    def ohlc(self, pair: Pair, timeframe: Timeframe) -> list[OhlcRow]:
        assert timeframe is Timeframe.M1
        self.calls += 1
        return [
            OhlcRow(
                int(each.open_time.timestamp()),
                *(Decimal(str(number)) for number in (each.open, each.high, each.low, each.close)),
                Decimal(0),
                Decimal(str(each.volume)),
                each.trades or 0,
            )
            for each in self.rows
            if each.pair == pair
        ]


class Market:
    """A recorder with one trade in each of two minutes, and the reader of the venue's candles."""

    def __init__(self) -> None:
        self.made = Recording()
        self.venue = Venue()
        self.candles = VenueCandles(self.venue, lambda: self.made.venue.seconds)  # type: ignore[arg-type]
        self.records: list[Record] = []
        self.made.go_live()
        self.made.recorder.handle(trade(10, START))
        self.keep()
        for gap in list(self.made.gaps.values()):
            self.made.recorder.backfill(gap, [], None)
        self.pass_minute()
        self.made.recorder.handle(trade(11, START + MINUTE))
        self.pass_minute()

    def pass_minute(self) -> None:
        self.made.venue.passes(60)
        self.made.read_everything()
        self.keep()

    def look(self) -> None:
        """Do what the repair's thread does once, a while after the last time."""
        for each in self.candles.read(self.made.recorder.suspects()):
            self.made.recorder.confirm(each)
        self.keep()
        self.made.venue.passes(PAUSE)

    def keep(self) -> None:
        batch = self.made.recorder.cut()
        self.made.gaps |= batch.gaps
        for key in batch.repaired:
            self.made.gaps.pop(key, None)
        self.records += [self._record(each) for each in batch.messages]

    def _record(self, message: Message) -> Record:
        number = len(self.records)
        return Record(message.topic, message.key, message.value, 0, number, START)

    def closes_on_the_bus(self, minute: str) -> list[bytes]:
        opens = f'"timeframe":"1m","open_time":"2026-03-02T{minute}:00'.encode()
        return [each.value for each in self.records if each.topic == "ohlcv-raw" and opens in each.value]


@pytest.fixture
def market() -> Market:
    return Market()


def test_a_confirmed_difference_is_restated_with_both_values_in_the_store_and_on_the_bus(
    market: Market, dsn: str
) -> None:
    migrate(dsn)
    market.made.recorder.handle(ohlc(0, close=101.0))
    market.venue.rows = [ohlc(0, close=101.0), ohlc(1, close=100.0), ohlc(2, close=100.0)]
    market.look()
    assert len(market.closes_on_the_bus("12:00")) == 1  # once is not enough
    market.look()
    market.look()
    assert market.made.recorder.suspects() == {}
    assert market.venue.calls == 2
    first, second = market.closes_on_the_bus("12:00")
    assert b'"close":100.0' in first
    assert b'"close":101.0' in second
    assert b'"basis":"venue"' in second
    store = PostgresMarketData(dsn, "kraken", "paper", Timeframe.H4)
    OperationalSink(store).write([each for each in market.records if each.topic == "ohlcv-raw"])
    with Database(dsn).transaction() as connection:
        rows = connection.execute(
            "SELECT close_before, close, known_at > known_at_before AS later FROM market_restatements "
            "WHERE timeframe = '1m'"
        ).fetchall()
    assert rows == [{"close_before": 100.0, "close": 101.0, "later": True}]


def test_a_stale_last_message_of_the_candle_channel_restates_nothing(market: Market) -> None:
    market.made.recorder.handle(ohlc(0, close=99.0, volume=0.5))
    assert market.made.recorder.suspects() == {BTC: [START]}
    market.venue.rows = [ohlc(0, close=100.0), ohlc(1, close=100.0)]
    market.look()
    assert market.made.recorder.suspects() == {}
    assert len(market.closes_on_the_bus("12:00")) == 1


def test_the_last_row_of_the_venue_is_never_read(market: Market) -> None:
    market.made.recorder.handle(ohlc(1, close=99.0))
    market.pass_minute()
    market.venue.rows = [ohlc(0, close=100.0), ohlc(1, close=99.0)]
    for _ in range(3):
        market.look()
    assert market.made.recorder.suspects() == {BTC: [START + MINUTE]}
    assert len(market.closes_on_the_bus("12:01")) == 1


def test_a_difference_that_is_confirmed_late_counts_all_the_same(market: Market) -> None:
    """The venue's REST was away for some time."""
    market.made.recorder.handle(ohlc(0, close=101.0))
    for _ in range(int(LATE)):
        market.pass_minute()
    market.venue.rows = [ohlc(0, close=101.0), ohlc(1, close=100.0)]
    market.look()
    market.look()
    assert len(market.closes_on_the_bus("12:00")) == 2


def test_what_the_venue_says_of_its_candles_takes_no_memory_for_ever(market: Market) -> None:
    for minute in range(3, 500):
        market.made.recorder.handle(ohlc(minute, close=90.0))
    comparison = market.made.recorder._comparisons[BTC]
    assert len(comparison._theirs) <= 64
