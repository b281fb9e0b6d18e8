"""Kraken's rate counters as arithmetic: calls add to a counter, time takes away from it, above a maximum it refuses.

REST counter: docs.kraken.com/exchange/guides/rest/ratelimits. Trading engine, one counter per pair:
docs.kraken.com/exchange/guides/general/ratelimits. Maxima and decays by tier: support.kraken.com 360045239571.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from trading.errors import InvalidValue

NOISE = 1e-6  # below a microsecond nobody waits: what is left of a wait after rounding


@dataclass(frozen=True, slots=True)
class Limit:
    maximum: float
    decay: float  # per second

    def __post_init__(self) -> None:
        if not (0 < self.maximum < float("inf") and 0 < self.decay < float("inf")):
            raise InvalidValue(f"a counter up to {self.maximum}, less {self.decay} a second, limits nothing")


@dataclass(frozen=True, slots=True)
class Counter:
    """`level` as it was `at` some second since 1970."""

    level: float = 0.0
    at: float = 0.0


def level(counter: Counter, limit: Limit, now: float) -> float:
    """A clock that went back takes nothing away, until something is charged on it."""
    return max(0.0, counter.level - limit.decay * max(0.0, now - counter.at))


def delay(counter: Counter, limit: Limit, cost: float, now: float) -> float:
    """Seconds until `cost` fits under the maximum. InvalidValue for a cost that never does."""
    if cost > limit.maximum:
        raise InvalidValue(f"a call that costs {cost} never fits under {limit.maximum}")
    seconds = (level(counter, limit, now) + cost - limit.maximum) / limit.decay
    return seconds if seconds > NOISE else 0.0


def charged(counter: Counter, limit: Limit, cost: float, now: float) -> Counter:
    return Counter(level(counter, limit, now) + cost, now)


def exhausted(limit: Limit, now: float) -> Counter:
    """The venue says that it is full, whatever was counted here."""
    return Counter(limit.maximum, now)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one account may ask for."""

    calls: Limit  # private calls, those about orders excepted
    orders: Limit  # of one pair, at the trading engine


class Tier(Enum):
    """How far Kraken has verified the account."""

    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"

    @property
    def allowance(self) -> Allowance:
        return _ALLOWED[self]


_ALLOWED = {
    Tier.STARTER: Allowance(Limit(15, 0.33), Limit(60, 1.0)),
    Tier.INTERMEDIATE: Allowance(Limit(20, 0.5), Limit(125, 2.34)),
    Tier.PRO: Allowance(Limit(20, 1.0), Limit(180, 3.75)),
}

PUBLIC = Limit(4, 1.0)  # not published; about one call a second is seen to be borne for long
CALL = 1.0
HISTORY = 2.0  # ledgers, trades, closed orders


class OrderAction(StrEnum):
    ADD = "add"
    AMEND = "amend"
    EDIT = "edit"
    CANCEL = "cancel"


_BASE = {OrderAction.ADD: 1, OrderAction.AMEND: 1, OrderAction.EDIT: 1, OrderAction.CANCEL: 0}
_BY_AGE: dict[OrderAction, tuple[tuple[float, int], ...]] = {  # seconds that the order is younger than, cost
    OrderAction.ADD: (),
    OrderAction.AMEND: ((5, 3), (10, 2), (15, 1)),
    OrderAction.EDIT: ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1)),
    OrderAction.CANCEL: ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)),
}


def order_cost(action: OrderAction, age: float) -> float:
    """`age` of the order in seconds; 0, the dearest, where it is not known."""
    extra = next((cost for bound, cost in _BY_AGE[action] if age < bound), 0)
    return float(_BASE[action] + extra)
