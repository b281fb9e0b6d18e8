"""The account that trades, with everything that it trades by, in this process, from its settings."""

import gc
import logging
import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

from ml.decision.account_reader import AccountReader
from ml.decision.reader import InputReader
from ml.decision.rebalancing import Rebalancer
from ml.parity.auditor import ParityAuditor
from orchestration.clocks import machine_now
from orchestration.judge_services import JudgeServices
from orchestration.kill_switch import KillSwitch
from orchestration.live import LiveGate, TradedAccount
from orchestration.market_services import publish
from orchestration.plan_answers import PlanAnswers
from orchestration.settings import home_folder, load_settings, settings_stamp
from orchestration.system import POSTGRES
from orchestration.venues import (
    CurrentInstruments,
    ExchangeAccess,
    exchange_access,
    paper_venue,
    sandbox_account,
)
from trading.account import Account
from trading.errors import InvalidSettings
from trading.execution import ExecutionRules, OrderExecutor
from trading.market import Instrument, Pair
from trading.ports import (
    BalanceHistory,
    Venue,
    VenueBooks,
)
from trading.reconciliation import Reconciler
from trading.risk import LivePermit
from trading.stores.postgres import (
    PostgresJournal,
    PostgresKeyState,
    PostgresLiveAccounts,
)
from trading.stores.postgres.balance_history import PostgresBalanceHistory
from trading.stores.postgres.tool_plans import PostgresToolPlans

LOG = logging.getLogger("marketloom.services")


class Services(JudgeServices):
    """Stores, venues, models and rules, built from the settings, home folder and PostgreSQL address of this process."""

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
    def journal(self) -> PostgresJournal:
        return PostgresJournal(self.dsn)

    @cached_property
    def balance_history(self) -> BalanceHistory:
        return PostgresBalanceHistory(self.dsn)

    @cached_property
    def key_state(self) -> PostgresKeyState:
        return PostgresKeyState(self.dsn)

    @property
    def plan_answers(self) -> PlanAnswers:
        """Return where people's words about plans of programs go."""
        store = PostgresToolPlans(self.dsn)
        return PlanAnswers(store, lambda: self.traded.venue == "kraken" or self.live_gate.is_asked_for)

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
    def parity_auditor(self) -> ParityAuditor:
        return ParityAuditor(self.account_reader, self.backtester, self.policies)


def _tell_of_rest(dsn: str, account: str, why: str) -> None:
    """Tell that an order went over REST. It is at the exchange already: nothing may fail here."""
    from trading.bus_messages import alert  # loading the graph must not import msgspec

    text = f"orders go over REST, which takes longer: {why}"
    try:
        publish(dsn, alert(f"account {account}", "account", "info", text, machine_now()))
    except Exception:
        LOG.warning("%s", text)


_latest: list[Any] = []  # the stamp of the settings and the services made of them; empty before the first
