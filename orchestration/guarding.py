"""The guard of the streaming process, built from the settings: for the account that trades on the streamed market."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import dagster as dg
import structlog

from orchestration.clocks import skew_problem
from orchestration.services import Services
from orchestration.settings_schema import Settings
from orchestration.system import reporting_instance
from streaming.guard.duty import SwitchDuty
from streaming.guard.equity import DayOpening, EquityWatch
from streaming.guard.guard import Guard
from streaming.guard.held import GuardRules
from streaming.guard.history import HistoryDuty
from streaming.guard.loop import GuardLoop
from streaming.guard.metrics import GuardMetrics
from streaming.guard.quotes import Quotes
from streaming.recorder.alerts import ERROR
from trading.errors import LeaseLost, MarketloomError, NotStored
from trading.execution import Execution, OrderExecutor
from trading.market import Pair
from trading.portfolio import priced
from trading.ports import Venue
from trading.risk import HaltKind
from trading.stores.postgres.account_watch import PostgresAccountWatch
from trading.stores.postgres.balance_history import PostgresMinuteWriter
from trading.venues.kraken.venue import KrakenVenue

ACCOUNT_SECONDS = 5.0  # between two looks at which account trades
BUILD_SECONDS = 30.0  # between two attempts, where the account cannot be found yet
BUILT_WITHIN = 60.0  # seconds from the start, until a person is to know that nothing is watched
RESTART_SECONDS = 1.0  # after an error that nobody expected
CHECKED_WITHIN = 60.0  # seconds; an older look says nothing
RECONCILED_WITHIN = 180.0  # seconds: the keeper compares the books each minute
SENSOR_DAEMON = "SENSOR"  # Dagster's name for the part of its daemon that asks for decisions
DAEMON_WITHIN = 90.0  # seconds: it reports each 30
LOG = structlog.get_logger("stream.guard")


class Stream(Protocol):
    """What a `StreamProcess` says; see there."""

    def why_unseen(self, pair: Pair, max_silence: float) -> str: ...

    def venue_now(self) -> datetime: ...

    def alert(self, kind: str, severity: str, text: str) -> None: ...


@dataclass
class AccountGuard:
    """The guard of this process, from its start on; it watches once the account and its venue can be reached."""

    settings: Settings
    home: Path
    dsn: str
    dagster_url: str  # of the daemon's heartbeats; empty: not known
    epoch: Callable[[], int]  # of the stream's lease
    stream: Stream
    quotes: Quotes
    metrics: GuardMetrics
    account: str = ""  # that is watched; empty before the first
    monotonic: Callable[[], float] = time.monotonic
    _loop: GuardLoop | None = None
    _problem: str = "starting"
    _began: float | None = None
    _has_account: bool = True  # or nobody can say

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop`; whatever goes wrong here never ends the stream. LeaseLost when another one streams."""
        self._began = self.monotonic()
        while not stop.is_set():
            try:
                services = Services(self.settings, self.home, self.dsn)
                self._loop = await asyncio.to_thread(self._build, services)
                self._problem, self.account = "", services.account.name
                LOG.info("watching", account=self.account)
                await _run_until(self._loop, _ends(stop, services))
            except LeaseLost:
                raise
            except MarketloomError as error:
                if self._problem != str(error):
                    LOG.warning("nothing is watched", why=str(error))
                self._problem = str(error)
                self._has_account = await asyncio.to_thread(_may_have_opened, services)
            except Exception as error:
                self._problem = f"{type(error).__name__}: {error}"
                LOG.exception("the guard failed and begins anew")
                self.stream.alert("guard", ERROR, f"the guard failed and begins anew: {self._problem}")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), BUILD_SECONDS if self._loop is None else RESTART_SECONDS)

    def facts(self) -> dict[str, Any]:
        facts = {"watching": False} if self._loop is None else self._loop.facts()
        return facts | {"problem": self._problem}

    def health(self) -> list[str]:
        """Return why the guard is not well; before an account has opened it has nothing to watch."""
        if self._loop is None:
            is_late = self._began is not None and self.monotonic() - self._began > BUILT_WITHIN
            return [f"guard, nothing is watched: {self._problem}"] if is_late and self._has_account else []
        return ([f"guard: {self._problem}"] if self._problem else []) + self._loop.health()

    def _build(self, services: Services) -> GuardLoop:
        settings, chosen = self.settings, self.settings.guard
        executor, account, market = services.order_executor, services.account, settings.market
        rules = GuardRules(chosen.stop_overdue, chosen.trail_seconds, real_time=services.traded.at_exchange)
        equity = EquityWatch(account.quote, market.pairs, settings.risk, market.timeframe.duration)
        guard = Guard(rules, equity, self.quotes, increment=self._increment, why_blind=self._why_blind)
        writer = PostgresMinuteWriter(self.dsn, account.name, market.origin, self.epoch)
        return GuardLoop(
            guard,
            PostgresAccountWatch(self.dsn, account.name, market.origin, self.epoch),
            _Orders(executor, account.name),
            opening=lambda at: _opening(services, at),
            killed=services.kill_requested,
            switch=self._switch_duty(services),
            history=HistoryDuty(
                account.name, account.quote, writer, guard.read_prices, self.stream.venue_now, self.metrics
            ),
            now=self.stream.venue_now,
            alert=self.stream.alert,
            metrics=self.metrics,
        )

    def _switch_duty(self, services: Services) -> SwitchDuty | None:
        """Build the dead man's switch; None where the venue has none, as on paper."""
        tell = switch_of(services.venue)
        if tell is None:
            return None
        checks = SlowChecks(services, self.home, self.dagster_url)

        def problems() -> list[str]:
            unseen = ((pair, self._why_blind(pair)) for pair in self.settings.market.pairs)
            return [*(f"{pair}: {why}" for pair, why in unseen if why), *checks.problems()]

        return SwitchDuty(
            self.settings.guard.switch_seconds, tell, problems, self.stream.alert, self.metrics, checks.check
        )

    def _increment(self, pair: Pair) -> Decimal:
        """Return the step of the pair's price; 0, so that every move counts, of one that the settings do not know."""
        known = self.settings.instruments
        return known[pair].price_increment if pair in known else Decimal(0)

    def _why_blind(self, pair: Pair) -> str:
        return self.stream.why_unseen(pair, self.settings.guard.max_silence)


