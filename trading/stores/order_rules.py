"""What becomes of an order: the one place where its next state is decided, whatever it is stored in."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import InvalidValue
from trading.orders import AT_VENUE, FINAL, TRANSITIONS, Fill, Order, OrderIntent, OrderKind, OrderStatus
from trading.portfolio import Position, cash_flows
from trading.portfolio.exact import exactly, trim_zeros
from trading.risk import Halt, HaltKind

LIVE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})  # known to rest at the venue
FILLED_UNSENT = "filled, though it was thought not to be at the venue"


def begun(intent: OrderIntent) -> Order:
    """Return the order of an intent that was just committed."""
    return Order(intent.intent_id, OrderStatus.INTENDED, "", intent.created_at, trigger=intent.trigger)


def check_order(intent: OrderIntent, order: Order) -> None:
    """Raise InvalidValue when the order is not the intent's, or the intent asks for what no venue could do."""
    if order.intent_id != intent.intent_id:
        raise InvalidValue(f"order {order.intent_id} is not the one of intent {intent.intent_id}")
    if order.status in (OrderStatus.SENT, OrderStatus.UNKNOWN):
        raise InvalidValue(
            f"order {order.intent_id} cannot begin as {order.status.value}: add it, then send it"
        )
    check_intent(intent)


def check_intent(intent: OrderIntent) -> None:
    amounts = {"quantity": intent.quantity}
    amounts |= {} if intent.trigger is None else {"trigger": intent.trigger}
    for name, amount in amounts.items():
        if not (amount.is_finite() and amount > 0):
            raise InvalidValue(f"intent {intent.intent_id}: {name} {amount} must be above zero")
    if intent.converts and intent.reduces:
        raise InvalidValue(
            f"intent {intent.intent_id}: a conversion belongs to no position that it could reduce"
        )
    if intent.trigger is not None and not intent.reduces:
        raise InvalidValue(f"intent {intent.intent_id}: a stop closes a position, so it must reduce")
    if intent.invalidations and intent.kind is not OrderKind.ENTRY:
        raise InvalidValue(f"intent {intent.intent_id}: only an entry opens what an invalidation could close")


def followed(intent: OrderIntent, known: Order, reported: Order, filled: Decimal) -> list[Order]:
    """Return the states that follow when the venue reports `reported` and `filled` is booked; empty: none changes.

    A late or impossible report changes nothing but what fills are proof of.
    """
    steps = []
    now = replace(known, filled=filled)
    if known.status is OrderStatus.INTENDED and filled > 0:
        now = replace(now, status=OrderStatus.UNKNOWN, reason=FILLED_UNSENT, updated_at=reported.updated_at)
        steps.append(now)
    taken = _may_follow(now, reported)
    status = _confirmed(intent, now, reported.status if taken else now.status)
    if taken or status is not now.status:
        now = replace(
            now,
            status=status,
            reason=reported.reason if taken else now.reason,
            updated_at=reported.updated_at,
            venue_order_id=reported.venue_order_id or now.venue_order_id,
        )
    return [*steps, now] if now != (steps[-1] if steps else known) else steps


def _may_follow(now: Order, reported: Order) -> bool:
    """Return whether the report is believed. No report sends an order, or loses one that was never sent."""
    if now.status in FINAL or reported.attempt != now.attempt or reported.status is OrderStatus.SENT:
        return False
    lost_unsent = now.status is OrderStatus.INTENDED and reported.status is OrderStatus.UNKNOWN
    return reported.status in TRANSITIONS[now.status] and not lost_unsent


def _confirmed(intent: OrderIntent, now: Order, status: OrderStatus) -> OrderStatus:
    """Return the state as the booked fills confirm it: FILLED only once they add up, nothing unsent with fills."""
    whole = now.filled >= intent.quantity
    if now.status in FINAL:
        return now.status
    if status is OrderStatus.INTENDED and now.cancel_reason and not now.filled:
        return OrderStatus.CANCELLED
    if status in AT_VENUE | {OrderStatus.FILLED} and whole:
        return OrderStatus.FILLED
    if status is OrderStatus.FILLED or status in LIVE:
        return OrderStatus.PARTLY_FILLED if now.filled else OrderStatus.ACKNOWLEDGED
    if now.filled and status is OrderStatus.INTENDED:
        return OrderStatus.FILLED if whole else OrderStatus.UNKNOWN
    if now.filled and status is OrderStatus.REJECTED:
        return OrderStatus.CANCELLED  # what was not filled never will be
    return status


