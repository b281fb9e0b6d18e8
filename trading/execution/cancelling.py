"""Takes orders off the venue."""

from collections.abc import Collection

from trading.errors import MarketloomError
from trading.execution.checkpoints import Checkpoint
from trading.execution.work import Work
from trading.market import Pair
from trading.orders import OPENING, WorkingOrder
from trading.risk import Halt, HaltKind


def request_cancels(work: Work, reason: str, pairs: Collection[Pair] | None = None) -> bool:
    """Note that every order (of `pairs`; None: all) which could open or grow something must leave.

    True where one was not to leave before.
    """
    staying = [
        each
        for each in work.orders().working
        if (pairs is None or each.intent.pair in pairs)
        and each.intent.kind in OPENING
        and not each.order.cancel_reason
    ]
    for each in staying:
        work.request_cancel(each.intent.intent_id, reason)
    return bool(staying)


def stop_entries(work: Work) -> None:
    """Begin a halt where a kill was asked for; whatever halts the account, or forbids entries, takes them away."""
    killed = work.kill_requested()
    active = [each for each in work.journal.halts(work.account) if each.binds(work.at)]
    if killed and all(each.kind is not HaltKind.KILL_SWITCH for each in active):
        active.append(Halt(HaltKind.KILL_SWITCH, work.at, None, killed))
        work.journal.begin_halts(work.account, active[-1:])
    if active:
        request_cancels(work, f"trading is halted: {active[0].kind.value}")
    elif refused := work.entries_refused():
        request_cancels(work, f"nothing may be opened any more: {refused}")


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