def _may_have_opened(services: Services) -> bool:
    """Return whether there is an account to watch, or nobody can say."""
    with suppress(MarketloomError):
        try:
            services.journal.opened_at(services.account.name)
        except NotStored:
            return False
    return True


async def _run_until(loop: GuardLoop, end: Coroutine[Any, Any, None]) -> None:
    """Run the loop until `end` has ended."""
    ended = asyncio.Event()
    ending = asyncio.ensure_future(end)
    ending.add_done_callback(lambda _: ended.set())
    try:
        await loop.run(ended)
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)


async def _ends(stop: asyncio.Event, services: Services) -> None:
    """Wait until `stop`, or until another account trades."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(_another_trades(services))]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


async def _another_trades(services: Services) -> None:
    """Wait until another account trades than that of these services."""
    still = True
    while still:
        await asyncio.sleep(ACCOUNT_SECONDS)
        with suppress(MarketloomError):  # where PostgreSQL is away, nothing changes hands
            still = await asyncio.to_thread(services.trades_still)


def switch_of(venue: Venue) -> Callable[[int], object] | None:
    """Return what sets the venue's dead man's switch; None where it has none."""
    return venue.cancel_all_after if isinstance(venue, KrakenVenue) else None


@dataclass(frozen=True, slots=True)
class _Orders:
    executor: OrderExecutor
    account: str

    def order_exits(self, at: datetime) -> bool:
        return self.executor.order_exits(self.account, at)

    def carry_out(self, at: datetime) -> Execution:
        return self.executor.carry_out(self.account, at)


@dataclass
class SlowChecks:
    """The inputs of the dead man's switch that are not in memory: `check` looks from a thread, `problems` answers."""

    services: Services
    home: Path
    dagster_url: str
    monotonic: Callable[[], float] = time.monotonic
    _found: tuple[str, ...] = ("not checked yet",)
    _checked_at: float | None = None
    _reconciled: tuple[datetime | None, float] | None = (
        None  # when by the account's clock, and since when that is so
    )
    _instance: dg.DagsterInstance | None = field(default=None, repr=False)

    def problems(self) -> list[str]:
        if self._checked_at is not None and self.monotonic() - self._checked_at > CHECKED_WITHIN:
            return ["inputs could not be checked for a minute"]
        return list(self._found)

    def check(self) -> None:
        """Look at the books, the clock and the daemon. Raises when one of them cannot be asked: the last look ages."""
        checks = (self._books(), self._clock(), self._daemon())
        self._found = tuple(found for found in checks if found)
        self._checked_at = self.monotonic()

    def _books(self) -> str:
        """Return what is wrong with the last comparison; its age is counted here, for the account's clock may jump."""
        journal, account = self.services.journal, self.services.account.name
        agreed = journal.reconciled_at(account)
        if self._reconciled is None or self._reconciled[0] != agreed:
            self._reconciled = (agreed, self.monotonic())
        if any(each.kind is HaltKind.RECONCILIATION and each.needs_resume for each in journal.halts(account)):
            return "ledger and venue differ"
        if agreed is None or self.monotonic() - self._reconciled[1] > RECONCILED_WITHIN:
            return f"ledger and venue were not compared for {RECONCILED_WITHIN:.0f} s"
        return ""

    def _clock(self) -> str:
        return skew_problem(
            self.services.clock().skew_seconds, self.services.settings.risk.clock_skew_seconds
        )

    def _daemon(self) -> str:
        if not self.dagster_url:
            return "where Dagster's daemon reports is not known"
        if self._instance is None:
            self._instance = reporting_instance(self.home, self.dagster_url)
        heartbeat = self._instance.get_daemon_heartbeats().get(SENSOR_DAEMON)
        age = datetime.now(UTC).timestamp() - (heartbeat.timestamp if heartbeat else 0.0)
        return (
            "" if age <= DAEMON_WITHIN else "Dagster's sensor daemon has not reported for more than a minute"
        )


def _opening(services: Services, at: datetime) -> DayOpening:
    """Read what the day opened with, as decisions count it. NotStored where a price is missing."""
    account, market = services.account, services.settings.market
    while True:
        booked = len(services.journal.adjustments(account.name))
        snapshot = services.account_reader.snapshot(at)
        if booked == len(services.journal.adjustments(account.name)):
            break
    _, not_streamed = priced(snapshot["balances"], account.quote, market.pairs)
    unseen = tuple(sorted(not_streamed.keys() - snapshot["left_out"].keys()))
    return DayOpening(at.date(), snapshot["opening_equity"], booked, unseen)
