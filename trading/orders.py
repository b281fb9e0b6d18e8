"""Orders from intent to fill. Amounts are exact decimals; ids are deterministic, so a repeat is recognised."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from types import MappingProxyType

from trading.invalidation import Invalidation
from trading.market import Pair

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://marketloom.dev/order")


class Side(StrEnum):
    """Buy or sell; the sign is that of the base asset."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderKind(StrEnum):
    """The part that an order has in the plan of a position."""

    ENTRY = "entry"  # opens or grows it
    EXIT = "exit"  # closes it at the market, now
    STOP = "stop"  # rests at the venue and closes it when the price touches the trigger
    CONVERSION = "conversion"  # belongs to no position: it turns one asset of the account into another


OPENING = (OrderKind.ENTRY, OrderKind.CONVERSION)  # what a halt stops


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

    INTENDED = "intended"  # committed; surely not at the venue: it was never sent, or the venue never took it
    SENT = "sent"  # committed as sent: until `void_after` the venue may take it
    ACKNOWLEDGED = "acknowledged"  # live at the venue, nothing has been filled yet
    PARTLY_FILLED = "partly filled"  # live at the venue
    FILLED = "filled"
    CANCELLED = "cancelled"  # what was not filled never will be
    REJECTED = "rejected"  # the venue refused it
    EXPIRED = "expired"  # too old to be placed, or its time at the venue ended
    UNKNOWN = "unknown"  # sent, and the answer is lost: look it up before anything else


FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
# It may be executed at any moment.
AT_VENUE = frozenset(
    {OrderStatus.SENT, OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED, OrderStatus.UNKNOWN}
)
# What becomes of an order that the venue took, once it was sent.
TAKEN = FINAL - {OrderStatus.REJECTED} | {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED}
_REPORTED = FINAL | {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED}
# INTENDED after SENT or UNKNOWN: the venue surely never took that attempt. UNKNOWN after INTENDED: a fill of it proves
# that it did. A final order changes by a late fill alone.
TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = MappingProxyType(
    {
        OrderStatus.INTENDED: FINAL - {OrderStatus.FILLED} | {OrderStatus.SENT, OrderStatus.UNKNOWN},
        OrderStatus.SENT: _REPORTED | {OrderStatus.UNKNOWN, OrderStatus.INTENDED},
        OrderStatus.UNKNOWN: _REPORTED | {OrderStatus.UNKNOWN, OrderStatus.INTENDED},
        OrderStatus.ACKNOWLEDGED: _REPORTED,
        OrderStatus.PARTLY_FILLED: FINAL | {OrderStatus.PARTLY_FILLED},
        **{final: frozenset({final}) for final in FINAL},
    }
)


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order that risk has approved, or that protects a position; committed before the venue is asked.

    `stop_loss`, `take_profit` and the trailing values belong to the position that an entry opens; None in others.
    They were counted from `entry_price`; a fill at another price moves them by the difference.
    """

    intent_id: str
    decision_id: str  # the decision that asked for it; of a stop: for the entry that it protects
    account: str
    pair: Pair
    side: Side
    quantity: Decimal  # base currency, a multiple of the instrument's increment
    reduces: bool  # closes a position; never opens or turns one
    stop_loss: Decimal | None
    take_profit: Decimal | None
    created_at: datetime  # the decision's clock, not the machine's
    entry_price: Decimal | None = None  # that the decision counted with
    trailing_after: Decimal | None = None  # once the price was there, the stop follows the best price ...
    trailing_distance: Decimal | None = None  # ... this far behind
    trigger: Decimal | None = None  # of a stop, as it was first placed; None for market orders
    converts: bool = False  # rebalances the account's assets: opens and closes no position
    invalidations: tuple[Invalidation, ...] = ()  # of the position that an entry opens

    @property
    def kind(self) -> OrderKind:
        if self.converts:
            return OrderKind.CONVERSION
        if not self.reduces:
            return OrderKind.ENTRY
        return OrderKind.EXIT if self.trigger is None else OrderKind.STOP

    @property
    def client_order_id(self) -> str:
        """Return the id that the venue is given, the same in every attempt."""
        return client_order_id(self.intent_id)


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
    """The state of one intent's order, as far as it is known."""

    intent_id: str
    status: OrderStatus
    reason: str  # for people; no code reads it
    updated_at: datetime
    attempt: int = 0  # how many times it was sent
    venue_order_id: str = ""  # empty while the venue has not named it
    sent_at: datetime | None = None  # the last attempt
    void_after: datetime | None = None  # the venue cannot take the last attempt later than this
    filled: Decimal = Decimal(0)  # base currency
    cancel_reason: str = ""  # why it must leave the venue; empty: it may stay
    trigger: Decimal | None = None  # of a stop: the present one, as amended last
    working_since: datetime | None = None  # of a stop: since when that trigger holds


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """An intent and the state of its order."""

    intent: OrderIntent
    order: Order

    @property
    def remaining(self) -> Decimal:
        """Return what may still be filled, in base currency; 0 once it is final."""
        return Decimal(0) if self.order.status in FINAL else self.intent.quantity - self.order.filled


@dataclass(frozen=True, slots=True)
class OrderChange:
    """One change of an order's state, and what caused it."""

    intent_id: str
    status: OrderStatus
    attempt: int
    cause: str
    at: datetime


def client_order_id(intent_id: str) -> str:
    """Return the intent's id at a venue: the id itself where it is a UUID, else a UUID that follows from it."""
    try:
        usable = str(uuid.UUID(intent_id)) == intent_id
    except ValueError:
        usable = False
    return intent_id if usable else str(uuid.uuid5(_NAMESPACE, intent_id))


def stop_id(parent_id: str, part: str) -> str:
    """Return the id of a stop that protects what the order `parent_id` bought; `part` tells several apart."""
    return str(uuid.uuid5(_NAMESPACE, f"{parent_id}|stop|{part}"))


def exit_id(account: str, pair: Pair, opened_at: datetime, number: int) -> str:
    """Return the id of an exit that no decision asked for: a position without protection, a kill, a person."""
    return str(uuid.uuid5(_NAMESPACE, f"{account}|{pair}|{opened_at.isoformat()}|exit|{number}"))


def round_down(amount: Decimal, increment: Decimal) -> Decimal:
    """Return the largest multiple of `increment` not above `amount` in size: never more than was allowed."""
    return (amount / increment).to_integral_value(ROUND_DOWN) * increment


def round_price(price: Decimal, increment: Decimal) -> Decimal:
    """Return the nearest multiple of `increment`."""
    return (price / increment).to_integral_value(ROUND_HALF_EVEN) * increment
