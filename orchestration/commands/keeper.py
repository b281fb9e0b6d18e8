"""The account's keeper: `python -m orchestration.commands.keeper`, a child of `marketloom dev`.

Decisions come with candles. Between them somebody must go on with orders whose outcome is open, keep stops at the
venue, notice a kill switch, and compare the books. Every pass is one that any other process could make: safety does not
rest on this process, only promptness does.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from orchestration.alerting import AlertWorkers
from orchestration.commands.clock_watch import ClockWatch
from orchestration.commands.daemon_watch import DaemonReports, DaemonWatch
from orchestration.commands.decision_watch import DecisionWatch
from orchestration.commands.failed_runs import FailedRuns
from orchestration.commands.keeper_alerts import StandingProblems, publish_alert
from orchestration.commands.live_watch import LiveWatch
from orchestration.commands.pace import every
from orchestration.commands.settings_watch import SettingsWatch
from orchestration.commands.stream_watch import StreamWatch
from orchestration.kill_switch import KillSwitch
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.system import POSTGRES
from trading.errors import MarketloomError, NotStored
from trading.risk import HaltKind

LOG = logging.getLogger("marketloom.keeper")
PASS_SECONDS = 5.0
RECONCILE_SECONDS = 60.0
SETTINGS_SECONDS = 60.0
LOOK_SECONDS = 15.0  # between two looks at what else a person is told of
ORDERS, RECONCILIATION = "orders", "reconciliation"
ALERTS = frozenset({HaltKind.KILL_SWITCH, HaltKind.RECONCILIATION, HaltKind.PROTECTION, HaltKind.FAILURES})


def ignore(work: str, problems: Iterable[str]) -> None:
    """Tell nobody."""


@dataclass
class Keeper:
    """Passes over one account until told to stop. An error is logged and the next pass comes all the same."""

    carry_out: Callable[[], bool]  # True: an order's outcome became unknown: the books must be compared soon
    reconcile: Callable[[], None]
    stop: threading.Event
    monotonic: Callable[[], float] = time.monotonic
    also: Mapping[str, Callable[[], None]] = field(
        default_factory=dict
    )  # what else each pass does, by its name
    next_reconciliation: float = 0.0  # at once: a start is when most is unknown

    def run(self) -> None:
        while not self.stop.is_set():
            self.step()
            self.stop.wait(PASS_SECONDS)

    def step(self) -> None:
        """Carry out what waits, then compare the books where it is time, and see that people are told of both."""
        if self._attempt(ORDERS, self.carry_out):
            self.next_reconciliation = 0.0
        if self.monotonic() >= self.next_reconciliation:
            self.next_reconciliation = self.monotonic() + RECONCILE_SECONDS
            self._attempt(RECONCILIATION, self.reconcile)
        for what, act in self.also.items():
            self._attempt(what, act)

    def _attempt(self, what: str, act: Callable[[], bool | None]) -> bool:
        try:
            return bool(act())
        except NotStored:
            return False  # the account has not opened yet
        except MarketloomError as error:
            LOG.warning("%s: %s: %s", what, type(error).__name__, error)
        except Exception:
            LOG.exception("%s failed", what)
        return False


@dataclass
class Account:
    """The account of the settings as they are now: what was changed counts within a minute, without a restart.

    `note` gets each piece of work that was tried, and what went wrong in it.
    """

    build: Callable[[], Services] = Services.current
    monotonic: Callable[[], float] = time.monotonic
    note: Callable[[str, Iterable[str]], None] = ignore
    _services: Services | None = None
    _name: str = ""
    _checked: float = 0.0
    _seen: tuple[datetime, str, str] | None = None
    _alerted: set[tuple[str, datetime]] = field(default_factory=set)

    def carry_out(self) -> bool:
        """Make one pass; True when an order's outcome is unknown. On paper there is nothing to do while time stands."""
        services = self._current()
        with self._noting(ORDERS) as problems:
            at = services.clock().at
            if not services.traded.at_exchange:
                waiting = services.journal.working_orders(self._name)
                orders = "".join(f"{each.intent.intent_id}{each.order.status}" for each in waiting)
                now = (at, KillSwitch(services.home).requested(), orders)
                if now == self._seen:
                    return False
                self._seen = now
            result = services.order_executor.carry_out(self._name, at)
            problems += result.problems
        for problem in result.problems:
            LOG.warning("%s", problem)
        if result.problems:
            self._seen = None
        self._alert(services)
        return bool(result.unknown)

    def reconcile(self) -> None:
        services = self._current()
        with self._noting(RECONCILIATION):
            services.journal.opened_at(self._name)  # NotStored before the venue is asked
            found = services.reconciler.reconcile(self._name, services.clock().at)
        for each in found.booked:
            LOG.info("booked %s %s: %s", each.amount, each.asset, each.cause)
        for difference in found.differences:
            LOG.error("%s %s: %s", difference.kind, difference.subject, difference.note)
        self._alert(services)

    @contextmanager
    def _noting(self, work: str) -> Iterator[list[str]]:
        """Note the problems that the block adds, and the error that ends it."""
        problems: list[str] = []
        try:
            yield problems
        except NotStored:
            raise  # the account has not opened yet
        except Exception as error:
            self.note(work, [f"{type(error).__name__}: {error}"])
            raise
        self.note(work, problems)

    def _current(self) -> Services:
        if self._services is None:
            self._use(self.build())
        elif self.monotonic() - self._checked > SETTINGS_SECONDS:
            self._checked = self.monotonic()
            if load_settings() != self._services.settings or not self._services.trades_still():
                self._use(self.build())
        assert self._services is not None
        return self._services

    def _use(self, services: Services) -> None:
        self._services, self._name, self._seen = services, services.account.name, None
        self._checked = self.monotonic()
        LOG.info("keeping account %s", self._name)

    def _alert(self, services: Services) -> None:
        """Say each halt that needs a person once, at the level of an error."""
        for halt in services.journal.halts(self._name):
            key = (halt.kind.value, halt.since)
            if halt.kind in ALERTS and halt.needs_resume and key not in self._alerted:
                self._alerted.add(key)
                LOG.error("account %s is halted, %s: %s", self._name, halt.kind.value, halt.reason)


def main() -> int:
    """Keep the account of the settings until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    stop, alerts, dsn = threading.Event(), AlertWorkers(), os.environ[POSTGRES]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    looks = {
        "stream": StreamWatch().look,
        "clock": ClockWatch(partial(publish_alert, dsn, "clock")).look,
        "decisions": DecisionWatch().look,
        "real money": LiveWatch().look,
        "failed runs": FailedRuns(lambda: Services.current().failure_notes).look,
    }
    also = {
        "alerts": alerts.tend,
        "settings": SettingsWatch(dsn=dsn).look,
        "daemons": DaemonWatch(DaemonReports().newest, partial(publish_alert, dsn, "daemons")).look,
        **{what: every(LOOK_SECONDS, look) for what, look in looks.items()},
    }
    build_keeper(dsn, stop, also).run()
    alerts.stop()
    return 0


def build_keeper(dsn: str, stop: threading.Event, also: Mapping[str, Callable[[], None]]) -> Keeper:
    """Build the keeper of the settings' account, which tells people of what it cannot do."""
    problems = StandingProblems(partial(publish_alert, dsn, "account", about=""))
    account = Account(note=problems.note)
    return Keeper(account.carry_out, account.reconcile, stop, also=also)


if __name__ == "__main__":
    sys.exit(main())
