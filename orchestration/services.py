"""Stores, venues, models and rules of this process, from its settings: the place that names the concrete classes."""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from ml.backtests import Backtester
from ml.decision.account_reader import AccountReader
from ml.decision.clock import Clock
from ml.decision.decide import DecisionRules
from ml.decision.market_reader import MarketReader
from ml.decision.reader import InputReader
from ml.decision.rebalancing import Rebalancer
from ml.learning.registry import PolicyRegistry
from ml.news.files import NewsFiles, NewsSource
from ml.news.simulated import SimulatedNews, returns_of_candles
from orchestration.backtesting import REPORTS, RecordedPast, build_backtester
from orchestration.kill_switch import KillSwitch
from orchestration.settings import home_folder, lake_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, market_clock
from orchestration.stream_stores import build_coverage, build_market_data, build_tape
from orchestration.streamed import streams
from orchestration.system import POSTGRES
from orchestration.tables import candle_table, feature_table, order_book_table
from orchestration.venues import CurrentInstruments, account_name, paper_venue, sandbox_client, sandbox_venue
from trading.account import Account
from trading.candles import Arrival
from trading.errors import InvalidSettings
from trading.execution import ExecutionRules, OrderExecutor
from trading.fills import Costs
from trading.history.tape_candles import TapeCandles
from trading.importers.landing_area import LandingArea
from trading.market import Instrument, Pair
from trading.ports import CandleSource, MarketData, NewsStore, TableStore, Tape, Venue, VenueBooks
from trading.reconciliation import Reconciler
from trading.stores.failure_notes import FailureNotes
from trading.stores.instruments import InstrumentFile
from trading.stores.live_candles import LiveCandles
from trading.stores.postgres import PostgresJournal, PostgresKeyState, PostgresNews, PostgresPromotions
from trading.stream_coverage import StreamCoverage


