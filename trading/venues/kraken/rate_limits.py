"""Kraken's published rate limits: calls add to a counter, time takes away from it, above a maximum it refuses.

REST counter: docs.kraken.com/exchange/guides/rest/ratelimits. Trading engine, one counter per pair:
docs.kraken.com/exchange/guides/general/ratelimits. Maxima and decays by tier: support.kraken.com 360045239571.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from trading.errors import InvalidValue
from trading.orders import Purpose

HEADROOM = 1.0  # Kraken counts when a call arrives and takes away in steps: the last point is not spent
RESERVE = 1 / 3  # share of every counter's maximum that only exits and protective stops may spend


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The maximum of one counter, and how fast the counter goes down."""

    maximum: float
    decay: float  # per second

    def __post_init__(self) -> None:
        if not (0 < self.maximum < float("inf") and 0 < self.decay < float("inf")):
            raise InvalidValue(f"a counter up to {self.maximum}, less {self.decay} a second, limits nothing")

    def ceiling(self, purpose: Purpose, cost: float) -> float:
        """Return how high a call of this cost may raise the counter; never so low that the call could never be made."""
        reserved = 0.0 if purpose.has_reserve else RESERVE * self.maximum
        return max(self.maximum - HEADROOM - reserved, cost)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The rate limits of one account."""

    calls: RateLimit  # private calls, those about orders excepted
    orders: RateLimit  # of one pair, at the trading engine


class Tier(Enum):
    """How far Kraken has verified the account."""

    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"

    @property
    def allowance(self) -> Allowance:
        return _ALLOWANCES[self]


_ALLOWANCES = {
    Tier.STARTER: Allowance(RateLimit(15, 0.33), RateLimit(60, 1.0)),
    Tier.INTERMEDIATE: Allowance(RateLimit(20, 0.5), RateLimit(125, 2.34)),
    Tier.PRO: Allowance(RateLimit(20, 1.0), RateLimit(180, 3.75)),
}

PUBLIC_LIMIT = RateLimit(4, 1.0)  # not published; about one call a second is accepted for long
# Kraken bans an address for ten minutes after about 150 connections in ten minutes. Of these the streams of market
# data take up to 120, which they count by themselves; this leaves 26 to the orders of one machine.
CONNECTION_LIMIT = RateLimit(12, 0.025)
CALL_COST = 1.0
HISTORY_COST = 2.0  # ledgers, trades, closed orders


class OrderAction(StrEnum):
    """A call that the trading engine counts."""

    ADD = "add"
    AMEND = "amend"
    EDIT = "edit"
    CANCEL = "cancel"


_BASE_COST = {OrderAction.ADD: 1, OrderAction.AMEND: 1, OrderAction.EDIT: 1, OrderAction.CANCEL: 0}
_COST_BY_AGE: dict[OrderAction, tuple[tuple[float, int], ...]] = {  # order younger than (seconds), extra cost
    OrderAction.ADD: (),
    OrderAction.AMEND: ((5, 3), (10, 2), (15, 1)),
    OrderAction.EDIT: ((5, 6), (10, 5), (15, 4), (45, 2), (90, 1)),
    OrderAction.CANCEL: ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1)),
}


def order_cost(action: OrderAction, age: float) -> float:
    """Return what the action costs; `age` of the order in seconds: 0, the dearest, where it is not known."""
    extra = next((cost for bound, cost in _COST_BY_AGE[action] if age < bound), 0)
    return float(_BASE_COST[action] + extra)
