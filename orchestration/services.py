"""Stores, venues, models and rules of this process, from its settings: the place that names the concrete classes."""

import gc
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.agents.panel import ModelPanel
from ml.agents.vote_weights import VoteWeights, WeightVersions
from ml.backtests import Backtester
from ml.decision.account_reader import AccountReader
from ml.decision.clock import Clock
from ml.decision.decide import DecisionRules
from ml.decision.market_reader import MarketReader
from ml.decision.reader import InputReader
from ml.decision.rebalancing import Rebalancer
from ml.learning.registry import PolicyRegistry
from ml.news.files import NewsFiles, NewsSource
from ml.news.select import choose_embedder
from ml.news.simulated import SimulatedNews, returns_of_candles
from ml.parity.auditor import ParityAuditor
from ml.retrieval.retriever import NewsRetriever
from ml.sentiment.select import choose_sentiment_model
from ml.track_record.board import BoardMaker
from ml.track_record.weighing import Weigher
from orchestration.backtesting import REPORTS, RecordedPast, build_backtester
from orchestration.clocks import machine_now
from orchestration.kill_switch import KillSwitch
from orchestration.live import LiveGate, TradedAccount
from orchestration.news_feeds import network_news
from orchestration.settings import home_folder, lake_folder, load_settings, settings_stamp
from orchestration.settings_schema import Settings
from orchestration.sources import candle_source, market_clock
from orchestration.stream_stores import build_coverage, build_market_data, build_tape
from orchestration.streamed import streams
from orchestration.system import POSTGRES
from orchestration.tables import candle_table, feature_table, order_book_table
from orchestration.venues import (
    CurrentInstruments,
    ExchangeAccess,
    exchange_access,
    paper_venue,
    sandbox_account,
)
from trading.account import Account
from trading.candles import Arrival
from trading.errors import InvalidSettings
from trading.execution import ExecutionRules, OrderExecutor
from trading.feed_gaps import FeedGap
from trading.fills import Costs
from trading.history.tape_candles import TapeCandles
from trading.importers.landing_area import LandingArea
from trading.market import Instrument, Pair
from trading.ports import (
    BalanceHistory,
    CandleSource,
    FailureNote,
    MarketData,
    Message,
    NewsStore,
    TableStore,
    Tape,
    Venue,
    VenueBooks,
)
from trading.ports.market_data import SeenBook
from trading.ports.news_index import NewsIndex
from trading.reconciliation import Reconciler
from trading.risk import LivePermit
from trading.stores.failure_notes import FailureNotes
from trading.stores.instruments import InstrumentFile
from trading.stores.live_candles import LiveCandles
from trading.stores.postgres import (
    PostgresJournal,
    PostgresKeyState,
    PostgresLiveAccounts,
    PostgresModelCalls,
    PostgresNews,
    PostgresNewsIndex,
    PostgresPerformance,
    PostgresPromotions,
    PostgresVotes,
)
from trading.stores.postgres.balance_history import PostgresBalanceHistory
from trading.stores.postgres.outbox import PostgresEventLog
from trading.stores.postgres.seen_books import PostgresSeenBooks
from trading.stores.postgres.vote_weights import PostgresWeights
from trading.stream_coverage import StreamCoverage

if TYPE_CHECKING:
    from ml.models.clients import ModelClients
    from ml.news.embeddings import Embedder
    from ml.sentiment.pair import SentimentModel

LOG = logging.getLogger("marketloom.services")


