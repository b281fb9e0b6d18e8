"""Keeps a stop at the venue over everything that a position holds, at its present level; or closes the position."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from trading.execution.checkpoints import Checkpoint
from trading.execution.exits import (
    STOP_MISSING,
    STOP_REFUSED,
    is_dust,
    market_of,
    order_exit,
    was_refused_lately,
)
from trading.execution.sending import send
from trading.execution.stops import adopt, amend, clear, entries_of, place
from trading.execution.trailing import rests_elsewhere, stop_level, trail
from trading.execution.work import Orders, Work
from trading.market import Instrument, Pair
from trading.orders import OrderKind, OrderStatus, WorkingOrder, round_down
from trading.portfolio import Position
from trading.risk import Halt, HaltKind

LIVE = (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED)
LAST_PRICE_WITHIN = timedelta(days=1)


def protect(work: Work, pair: Pair) -> bool:
    """Do what the pair's position lacks; False while something is still missing or on its way."""
    position = work.journal.position(work.account, pair)
    orders = work.orders().of(pair)
    if position is None:
        return bool(orders.at_venue(OrderKind.ENTRY)) or clear(work, pair, "nothing is held")
    instrument = market_of(work, pair)
    if instrument is None:
        return False
    entries = _adopt_where_bare(work, position, instrument)
    if entries is None:
        return False
    trail(work, position, _resting(work.orders().of(pair)), instrument)
    now = work.journal.position(work.account, pair)
    if now is None:
        return True
    if now.quantity != position.quantity:  # a fill was booked meanwhile: its stop may be at the venue as well
        entries = _adopt_where_bare(work, now, instrument)
    return entries is not None and _cover(work, now, instrument, entries)


def _adopt_where_bare(work: Work, position: Position, instrument: Instrument) -> list[WorkingOrder] | None:
    """Enter the stops that came with a bare position's entries; return those, None while it is not known what came."""
    bare = work.orders().of(position.pair).covering < abs(position.quantity)
    if not bare or position.stop_loss is None or is_dust(position, instrument):
        return []
    entries = entries_of(work, position)
    return entries if adopt(work, entries) else None


def _cover(work: Work, position: Position, instrument: Instrument, entries: Sequence[WorkingOrder]) -> bool:
    """Place what is missing, take off what is too much, and move the rest to the present level."""
    subject = f"protection of {position.pair}"
    level = stop_level(position, instrument)
    orders = work.orders().of(position.pair)
    missing = abs(position.quantity) - orders.covering
    if missing < 0:
        return _drop_excess(work, orders, -missing)
    if level is None or (missing and is_dust(position, instrument)):
        work.notes.problem(subject, _why_bare(position))
        return True
    if not is_dust(replace(position, quantity=missing), instrument):
        missing = round_down(missing, instrument.quantity_increment)
        return _place_missing(work, position, missing, level, entries=entries)
    for each in orders.waiting(OrderKind.STOP):
        work.request_cancel(each.intent.intent_id, "everything is protected that can be")
    if missing:
        what = f"{missing:f} of {position.quantity:f} {position.pair}"
        work.notes.problem(subject, f"{what} has no stop: the venue takes no order that small")
    else:
        work.notes.solved(subject)
    return _move_all(work, position, level, instrument)


def _place_missing(
    work: Work,
    position: Position,
    missing: Decimal,
    level: Decimal,
    *,
    entries: Sequence[WorkingOrder],
) -> bool:
    """Place the stop that is missing, or close the position where that fails, or has failed for too long."""
    if was_refused_lately(work, position):
        return False
    waiting = work.orders().of(position.pair, OrderKind.STOP).waiting(OrderKind.STOP)
    same = [each for each in waiting if (each.intent.quantity, each.order.trigger) == (missing, level)]
    oldest = min(waiting, key=lambda each: each.intent.created_at, default=None)
    if oldest is not None and work.at - oldest.intent.created_at > work.rules.protected_within:
        return _give_up(work, position, f"{STOP_MISSING} {work.at - oldest.intent.created_at}")
    kept = same[0] if same else oldest
    for each in waiting:
        if each is not kept:
            work.request_cancel(each.intent.intent_id, "another stop waits for the same")
    order = (
        send(work, same[0])
        if same
        else place(work, position, missing, level, parents=entries, replaced=oldest)
    )
    if order.status is OrderStatus.REJECTED:
        passed = _has_passed(work, position, level)
        return _give_up(work, position, f"{STOP_REFUSED}: {order.reason}", halts=not passed)
    return order.status is OrderStatus.ACKNOWLEDGED


def _give_up(work: Work, position: Position, cause: str, halts: bool = True) -> bool:
    """Close what cannot be protected; with `halts`, nothing new is opened until a person has looked."""
    sentence = f"{position.quantity:f} {position.pair} is closed: {cause}"
    if halts:
        work.journal.begin_halts(work.account, [Halt(HaltKind.PROTECTION, work.at, None, sentence)])
    work.notes.problem(f"protection of {position.pair}", sentence)
    order_exit(work, position.pair, cause)
    work.checkpoint(Checkpoint.EXIT_ORDERED)
    return False


def _drop_excess(work: Work, orders: Orders, surplus: Decimal) -> bool:
    """Take off what is more than the position; a fill that is not booked yet may need it while an entry goes on."""
    if orders.at_venue(OrderKind.ENTRY):
        return False
    for stop in sorted(orders.at_venue(OrderKind.STOP), key=lambda each: each.remaining):
        if surplus > 0:
            surplus -= stop.remaining
            work.request_cancel(stop.intent.intent_id, "more rests at the venue than is held")
    return False


def _move_all(work: Work, position: Position, level: Decimal, instrument: Instrument) -> bool:
    """Move every stop to its level; one that the price has passed already cannot be: then the position is closed."""
    behind = [
        each
        for each in _resting(work.orders().of(position.pair))
        if each.order.status in LIVE and rests_elsewhere(work, each, level, instrument)
    ]
    moved = [amend(work, each, level, work.at) for each in behind]
    if all(moved):
        return True
    if _has_passed(work, position, level):
        return _give_up(work, position, f"the price has passed its stop at {level:f}", halts=False)
    return False


def _has_passed(work: Work, position: Position, level: Decimal) -> bool:
    """Return whether the last known close is beyond the level."""
    closes = work.candles(position.pair, work.at - LAST_PRICE_WITHIN, work.at)["close"]
    if closes.is_empty():
        return False
    sign = 1 if position.quantity > 0 else -1
    return bool(sign * Decimal(str(closes[-1])) <= sign * level)


def _resting(orders: Orders) -> list[WorkingOrder]:
    return [each for each in orders.at_venue(OrderKind.STOP) if not each.order.cancel_reason]


def _why_bare(position: Position) -> str:
    what = f"{position.quantity:f} {position.pair}"
    if position.stop_loss is None:
        return f"{what} has no stop: none was decided for it"
    return f"{what} is dust: the venue takes no order that small, so nothing protects it"
