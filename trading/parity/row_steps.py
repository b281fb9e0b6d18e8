"""What turns the rows of a back-test into those of the live day, short of its protection and its prices."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from trading.backtest import LEAVE_LONG, LEAVE_SHORT
from trading.orders import OrderIntent, Side
from trading.parity.day import PairDay
from trading.parity.live_orders import LiveOrder, Origin
from trading.parity.walk import Row, order_target


def force_exits(rows: Sequence[Row], day: PairDay, orders: Iterable[LiveOrder]) -> list[Row]:
    """Leave where a kill, a person or a lack of protection has closed, at the open of that candle."""
    changed = list(rows)
    for order in orders:
        if order.origin is Origin.FORCED and order.fills:
            _leave(changed, order.first_candle(day) - 1, order)
    return changed


def follow_persons(rows: Sequence[Row], day: PairDay, orders: Iterable[LiveOrder]) -> list[Row]:
    """Enter and leave where an order that a person has approved was filled, at the open of that candle.

    A row has one entry: where a decision has ordered one in that candle, it stays, and the person's is its own cause.
    """
    changed = list(rows)
    for order in orders:
        if order.origin is not Origin.PERSON or not order.fills:
            continue
        before = order.first_candle(day) - 1
        if order.is_entry and changed[before].quantity is None:
            entry = _row_of(order.intent)
            changed[before] = replace(entry, leaves=changed[before].leaves, quantity=order.filled)
        elif not order.is_entry:
            _leave(changed, before, order)
    return changed


def leave_out_unfilled(rows: Sequence[Row], orders: Iterable[LiveOrder]) -> list[Row]:
    """Take away what was ordered and never filled, all of it or the part of an entry."""
    changed = list(rows)
    for order in orders:
        if order.origin is not Origin.DECISION or order.decided is None:
            continue
        row = changed[order.decided]
        if not order.fills:
            changed[order.decided] = _without(row, order)
        elif order.is_entry and row.quantity is not None and order.filled < row.quantity:
            changed[order.decided] = replace(row, quantity=order.filled)
    return changed


def move_late(
    rows: Sequence[Row], day: PairDay, orders: Iterable[LiveOrder], waiting: Iterable[int]
) -> list[Row]:
    """Move what was filled in a later candle than the next one to where it was; enter nothing after those `waiting`."""
    changed = list(rows)
    for candle in waiting:
        changed[candle] = _without_entry(changed[candle])
    for order in late(day, orders):
        filled, decided = order.first_candle(day), order.decided
        row = rows[decided] if decided is not None else _row_of(order.intent)
        if decided is not None:
            changed[decided] = _without(changed[decided], order)
        if order.is_entry:
            quantity = order.filled if row.quantity is None else row.quantity
            changed[filled - 1] = replace(row, leaves=changed[filled - 1].leaves, quantity=quantity)
        else:
            _leave(changed, filled - 1, order)
    return changed


def late(day: PairDay, orders: Iterable[LiveOrder]) -> list[LiveOrder]:
    """Return what was decided on one candle and first filled in a later one than the next."""
    return [
        each
        for each in orders
        if each.fills
        and each.origin in (Origin.DECISION, Origin.EARLIER)
        and each.decided != each.first_candle(day) - 1
    ]


def closed_side(order: LiveOrder) -> int:
    """Return the side that an exit leaves."""
    return LEAVE_LONG if order.intent.side is Side.SELL else LEAVE_SHORT


def _leave(rows: list[Row], candle: int, order: LiveOrder) -> None:
    rows[candle] = replace(rows[candle], leaves=rows[candle].leaves | closed_side(order))


def _without(row: Row, order: LiveOrder) -> Row:
    return _without_entry(row) if order.is_entry else replace(row, leaves=row.leaves & ~closed_side(order))


def _without_entry(row: Row) -> Row:
    return Row(leaves=row.leaves)


def _row_of(intent: OrderIntent) -> Row:
    """Return the row of an entry that no candle of the day has decided."""

    def distance(level: object) -> float:
        if level is None or intent.entry_price is None:
            return math.nan
        return abs(float(level) / float(intent.entry_price) - 1.0)  # type: ignore[arg-type]

    return Row(order_target(intent.side.sign, 0.0), distance(intent.stop_loss), distance(intent.take_profit))
