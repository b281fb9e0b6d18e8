"""Repeats the doctor's look at an account with real money, and tells a person of every change of what may trade."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestration.commands.doctor_live import blocking, check_account, examine_account
from orchestration.commands.findings import Finding
from orchestration.commands.keeper_alerts import publish_alert
from orchestration.live import LiveNote
from orchestration.services import Services
from trading.errors import MarketloomError, NotAuthorised

LOG = logging.getLogger("marketloom.live")
EXAMINE_SECONDS = 300.0  # a third of the time after which the last examination counts no more
BLOCKED_SECONDS = 60.0  # the same, while something blocks


@dataclass
class LiveWatch:
    """Looks where real money is asked for or in the market; elsewhere it does nothing."""

    build: Callable[[], Services] = Services.current
    examine: Callable[[Services], list[Finding]] = examine_account
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _examine_at: float = -math.inf
    _examining: threading.Thread | None = None
    _told: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Look. StoreUnreachable while PostgreSQL is away."""
        now = self.monotonic()
        services = self.build()
        if services.live_gate.is_asked_for or services.traded.venue == "kraken":
            self._examine_when_due(services, now)
        self._tell(services, services.live_gate.notes(services.traded))

    def _examine_when_due(self, services: Services, now: float) -> None:
        """Examine in a thread: a dozen questions to the exchange may have to wait for their turn."""
        if now < self._examine_at or (self._examining is not None and self._examining.is_alive()):
            return
        try:
            services.live_gate.key_account()
        except NotAuthorised:
            return  # the notes say so
        self._examine_at = now + EXAMINE_SECONDS
        self._examining = threading.Thread(target=self._examine, args=(services,), name="doctor", daemon=True)
        self._examining.start()

    def _examine(self, services: Services) -> None:
        try:
            found = blocking(check_account(services, self.examine, self.sleep))
        except MarketloomError as error:
            found = [str(error)]
        if found:
            LOG.warning("the account is not ready for real money: %s", "; ".join(found))
            self._examine_at = self.monotonic() + BLOCKED_SECONDS

    def _tell(self, services: Services, notes: list[LiveNote]) -> None:
        """Publish what was not so at the last look."""
        for each in notes:
            if each.key not in self._told:
                publish_alert(services.dsn, "real money", each.severity, each.text)
        self._told = {each.key for each in notes}
