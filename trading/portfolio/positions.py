"""Positions as consequences of fills, and what a fill does to the balances. Exact in Decimal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, TypeVar

from trading.invalidation import Invalidation
from trading.market import Pair
from trading.orders import Fill, OrderIntent
from trading.portfolio.exact import divide, exactly

Value = TypeVar("Value", Decimal, datetime)


class Levels(TypedDict):
    """What a position has of its plan that moves with its price."""

    stop_loss: Decimal | None
    take_profit: Decimal | None
    trailing_after: Decimal | None


@dataclass(frozen=True, slots=True)
class Position:
    """The quantity that decisions have bought (above zero) or sold out of inventory (below zero) and not yet closed."""

    account: str
    pair: Pair
    quantity: Decimal  # base currency, signed, never zero
    entry_price: Decimal  # average, quote per base, fees apart
    stop_loss: Decimal | None
    take_profit: Decimal | None
    opened_at: datetime  # of the fill that opened it
    trailing_after: Decimal | None = None  # once the price was there, the stop follows the best price ...
    trailing_distance: Decimal | None = None  # ... this far behind
    best_price: Decimal | None = None  # the best that was seen since it opened; None: only its own fills
    checked_until: datetime | None = None  # close of the last candle that its levels were compared with
    exit_reason: str = ""  # why it must be closed; empty while nothing was touched
    stop_since: datetime | None = (
        None  # since when the stop has its level, where ticks moved it; None: candles did
    )
    invalidations: tuple[Invalidation, ...] = ()  # each closes it once it holds; no price moves them


def cash_flows(fill: Fill) -> dict[str, Decimal]:
    """Return what one fill adds to each asset's balance; the fee leaves in `fee_asset`."""
    with exactly():
        flows = {
            fill.pair.base: fill.side.sign * fill.quantity,
            fill.pair.quote: -fill.side.sign * fill.quantity * fill.price,
        }
        flows[fill.fee_asset] = flows.get(fill.fee_asset, Decimal(0)) - fill.fee
    return flows


def after_fill(
    position: Position | None, fill: Fill, intent: OrderIntent, earlier: Sequence[Fill] = ()
) -> Position | None:
    """Return the position once `fill` is in; None: there is none any more. `earlier`: the order's fills before it.

    An entry opens it or makes it grow at the average price, with its levels moved by as much as the order's average
    price differs from the one that they were counted from; what it has too much for an opposite position opens one.
    A reducing fill makes it shrink, to nothing at most: see `excess`. A conversion leaves it as it is.
    """
    with exactly():
        change = fill.side.sign * fill.quantity
        if intent.converts:
            return position
        if intent.reduces:
            left = fill.quantity - excess(position, fill, intent)
            return position and _shrunk(position, fill.side.sign * left)
        if position is None:
            return _open(change, fill, intent)
        if (change > 0) == (position.quantity > 0):
            return _grow(position, fill, intent, earlier)
        if abs(change) > abs(position.quantity):
            return _open(position.quantity + change, fill, intent)
        return _shrunk(position, change)


def excess(position: Position | None, fill: Fill, intent: OrderIntent) -> Decimal:
    """Return how much of a reducing fill no position was there for; 0 for others. It changes balances alone."""
    if not intent.reduces:
        return Decimal(0)
    with exactly():
        held = Decimal(0) if position is None else -fill.side.sign * position.quantity
        return max(fill.quantity - max(held, Decimal(0)), Decimal(0))


def with_protection(stored: Position, wanted: Position) -> Position:
    """Return the stored position with what another look at the same one found: nothing that is known gets lost.

    Whoever looks reads, compares and stores; two that do so at once have each seen something. A stop only gets closer,
    a best price only better, and a reason to close stays.
    """
    nearer = max if stored.quantity > 0 else min
    stop = _of(nearer, stored.stop_loss, wanted.stop_loss)
    return replace(
        wanted,
        entry_price=stored.entry_price,
        stop_loss=stop,
        stop_since=stored.stop_since if stop == stored.stop_loss else wanted.stop_since,
        best_price=_of(nearer, stored.best_price, wanted.best_price),
        checked_until=_of(max, stored.checked_until, wanted.checked_until),
        exit_reason=stored.exit_reason or wanted.exit_reason,
        invalidations=stored.invalidations,
    )


def _of(choose: Callable[[Value, Value], Value], first: Value | None, second: Value | None) -> Value | None:
    """Choose one of two; the other one where one is not known."""
    if first is None or second is None:
        return second if first is None else first
    return choose(first, second)


def _shrunk(position: Position, change: Decimal) -> Position | None:
    left = position.quantity + change
    return replace(position, quantity=left) if left else None


def _open(quantity: Decimal, fill: Fill, intent: OrderIntent) -> Position:
    return Position(
        account=fill.account,
        pair=fill.pair,
        quantity=quantity,
        entry_price=fill.price,
        opened_at=fill.filled_at,
        trailing_distance=intent.trailing_distance,
        invalidations=intent.invalidations,
        **_plan(intent, [fill]),
    )


def _grow(position: Position, fill: Fill, intent: OrderIntent, earlier: Sequence[Fill]) -> Position:
    """Grow at the average price. Prices from before another order set its levels count for none of them."""
    change = fill.side.sign * fill.quantity
    total = position.quantity + change
    cost = position.quantity * position.entry_price + change * fill.price
    grown = replace(position, quantity=total, entry_price=divide(cost, total))
    plan = _plan(intent, [*earlier, fill])
    if earlier:
        return replace(grown, **_moved(position, _plan(intent, earlier), plan))
    if plan == _levels(position) and intent.invalidations == position.invalidations:
        return grown
    return replace(
        grown,
        **plan,
        trailing_distance=intent.trailing_distance,
        opened_at=fill.filled_at,
        best_price=None,
        checked_until=None,
        exit_reason="",
        stop_since=None,
        invalidations=intent.invalidations,
    )


def _plan(intent: OrderIntent, fills: Sequence[Fill]) -> Levels:
    """Return the levels as the order's average price has moved them; where none was counted with, as they were."""
    shift = Decimal(0)
    if intent.entry_price is not None:
        quantity = sum((fill.quantity for fill in fills), Decimal(0))
        shift = divide(sum((fill.quantity * fill.price for fill in fills), Decimal(0)), quantity)
        shift -= intent.entry_price
    return {
        "stop_loss": None if intent.stop_loss is None else intent.stop_loss + shift,
        "take_profit": None if intent.take_profit is None else intent.take_profit + shift,
        "trailing_after": None if intent.trailing_after is None else intent.trailing_after + shift,
    }


def _levels(position: Position) -> Levels:
    return {
        "stop_loss": position.stop_loss,
        "take_profit": position.take_profit,
        "trailing_after": position.trailing_after,
    }


def _moved(position: Position, before: Levels, now: Levels) -> Levels:
    """Return the levels after another part of the same order. A stop that has trailed only gets closer."""
    stop, rebased = position.stop_loss, now["stop_loss"]
    if stop == before["stop_loss"]:
        stop = rebased
    elif stop is not None and rebased is not None:
        stop = max(stop, rebased) if position.quantity > 0 else min(stop, rebased)
    target, after = position.take_profit, position.trailing_after
    return {
        "stop_loss": stop,
        "take_profit": now["take_profit"] if target == before["take_profit"] else target,
        "trailing_after": now["trailing_after"] if after == before["trailing_after"] else after,
    }