def sent(intent: OrderIntent, order: Order, at: datetime, sent_at: datetime, void_after: datetime) -> Order:
    """Return the order as it is about to be sent once more."""
    return replace(
        order,
        status=OrderStatus.SENT,
        reason="",
        updated_at=at,
        attempt=order.attempt + 1,
        sent_at=sent_at,
        void_after=void_after,
        working_since=at if intent.kind is OrderKind.STOP else None,
    )


def reason_not_to_send(intent: OrderIntent, order: Order, halts: Iterable[Halt], at: datetime) -> str:
    """Return why the order is cancelled instead of sent; empty when it may go."""
    if order.cancel_reason:
        return order.cancel_reason
    if intent.reduces:
        return ""
    return next(
        (f"only closing goes on during a halt: {each.kind.value}" for each in halts if each.binds(at)), ""
    )


def check_reduction(
    intent: OrderIntent, remaining: Decimal, position: Position | None, others: Decimal
) -> None:
    """Raise InvalidValue when the order could sell or buy more than is held; `others` may be executed too."""
    held = Decimal(0) if position is None else -intent.side.sign * position.quantity
    if others + remaining > max(held, Decimal(0)):
        raise InvalidValue(
            f"order {intent.intent_id} would {intent.side.value} {remaining:f} {intent.pair} to close a position "
            f"of {held:f}, and {others:f} may be on its way already"
        )


def to_cancel(order: Order, reason: str, at: datetime) -> Order:
    """Return the order once its cancellation is asked for; the first reason stays."""
    if order.status is OrderStatus.INTENDED:
        return replace(
            order, status=OrderStatus.CANCELLED, reason=reason, updated_at=at, cancel_reason=reason
        )
    if order.status in FINAL or order.cancel_reason:
        return order
    return replace(order, cancel_reason=reason, updated_at=at)


def amended(intent: OrderIntent, order: Order, trigger: Decimal, at: datetime) -> Order:
    """Return the stop with its new trigger; one that does not rest at the venue stays as it is."""
    if intent.kind is not OrderKind.STOP:
        raise InvalidValue(f"order {order.intent_id} is no stop: it has no trigger to move")
    if not (trigger.is_finite() and trigger > 0):
        raise InvalidValue(f"order {order.intent_id}: trigger {trigger} must be above zero")
    if order.status not in LIVE or trigger == order.trigger:
        return order
    return replace(order, trigger=trigger, working_since=at, updated_at=at)


def lowered_assets(fills: Iterable[Fill]) -> set[str]:
    """Return the assets of which the fills together left less."""
    totals: dict[str, Decimal] = {}
    with exactly():
        for fill in fills:
            for asset, amount in cash_flows(fill).items():
                totals[asset] = totals.get(asset, Decimal(0)) + amount
    return {asset for asset, amount in totals.items() if amount < 0}


def surprises(
    intent: OrderIntent,
    filled: Decimal,
    excess: Decimal,
    balances: Mapping[str, Decimal],
    lowered: Collection[str],
) -> list[str]:
    """Say what is wrong with an account after new fills of the order; empty when nothing is."""
    words = []
    if excess > 0:
        words.append(f"{trim_zeros(excess):f} {intent.pair.base} more was closed than the position had")
    if filled > intent.quantity:
        words.append(f"{trim_zeros(filled):f} was filled of an order over {trim_zeros(intent.quantity):f}")
    below = ((asset, balances[asset]) for asset in sorted(lowered) if balances[asset] < 0)
    return words + [f"the balance fell to {trim_zeros(amount):f} {asset}" for asset, amount in below]


def surprise_halt(intent: OrderIntent, words: Iterable[str], since: datetime) -> Halt:
    """Return the halt that begins with them, until a person looks."""
    reason = f"order {intent.intent_id} of {intent.pair}: {'; '.join(words)}"
    return Halt(HaltKind.RECONCILIATION, since, None, reason)


def begun_anew(halt: Halt, known: Iterable[Halt]) -> Halt:
    """Return the halt as it is to be stored. A pause is never one that a person has ended already.

    An account's clock may stand still: then the pause begins the smallest step after the one that was ended.
    """
    ended = {each.since for each in known if each.kind is halt.kind and each.resume}
    since = halt.since
    while halt.until is None and since in ended:
        since += timedelta.resolution
    return replace(halt, since=since)
