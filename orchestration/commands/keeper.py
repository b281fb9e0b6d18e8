"""The account's keeper: `python -m orchestration.commands.keeper`, a child of `marketloom dev`.

Decisions come with candles. Between them somebody must go on with orders whose outcome is open, keep stops at the
venue, notice a kill switch, and compare the books. Every pass is one that any other process could make: safety does not
rest on this process, only promptness does.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.resources import Services
from trading.errors import MarketloomError, NotStored
from trading.orders import OrderStatus

LOG = logging.getLogger("marketloom.keeper")
PASS_SECONDS = 5.0
RECONCILE_SECONDS = 60.0


@dataclass
class Keeper:
    """Passes over one account until told to stop. An error is logged and the next pass comes all the same."""

    carry_out: Callable[[], bool]  # True: an order's outcome became unknown: the books must be compared soon
    reconcile: Callable[[], None]
    stop: threading.Event
    monotonic: Callable[[], float] = time.monotonic
    next_reconciliation: float = 0.0  # at once: a start is when most is unknown

    def run(self) -> None:
        while not self.stop.is_set():
            self.step()
            self.stop.wait(PASS_SECONDS)

    def step(self) -> None:
        """Carry out what waits, then compare the books where it is time."""
        if self._attempt("orders", self.carry_out):
            self.next_reconciliation = 0.0
        if self.monotonic() >= self.next_reconciliation:
            self.next_reconciliation = self.monotonic() + RECONCILE_SECONDS
            self._attempt("reconciliation", self.reconcile)

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


def main() -> int:
    """Keep the account of the settings until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    services = Services.current()
    account, executor, reconciler = services.account.name, services.order_executor, services.reconciler
    reader = services.input_reader

    def carry_out() -> bool:
        result = executor.carry_out(account, reader.now())
        for problem in result.problems:
            LOG.warning("%s", problem)
        return any(each.status is OrderStatus.UNKNOWN for each in result.orders)

    def reconcile() -> None:
        found = reconciler.reconcile(account, reader.now())
        for each in found.booked:
            LOG.info("booked %s %s: %s", each.amount, each.asset, each.cause)
        for difference in found.differences:
            LOG.error("%s %s: %s", difference.kind, difference.subject, difference.note)

    LOG.info("keeping account %s", account)
    Keeper(carry_out, reconcile, stop).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
