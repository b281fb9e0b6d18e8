"""Rate limits: Kraken's counters for orders (per pair), private calls and public calls, in server time.

Figures: docs.kraken.com/api/docs/guides/spot-ratelimits, spot-rest-ratelimits and support article 360045239571.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from streaming.sandbox.model import Refused
from trading.market import Pair

OrderCall = Literal["add", "amend", "edit", "cancel"]

# What a call costs at once, and what it costs on top while the order is younger than so many seconds.
FIXED: dict[OrderCall, int] = {"add": 1, "amend": 1, "edit": 1, "cancel": 0}
YOUNG: dict[OrderCall, tuple[tuple[float, int], ...]] = {
    "add": (),
    "amend": ((5, 3), (10, 2), (15, 1)),
    "edit": ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1)),
    "cancel": ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)),
}
FORGOTTEN_AT = 1000  # callers remembered before those whose counter is back at zero are dropped


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A counter that may rise to `maximum` and falls by `decay` each second."""

    maximum: float
    decay: float


@dataclass(frozen=True, slots=True)
class RateTier:
    name: str
    orders: RateLimit  # per account and pair, shared by REST and WebSocket
    private: RateLimit  # REST, per account


STARTER = RateTier("starter", RateLimit(60, 1), RateLimit(15, 0.33))
INTERMEDIATE = RateTier("intermediate", RateLimit(125, 2.34), RateLimit(20, 0.5))
PRO = RateTier("pro", RateLimit(180, 3.75), RateLimit(20, 1))
TIERS = {tier.name: tier for tier in (STARTER, INTERMEDIATE, PRO)}
GENEROUS = RateLimit(300, 60)  # public calls of one address; the real venue bears about one each second


def order_call_cost(call: OrderCall, age_seconds: float) -> int:
    """Return what a call adds to its pair's counter; `age_seconds` since the order was made or amended."""
    return FIXED[call] + next((extra for limit, extra in YOUNG[call] if age_seconds < limit), 0)


class RateCounters:
    """One counter per caller, all with the same allowance."""

    def __init__(self, allowance: RateLimit, server: Callable[[], float]) -> None:
        self._allowance = allowance
        self._server = server
        self._counted: dict[object, tuple[float, float]] = {}  # value and when it was that

    def value(self, caller: object) -> float:
        value, since = self._counted.get(caller, (0.0, 0.0))
        # A clock that is set back must not lock anybody out, nor forgive anything.
        return max(0.0, value - self._allowance.decay * max(0.0, self._server() - since))

    def take(self, caller: object, cost: float) -> bool:
        """Count `cost`, or refuse, counting nothing, when the counter would rise above its maximum."""
        if self.value(caller) + cost > self._allowance.maximum:
            return False
        self.add(caller, cost)
        return True

    def add(self, caller: object, cost: float) -> None:
        """Count `cost`, whatever the maximum is."""
        self._counted[caller] = (self.value(caller) + cost, self._server())
        if len(self._counted) > FORGOTTEN_AT:
            self._counted = {known: self._counted[known] for known in self._busy()}

    def _busy(self) -> Iterator[object]:
        return (caller for caller in list(self._counted) if self.value(caller) > 0)


class Rates:
    """Every counter of the exchange. Refused carries Kraken's words."""

    def __init__(self, tier: RateTier, server: Callable[[], float], public: RateLimit = GENEROUS) -> None:
        self._tier = tier
        self._orders = RateCounters(tier.orders, server)
        self._private = RateCounters(tier.private, server)
        self._public = RateCounters(public, server)

    @property
    def maximum(self) -> int:
        """Maximum of an account's counter of one pair: `maxratecount`."""
        return int(self._tier.orders.maximum)

    def counter(self, account: str, pair: Pair) -> float:
        return self._orders.value((account, pair))

    def order(self, account: str, pair: Pair, call: OrderCall, age_seconds: float = 0.0) -> None:
        """Count a call of the trading engine, before anything else is checked: a bad order costs as much."""
        if not self._orders.take((account, pair), order_call_cost(call, age_seconds)):
            raise Refused("EOrder:Rate limit exceeded")

    def charge(self, account: str, pair: Pair, call: OrderCall, age_seconds: float) -> None:
        """Count what has happened already: nothing is refused, though the counter may rise above its maximum."""
        self._orders.add((account, pair), order_call_cost(call, age_seconds))

    def batch(self, account: str, pair: Pair, orders: int) -> None:
        """Count orders that arrive together: half of what they cost one by one."""
        if not self._orders.take((account, pair), orders * FIXED["add"] / 2):
            raise Refused("EOrder:Rate limit exceeded")

    def rest(self, account: str, cost: float = 1) -> None:
        if not self._private.take(account, cost):
            raise Refused("EAPI:Rate limit exceeded")

    def public(self, address: str) -> None:
        if not self._public.take(address, 1):
            raise Refused("EGeneral:Too many requests")
