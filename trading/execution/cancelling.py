"""Takes orders off the venue."""

from collections.abc import Collection

from trading.errors import MarketloomError
from trading.execution.checkpoints import Checkpoint
from trading.execution.work import Work
from trading.market import Pair
from trading.orders import OrderKind, WorkingOrder
from trading.risk import Halt, HaltKind

OPENING = (OrderKind.ENTRY, OrderKind.CONVERSION)  # what a halt stops


def request_cancels(work: Work, reason: str, pairs: Collection[Pair] | None = None) -> None:
    """Note that every order (of `pairs`; None: all) which could open or grow something must leave."""
    for each in work.orders().working:
        wanted = pairs is None or each.intent.pair in pairs
        if wanted and each.intent.kind in OPENING and not each.order.cancel_reason:
            work.request_cancel(each.intent.intent_id, reason)


def stop_entries(work: Work) -> None:
    """Begin a halt where a kill was asked for; whatever halts the account takes its entries away."""
    killed = work.kill_requested()
    active = [each for each in work.journal.halts(work.account) if each.binds(work.at)]
    if killed and all(each.kind is not HaltKind.KILL_SWITCH for each in active):
        active.append(Halt(HaltKind.KILL_SWITCH, work.at, None, killed))
        work.journal.begin_halts(work.account, active[-1:])
    if active:
        request_cancels(work, f"trading is halted: {active[0].kind.value}")


def cancel(work: Work, working: WorkingOrder) -> bool:
    """Ask the venue; what became of the order, a look-up says. False, with a problem, when it was not reached."""
    intent = working.intent
    subject = f"cancel {intent.intent_id}"
    work.checkpoint(Checkpoint.BEFORE_CANCEL)
    try:
        work.venue.cancel(working)
    except MarketloomError as error:
        work.notes.problem(
            subject,
            f"{intent.kind.value} {intent.pair} could not be cancelled: {type(error).__name__}: {error}",
        )
        return False
    work.checkpoint(Checkpoint.CANCELLED)
    work.notes.solved(subject)
    return True
