"""Moves the levels of a position with the candles; at a venue that lives by candles, its resting stop as well."""

from collections.abc import Sequence
from decimal import Decimal

import polars as pl

from trading.execution.checkpoints import Checkpoint
from trading.execution.refreshing import refresh
from trading.execution.stops import amend
from trading.execution.work import Work
from trading.market import Instrument
from trading.orders import OrderKind, WorkingOrder, round_price
from trading.portfolio import Position
from trading.risk.protection import advance, walk


def trail(work: Work, position: Position, resting: Sequence[WorkingOrder], instrument: Instrument) -> None:
    """Compare the position with the candles that it has not seen yet, and store what follows."""
    candles = work.candles(position.pair, position.checked_until or position.opened_at, work.at)
    if not work.rules.real_time and resting:
        _trail_by_candle(work, position, resting, instrument, candles)
    elif (moved := advance(position, candles, resting=bool(resting))) != position:
        work.journal.update_protection(moved)
        work.checkpoint(Checkpoint.TRAILED)


def _trail_by_candle(
    work: Work,
    position: Position,
    resting: Sequence[WorkingOrder],
    instrument: Instrument,
    candles: pl.DataFrame,
) -> None:
    """Let the venue fill what a candle filled, with the trigger that it had; then move the stop for the next one."""
    moved, stops = position, list(resting)
    for moved in walk(position, candles):
        level = stop_level(moved, instrument)
        if level is None or not any(rests_elsewhere(work, each, level, instrument) for each in stops):
            continue
        refresh(work, stops, moved.checked_until)
        if not work.journal.update_protection(moved):
            return  # the stop has closed it, or a part of it
        for stop in stops:
            amend(work, stop, level, moved.checked_until or work.at)
        stops = work.orders().of(position.pair, OrderKind.STOP).at_venue()
    refresh(work, stops, work.at)
    if moved != position:
        work.journal.update_protection(moved)
        work.checkpoint(Checkpoint.TRAILED)


def stop_level(position: Position, instrument: Instrument) -> Decimal | None:
    """Return the trigger that the position's stop should have now; None for a position without one."""
    if position.stop_loss is None:
        return None
    return round_price(position.stop_loss, instrument.price_increment)


def rests_elsewhere(work: Work, stop: WorkingOrder, level: Decimal, instrument: Instrument) -> bool:
    """Return whether the stop is to be moved: a tick or more away from its level, in the ledger or at the venue."""
    triggers = (stop.order.trigger, work.triggers.get(stop.intent.intent_id, stop.order.trigger))
    return any(each is None or abs(each - level) >= instrument.price_increment for each in triggers)
