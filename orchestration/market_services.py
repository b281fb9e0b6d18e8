"""Stores and sources of the market and its news, in this process, from its settings."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from ml.decision.clock import Clock
from ml.decision.market_reader import MarketReader
from ml.news.files import NewsFiles, NewsSource
from ml.news.simulated import SimulatedNews, returns_of_candles
from orchestration.backtesting import REPORTS
from orchestration.news_feeds import network_news
from orchestration.settings import lake_folder
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, market_clock
from orchestration.stream_stores import build_coverage, build_market_data, build_tape
from orchestration.streamed import streams
from orchestration.tables import candle_table, feature_table, order_book_table
from trading.candles import Arrival
from trading.errors import InvalidSettings
from trading.feed_gaps import FeedGap
from trading.fills import Costs
from trading.history.tape_candles import TapeCandles
from trading.importers.landing_area import LandingArea
from trading.market import Pair
from trading.ports import (
    CandleSource,
    FailureNote,
    MarketData,
    Message,
    NewsStore,
    TableStore,
    Tape,
)
from trading.ports.market_data import SeenBook
from trading.ports.news_index import NewsIndex
from trading.stores.failure_notes import FailureNotes
from trading.stores.instruments import InstrumentFile
from trading.stores.live_candles import LiveCandles
from trading.stores.postgres import (
    PostgresNews,
    PostgresNewsIndex,
)
from trading.stores.postgres.outbox import PostgresEventLog
from trading.stores.postgres.seen_books import PostgresSeenBooks
from trading.stream_coverage import StreamCoverage


@dataclass(frozen=True)
class MarketServices:
    """Stores and sources of candles, tape and news, the clock and the bus."""

    settings: Settings
    home: Path
    dsn: str

    @property
    def dataset(self) -> str:
        return self.settings.market.universe.dataset

    @property
    def lake(self) -> Path:
        return lake_folder(self.home, self.settings)

    @cached_property
    def landing(self) -> LandingArea:
        return LandingArea(self.home / "landing")

    @cached_property
    def candle_source(self) -> CandleSource:
        return candle_source(self.settings, self.home)

    @cached_property
    def tape(self) -> Tape:
        return build_tape(self.settings, self.home)

    @cached_property
    def market_data(self) -> MarketData:
        return build_market_data(self.settings, self.dsn)

    @property
    def stream_coverage(self) -> StreamCoverage:
        return build_coverage(self.settings, self.dsn, self.market_data)

    @property
    def recorded_candles(self) -> CandleSource:
        """Return what `ohlcv` is made from: of a market that is streamed the tape, and the source for the rest."""
        if not streams(self.settings):
            return self.candle_source
        return TapeCandles(self.tape, self.candle_source, self.settings.market.timeframe)

    @cached_property
    def candle_store(self) -> TableStore:
        return candle_table(self.settings, self.home)

    @cached_property
    def feature_store(self) -> TableStore:
        return feature_table(self.settings, self.home)

    @cached_property
    def known_candles(self) -> TableStore:
        """Return `ohlcv` as decisions read it: with what the stream has stored since, as it was known at the time."""
        if not streams(self.settings):
            return self.candle_store
        return LiveCandles(self.candle_store, self.market_data, self.settings.market.timeframe)

    @cached_property
    def order_book_store(self) -> TableStore:
        return order_book_table(self.settings, self.home)

    @property
    def book_interval(self) -> timedelta:
        """Return the time between two samples of the order book."""
        return timedelta(seconds=self.settings.stream.book_interval)

    @cached_property
    def instrument_file(self) -> InstrumentFile:
        return InstrumentFile(self.lake / "instruments.json")

    @cached_property
    def news_store(self) -> NewsStore:
        return PostgresNews(self.dsn, self.dataset)

    @cached_property
    def news_index(self) -> NewsIndex:
        return PostgresNewsIndex(self.dsn, self.dataset)

    @cached_property
    def news_source(self) -> NewsSource:
        market = self.settings.market
        if market.reads_feeds:
            return network_news(self.settings)
        if market.news:
            return NewsFiles(Path(market.news).expanduser())
        if self.news_is_simulated:
            priced = {pair.base: pair for pair in market.pairs if pair.quote == market.quote}
            return SimulatedNews(
                self.settings.simulator.seed, sorted(priced), returns_of_candles(self.candle_source, priced)
            )
        raise InvalidSettings(
            '[market] news is empty: write news = "feeds", or name a folder of news files, e.g. news = "data/news"'
        )

    @property
    def news_is_simulated(self) -> bool:
        return not self.settings.market.news and self.settings.market.source == "simulator"

    @cached_property
    def bus(self) -> PostgresEventLog:
        return PostgresEventLog(self.dsn)

    @property
    def costs(self) -> dict[Pair, Costs]:
        """Return those of every pair that the settings know: one that is not traded any more may still be held."""
        return {pair: self.settings.costs(pair) for pair in self.settings.instruments}

    @property
    def market_reader(self) -> MarketReader:
        return MarketReader(
            universe=self.settings.market.universe,
            candles=self.known_candles,
            news=self.news_store,
            costs=self.costs,
            sentiment_half_life_hours=self.settings.sentiment.half_life_hours,
            feed_gaps=self.feed_gaps,
            newest_book=self.newest_book,
        )

    def feed_gaps(self, pair: Pair, start: datetime, end: datetime) -> list[FeedGap]:
        """Return the stream's feed gaps that touch [start, end); of a market that nobody streams nothing is known."""
        if not streams(self.settings):
            return []
        return self.stream_coverage.ledger.gaps(self.settings.market.origin, pair, start, end)

    def newest_book(self, pair: Pair) -> SeenBook | None:
        """Return the newest verified sample of the pair's book that the stream has put on the bus."""
        return self.seen_books.newest(pair) if streams(self.settings) else None

    @cached_property
    def seen_books(self) -> PostgresSeenBooks:
        return PostgresSeenBooks(self.dsn, self.settings.market.origin)

    @cached_property
    def clock(self) -> Clock:
        """Return the venue's time, or the machine's, where candles go on closing; on history the newest candle's."""
        return market_clock(self.settings, self.home, self.market_reader.newest_known_of_all)

    @property
    def arrival(self) -> Arrival:
        """Return when candles that are read now became known: now; of history, nobody knows (None)."""
        if self.settings.market.is_history:
            return lambda: None
        return lambda: self.clock().at

    @property
    def failure_notes(self) -> FailureNotes:
        """Return the notes of failed runs; each new one becomes an alert."""
        return FailureNotes(self.home / "failures.jsonl", self._announce)

    def _announce(self, note: FailureNote) -> None:
        from trading.bus_messages import failed_run_alert  # loading the graph must not import msgspec

        self.announce(failed_run_alert(note))

    def announce(self, message: Message) -> None:
        """Publish a message, such as an alert."""
        publish(self.dsn, message)

    @property
    def report_folder(self) -> Path:
        return self.home / REPORTS


def publish(dsn: str, message: Message) -> None:
    from streaming.bus.postgres import PostgresBus

    bus = PostgresBus(dsn)
    try:
        bus.publish([message])
    finally:
        bus.close()