@dataclass(frozen=True)
class Services:
    """Stores, venues, models and rules, built from the settings, home folder and PostgreSQL address of this process."""

    settings: Settings
    home: Path
    dsn: str

    @classmethod
    def current(cls) -> "Services":
        """Return those of the settings as they are now: the same as before while neither files nor environment changed,
        and the same account trades.

        So a process has one connection to each store, however many runs and resources ask. Raises InvalidSettings when
        no PostgreSQL address is known.
        """
        dsn = os.environ.get(POSTGRES)
        if not dsn:
            raise InvalidSettings(
                f"{POSTGRES} is not set: start through `marketloom dev` or `marketloom demo`, "
                "or set it to the address of your PostgreSQL"
            )
        stamp = settings_stamp()
        if not _latest or _latest[0] != stamp or not _latest[1].trades_still():
            _latest[:] = stamp, cls(load_settings(), home_folder(), dsn)
            gc.collect()  # those of before hold their connections in circles of references; PostgreSQL allows 100
        services: Services = _latest[1]
        return services

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
        if self.traded.at_exchange:
            with self.exchange.client(self.key_state) as client:
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
        if self.traded.at_exchange:
            return stored
        fees = self.settings.fees_at(self.clock().at)
        return {
            pair: replace(each, taker_fee=fees.taker, maker_fee=fees.maker) for pair, each in stored.items()
        }

    @property
    def current_instruments(self) -> Mapping[Pair, Instrument]:
        """Return the same with the exchange's rules and status of this moment."""
        if not self.traded.at_exchange:
            return self.instruments
        known = self.instruments
        return CurrentInstruments(
            known,
            self.exchange.client(self.key_state),
            alone=known.keys() - set(self.settings.market.pairs),
        )

    @cached_property
    def news_store(self) -> NewsStore:
        return PostgresNews(self.dsn, self.dataset)

    @cached_property
    def news_index(self) -> NewsIndex:
        return PostgresNewsIndex(self.dsn, self.dataset)

    @property
    def embedder(self) -> "Embedder":
        """Return the model that [embeddings] names, as it can serve now."""
        return choose_embedder(self.settings.ollama, self.settings.embeddings.model)

    @cached_property
    def news_retriever(self) -> NewsRetriever:
        half_life = timedelta(hours=self.settings.retrieval.half_life_hours)
        return NewsRetriever(self.news_index, self.news_store, lambda: self.embedder, half_life)

    @cached_property
    def model_calls(self) -> PostgresModelCalls:
        return PostgresModelCalls(self.dsn)

    @cached_property
    def model_clients(self) -> "ModelClients":
        """Return the clients of language models; they share breakers, the record of calls and the daily budget."""
        from ml.models.clients import (
            ModelClients,
        )  # loading the graph must not import orjson and pydantic schemas

        models = self.settings.models
        return ModelClients(
            calls=self.model_calls,
            rules=models.rules,
            ladder=self.settings.model_ladder,
            prices=models.dated_prices,
            environment=os.environ,
            today=lambda: machine_now().date(),
        )

    @cached_property
    def model_panel(self) -> ModelPanel:
        """Return the language models whose answers are inputs of a decision; none where the settings name none."""
        if not self.settings.agents.models:
            return ModelPanel()
        from orchestration.model_agents import (
            build_panel,
        )  # loading the graph must not import the clients of language models

        return build_panel(self.settings, self.model_clients, self.news_store, lambda: self.news_retriever)

    @property
    def sentiment_model(self) -> "SentimentModel":
        """Return the model that [sentiment] names. Raises where it cannot serve and nothing may take its place."""
        settings = self.settings
        return choose_sentiment_model(
            settings.ollama,
            settings.sentiment.model,
            settings.models.specs,
            lambda: self.model_clients,
            settings.sentiment.weights,
            simulated=self.news_is_simulated,
        )

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
    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.dsn)

    @cached_property
    def balance_history(self) -> BalanceHistory:
        return PostgresBalanceHistory(self.dsn)

    @cached_property
    def bus(self) -> PostgresEventLog:
        return PostgresEventLog(self.dsn)

    @cached_property
    def performance(self) -> PostgresPerformance:
        return PostgresPerformance(self.dsn, self.dataset)

    @cached_property
    def board_maker(self) -> BoardMaker:
        market = self.settings.market
        return BoardMaker(
            PostgresVotes(self.dsn, self.dataset),
            self.candle_store,
            self.feature_store,
            market.pairs,
            market.timeframe,
            self.costs,
            self.settings.models.cut_offs,
            self.weights_at,
        )

    @cached_property
    def weight_versions(self) -> WeightVersions:
        return WeightVersions(PostgresWeights(self.dsn, self.dataset))

    def weights_at(self, time: datetime) -> VoteWeights | None:
        """Return the weights of votes that a decision at `time` reads; None where [memory] is not enabled."""
        return self.weight_versions.at(time) if self.settings.memory.enabled else None

    @property
    def weigher(self) -> Weigher:
        return Weigher(self.board_maker, self.settings.memory)

    @cached_property
    def key_state(self) -> PostgresKeyState:
        return PostgresKeyState(self.dsn)

    @cached_property
    def live_gate(self) -> LiveGate:
        return LiveGate(self.settings, self.journal, self.promotions, PostgresLiveAccounts(self.dsn))

    @cached_property
    def traded(self) -> TradedAccount:
        """Return the account of these services: it stays the same, so that no order goes elsewhere than its account."""
        return self._traded_now()

    def trades_still(self) -> bool:
        """Return whether this is the account that trades now, or nobody has asked yet."""
        return "traded" not in vars(self) or self.traded == self._traded_now()

    def _traded_now(self) -> TradedAccount:
        if self.settings.venue.mode == "sandbox":
            return TradedAccount("sandbox", sandbox_account(self.home))
        if live := self.live_gate.live_account():
            return TradedAccount("kraken", live)
        return TradedAccount("paper", self.settings.paper_account)

    @property
    def exchange(self) -> ExchangeAccess:
        """Return how the account's exchange is reached. NotAuthorised where it has no key."""
        return exchange_access(
            "kraken" if self.traded.venue == "kraken" else "sandbox", self.settings, self.home
        )

    def live_permit(self, pair: Pair) -> LivePermit | None:
        """Return whether a position of the pair may be opened; None where real money is not asked for."""
        return self.live_gate.permit(self.traded, pair)

    @property
    def account(self) -> Account:
        capital, market = self.settings.venue.capital, self.settings.market
        return Account(self.traded.name, market.quote, capital.total, capital.fixed, capital.rest)

    @cached_property
    def venue(self) -> Venue:
        if self.traded.at_exchange:
            return self.exchange.orders(self.key_state, partial(_tell_of_rest, self.dsn, self.traded.name))
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

    def venue_books(self, since: datetime) -> VenueBooks:
        """Read the account as the venue has it, with what changed a balance since then."""
        return self.venue.books(since)

    @property
    def account_reader(self) -> AccountReader:
        return AccountReader(
            account=self.account,
            journal=self.journal,
            market=self.market_reader,
            venue_books=self.venue_books if self.traded.at_exchange else None,
            permit=self.live_permit,
            model_usd=self.model_calls.spent_today,
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
            challenges=self.settings.shadow.challenger,
            models=self.model_panel,
            weights=self.weights_at,
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
                real_time=self.traded.at_exchange,
            ),
            holder=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
            only=self.account.name,
            kill_requested=self.kill_requested,
            entries_refused=lambda: self.live_gate.entries_refused(self.traded),
        )

    @property
    def kill_requested(self) -> Callable[[], str]:
        """Return what says why all new positions must stop."""
        return KillSwitch(self.home).requested

    @property
    def reconciler(self) -> Reconciler:
        """Compares the ledger with the venue's books; what it books is valued at the prices of its moment."""
        return Reconciler(self.journal, self.venue, self.account_reader.worth)

    @property
    def rebalancer(self) -> Rebalancer:
        """On paper alone it orders: an account at an exchange may go on whatever [venue] mode says by now."""
        rules = self.settings.rebalancing
        rules = replace(rules, execute=rules.execute and not self.traded.at_exchange)
        return Rebalancer(self.input_reader, rules, self.settings.risk, self.journal, self.order_executor)

    @property
    def failure_notes(self) -> FailureNotes:
        """Return the notes of failed runs; each new one becomes an alert."""
        return FailureNotes(self.home / "failures.jsonl", self._announce)

    def _announce(self, note: FailureNote) -> None:
        from trading.bus_messages import failed_run_alert  # loading the graph must not import msgspec

        self.announce(failed_run_alert(note))

    def announce(self, message: Message) -> None:
        """Publish a message, such as an alert."""
        _publish(self.dsn, message)

    @property
    def report_folder(self) -> Path:
        return self.home / REPORTS

    @property
    def backtester(self) -> Backtester:
        versions = self.weight_versions if self.settings.memory.enabled else None
        known = RecordedPast(self.market_reader, self.policies, versions)
        return build_backtester(self.settings, self.home, known)

    @property
    def parity_auditor(self) -> ParityAuditor:
        return ParityAuditor(self.account_reader, self.backtester, self.policies)

    @property
    def rules(self) -> DecisionRules:
        return self.settings.decision_rules


def _tell_of_rest(dsn: str, account: str, why: str) -> None:
    """Tell that an order went over REST. It is at the exchange already: nothing may fail here."""
    from trading.bus_messages import alert  # loading the graph must not import msgspec

    text = f"orders go over REST, which takes longer: {why}"
    try:
        _publish(dsn, alert(f"account {account}", "account", "info", text, machine_now()))
    except Exception:
        LOG.warning("%s", text)


def _publish(dsn: str, message: Message) -> None:
    from streaming.bus.postgres import PostgresBus

    bus = PostgresBus(dsn)
    try:
        bus.publish([message])
    finally:
        bus.close()


_latest: list[Any] = []  # the stamp of the settings and the services made of them; empty before the first
