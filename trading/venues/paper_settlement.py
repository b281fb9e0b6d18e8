"""From the fills that the market allows to those that the account can pay, and what the venue says of each order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from trading.orders import Fill, OrderIntent, OrderStatus, WorkingOrder
from trading.portfolio import cash_flows
from trading.ports import VenueReport
from trading.venues.paper_orders import balance_refusal, cost_refusal, venue_order_id

WAITING = "waits for the next candle's open"


@dataclass
class Outcome:
    """One order: what is booked of it, what the market allows beside that, and where the account's money ended."""

    working: WorkingOrder
    booked: Sequence[Fill]
    possible: list[Fill]  # new ones, oldest first
    minimum_cost: Decimal = Decimal(0)
    waits_for: str = ""  # why nothing can be said of its market
    fills: list[Fill] = field(init=False)
    refusal: str = ""
    refused_at: datetime | None = None

    def __post_init__(self) -> None:
        self.fills = list(self.booked)

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))


def settle(outcomes: Sequence[Outcome], balances: Mapping[str, Decimal]) -> None:
    """Fill in the order of time, closing orders first, each fill only when the balances can pay it.

    What cannot be paid ends its order there: nothing more of it is filled.
    """
    left = dict(balances)
    steps = [(fill, outcome) for outcome in outcomes for fill in outcome.possible]
    for fill, outcome in sorted(steps, key=lambda step: _turn(*step)):
        if not outcome.refusal:
            _fill(fill, outcome, left)


def _turn(fill: Fill, outcome: Outcome) -> tuple[datetime, bool, datetime, str]:
    intent = outcome.working.intent
    return fill.filled_at, not intent.reduces, intent.created_at, intent.intent_id


def _fill(fill: Fill, outcome: Outcome, balances: dict[str, Decimal]) -> None:
    refusal = balance_refusal(fill, balances)
    if not outcome.fills and outcome.working.intent.trigger is None:
        refusal = cost_refusal(fill, outcome.working.intent, outcome.minimum_cost) or refusal
    if refusal:
        outcome.refusal, outcome.refused_at = refusal, fill.filled_at
        return
    outcome.fills.append(fill)
    for asset, change in cash_flows(fill).items():
        balances[asset] = balances.get(asset, Decimal(0)) + change


def report(outcome: Outcome, cancelled_at: datetime | None) -> VenueReport:
    """Say what became of the order; `cancelled_at`: since when it has left, None while it may be filled."""
    order, intent = outcome.working.order, outcome.working.intent
    status, reason, at = _state(outcome, cancelled_at)
    return VenueReport(
        venue_order_id=order.venue_order_id or venue_order_id(intent.intent_id),
        status=status,
        reason=reason,
        at=at,
        fills=tuple(outcome.fills),
        trigger=None if intent.trigger is None else order.trigger or intent.trigger,
    )


def _state(outcome: Outcome, cancelled_at: datetime | None) -> tuple[OrderStatus, str, datetime]:
    order, intent, fills = outcome.working.order, outcome.working.intent, outcome.fills
    part = f", after {outcome.filled:f} of {intent.quantity:f} {intent.pair.base}" if fills else ""
    if outcome.filled >= intent.quantity:
        return OrderStatus.FILLED, "", fills[-1].filled_at
    if outcome.refused_at is not None:
        status = OrderStatus.CANCELLED if fills else OrderStatus.REJECTED
        return status, outcome.refusal + part, outcome.refused_at
    if cancelled_at is not None:
        return OrderStatus.CANCELLED, f"cancelled: {order.cancel_reason}{part}", cancelled_at
    if fills:
        reason = f"{outcome.filled:f} of {intent.quantity:f} {intent.pair.base} are filled"
        return OrderStatus.PARTLY_FILLED, reason, fills[-1].filled_at
    return OrderStatus.ACKNOWLEDGED, outcome.waits_for or _wait(intent, order.trigger), order.updated_at


def _wait(intent: OrderIntent, trigger: Decimal | None) -> str:
    trigger = trigger or intent.trigger
    return WAITING if trigger is None else f"rests at {trigger:f}"


def final_report(working: WorkingOrder, booked: Sequence[Fill]) -> VenueReport:
    """Repeat what was said of an order that is over."""
    order = working.order
    return VenueReport(
        venue_order_id=order.venue_order_id or venue_order_id(order.intent_id),
        status=order.status,
        reason=order.reason,
        at=order.updated_at,
        fills=tuple(booked),
        trigger=order.trigger,
    )


def rejection(working: WorkingOrder, reason: str) -> VenueReport:
    """Say that the venue never took the order."""
    name = venue_order_id(working.intent.intent_id)
    return VenueReport(name, OrderStatus.REJECTED, reason, working.order.updated_at, ())
