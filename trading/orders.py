"""Orders from intent to fill. Amounts are exact decimals; ids are deterministic, so a repeat is recognised."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from trading.market import Pair


class Side(StrEnum):
    """Buy or sell; the sign is that of the base asset."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class Purpose(StrEnum):
    """What a call to a venue is for: exits and protection have a share of the rate budget that nothing else spends."""

    ENTRY = "entry"
    EXIT = "exit"
    PROTECTION = "protection"  # a stop or target at the venue, also its change or cancellation
    LOOK_UP = "look-up"

    @property
    def has_reserve(self) -> bool:
        return self in (Purpose.EXIT, Purpose.PROTECTION)


class OrderStatus(StrEnum):
    """How far an intent has come."""

    PENDING = "pending"  # the intent is committed, the venue has not been asked or has not responded
    ACCEPTED = "accepted"  # live at the venue, nothing has been filled yet
    FILLED = "filled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # the venue was asked and did not respond: look it up before anything else


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """A market order that risk has approved, committed before the venue is asked.

    `stop_loss` and `take_profit` belong to the position that the order opens; both are None when it closes one.
    """

    intent_id: str  # also the client order id at the venue
    decision_id: str
    account: str
    pair: Pair
    side: Side
    quantity: Decimal  # base currency, a multiple of the instrument's increment
    reduces: bool  # closes a position; never opens or turns one
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime  # the decision's clock, not the machine's


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution that the venue reported."""

    fill_id: str
    intent_id: str
    account: str
    pair: Pair
    side: Side
    price: Decimal  # quote per base
    quantity: Decimal  # base currency
    fee: Decimal  # in `fee_asset`
    fee_asset: str
    filled_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """The state of one intent's order as the venue reports it."""

    intent_id: str
    status: OrderStatus
    reason: str  # readable; empty when filled
    updated_at: datetime


def round_down(amount: Decimal, increment: Decimal) -> Decimal:
    """Return the largest multiple of `increment` not above `amount` in size: never more than was allowed."""
    return (amount / increment).to_integral_value(ROUND_DOWN) * increment


def round_price(price: Decimal, increment: Decimal) -> Decimal:
    """Return the nearest multiple of `increment`."""
    return (price / increment).to_integral_value(ROUND_HALF_EVEN) * increment