@dataclass(frozen=True)
class Services:
    """Stores, venues, models and rules, built from the settings, home folder and PostgreSQL address of this process."""

    settings: Settings
    home: Path
    dsn: str

    @classmethod
    def current(cls) -> "Services":
        """Build from the environment. Raises InvalidSettings when no PostgreSQL address is known."""
        dsn = os.environ.get(POSTGRES)
        if not dsn:
            raise InvalidSettings(
                f"{POSTGRES} is not set: start through `marketloom dev` or `marketloom demo`, "
                "or set it to the address of your PostgreSQL"
            )
        return cls(load_settings(), home_folder(), dsn)

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

    @property
    def known_instruments(self) -> dict[Pair, Instrument]:
        """Return those of the exchange that takes the orders, with our own fees; on paper those of the settings."""
        settings = self.settings
        if settings.venue.mode == "sandbox":
            with sandbox_client(settings, self.home, self.key_state) as client:
                return client.instruments(settings.market.pairs)
        return {
            pair: settings.instrument(pair, settings.market.known_until) for pair in settings.market.pairs
        }

    @property
    def instruments(self) -> dict[Pair, Instrument]:
        """Return them as they were last stored, on paper with the fees of the clock's day.

        A pair that is not traded any more has those of the settings. NotStored before `instruments` was materialised.
        """
        known = {pair: self.settings.instrument(pair) for pair in self.settings.instruments}
        stored = {**known, **self.instrument_file.read()}
        if self.settings.venue.mode != "paper":
            return stored
        fees = self.settings.fees_at(self.clock().at)
        return {
            pair: replace(each, taker_fee=fees.taker, maker_fee=fees.maker) for pair, each in stored.items()
        }

    @property
    def current_instruments(self) -> Mapping[Pair, Instrument]:
        """Return the same with the exchange's rules and status of this moment."""
        if self.settings.venue.mode == "paper":
            return self.instruments
        known = self.instruments
        return CurrentInstruments(
            known,
            sandbox_client(self.settings, self.home, self.key_state),
            alone=known.keys() - set(self.settings.market.pairs),
        )

    @cached_property
    def news_store(self) -> NewsStore:
        return PostgresNews(self.dsn, self.dataset)

    @cached_property
    def news_source(self) -> NewsSource:
        market = self.settings.market
        if market.news:
            return NewsFiles(Path(market.news).expanduser())
        if market.source == "simulator":
            priced = {pair.base: pair for pair in market.pairs if pair.quote == market.quote}
            return SimulatedNews(
                self.settings.simulator.seed, sorted(priced), returns_of_candles(self.candle_source, priced)
            )
        raise InvalidSettings('[market] news is empty: name a folder of news files, e.g. news = "data/news"')

    @cached_property
    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.dsn)

    @cached_property
    def key_state(self) -> PostgresKeyState:
        return PostgresKeyState(self.dsn)

    @property
    def account(self) -> Account:
        capital, market = self.settings.venue.capital, self.settings.market
        name = account_name(self.settings, self.home)
        return Account(name, market.quote, capital.total, capital.fixed, capital.rest)

    @cached_property
    def venue(self) -> Venue:
        if self.settings.venue.mode == "sandbox":
            return sandbox_venue(self.settings, self.home, self.key_state)
        return paper_venue(
            self.settings,
            self.journal,
            self.account.name,
            self.candle_source,
            self.instruments,
            lambda: self.clock().at,
        )

    @property
    def costs(self) -> dict[Pair, Costs]:
        """Return those of every pair that the settings know: one that is not traded any more may still be held."""
        return {pair: self.settings.costs(pair) for pair in self.settings.instruments}

    @cached_property
    def policies(self) -> PolicyRegistry:
        return PolicyRegistry(self.home / "policies" / self.dataset, self.promotions)

    @cached_property
    def promotions(self) -> PostgresPromotions:
        return PostgresPromotions(self.dsn, self.dataset)

    @property
    def market_reader(self) -> MarketReader:
        return MarketReader(
            universe=self.settings.market.universe,
            candles=self.known_candles,
            news=self.news_store,
            costs=self.costs,
            sentiment_half_life_hours=self.settings.sentiment.half_life_hours,
        )

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

    def venue_books(self, since: datetime) -> VenueBooks:
        """Read the account as the venue has it, with what changed a balance since then."""
        return self.venue.books(since)

    @property
    def account_reader(self) -> AccountReader:
        return AccountReader(
            account=self.account,
            journal=self.journal,
            market=self.market_reader,
            venue_books=self.venue_books if self.settings.venue.mode == "sandbox" else None,
        )

    @property
    def input_reader(self) -> InputReader:
        """Return everything a decision may see. NotStored before instruments are stored."""
        return InputReader(
            self.account_reader,
            self.policies,
            instrument=self.current_instruments.__getitem__,
            stored_instrument=self.instruments.__getitem__,
            clock=self.clock,
        )

    @cached_property
    def order_executor(self) -> OrderExecutor:
        """Carries out the account's orders; no entry of before the newest candles, by the account's clock, is sent."""
        return OrderExecutor(
            self.journal,
            self.venue,
            self.market_reader.candles_after,
            ExecutionRules(
                entry_age=self.settings.risk.candle_age * self.settings.market.timeframe.duration,
                protected_within=timedelta(seconds=self.settings.venue.protected_within),
                real_time=self.settings.venue.mode != "paper",
            ),
            holder=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            kill_requested=KillSwitch(self.home).requested,
        )

    @property
    def reconciler(self) -> Reconciler:
        """Compares the ledger with the venue's books; what it books is valued at the prices of its moment."""
        return Reconciler(self.journal, self.venue, self.account_reader.worth)

    @property
    def rebalancer(self) -> Rebalancer:
        settings = self.settings
        return Rebalancer(
            self.input_reader, settings.rebalancing, settings.risk, self.journal, self.order_executor
        )

    @property
    def failure_notes(self) -> FailureNotes:
        return FailureNotes(self.home / "failures.jsonl")

    @property
    def report_folder(self) -> Path:
        return self.home / REPORTS

    @property
    def backtester(self) -> Backtester:
        return build_backtester(self.settings, self.home, RecordedPast(self.market_reader, self.policies))

    @property
    def rules(self) -> DecisionRules:
        return self.settings.decision_rules
