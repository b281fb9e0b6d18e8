"""What there is to do now, most urgent first, as the ledger shows it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from trading.execution.cancelling import cancel
from trading.execution.entries import enter
from trading.execution.exits import leave
from trading.execution.protecting import protect
from trading.execution.refreshing import refresh
from trading.execution.work import Orders, Work
from trading.market import Pair
from trading.orders import OPENING, OrderKind, OrderStatus, WorkingOrder

UNDECIDED = (OrderStatus.SENT, OrderStatus.UNKNOWN)
REFRESH, EXIT, PROTECT = ("refresh", ""), "exit", "protect"


@dataclass(frozen=True, slots=True)
class Task:
    """One step, of which never two with the same key run at once."""

    key: tuple[str, str]  # its kind, and its pair or order
    act: Callable[[], bool]  # False: something is left to do
    pause: float = 0.1  # seconds until it is done again, where something is left; doubles
    on_news: bool = True  # it is done again at once when something else has changed


def exits(work: Work, orders: Orders) -> Iterator[Task]:
    """Yield one task per pair, so that they go out side by side."""
    for waiting in orders.waiting(OrderKind.EXIT):

        def act(waiting: WorkingOrder = waiting) -> bool:
            leave(work, waiting)
            return not work.orders().of(waiting.intent.pair).waiting(OrderKind.EXIT)

        yield Task((EXIT, str(waiting.intent.pair)), act)


def cancels(work: Work, orders: Orders) -> Iterator[Task]:
    """Yield one per order that must leave; the stops of a pair whose exit waits are that exit's own business."""
    leaving = {each.intent.pair for each in orders.waiting(OrderKind.EXIT)}
    for each in orders.at_venue():
        if each.order.cancel_reason and not (
            each.intent.kind is OrderKind.STOP and each.intent.pair in leaving
        ):

            def act(each: WorkingOrder = each) -> bool:
                cancel(work, each)
                return False  # until it has left

            yield Task(("cancel", each.intent.intent_id), act, pause=1.0, on_news=False)


def refreshing(
    work: Work, orders: Orders, *, first: bool, running: Collection[tuple[str, str]]
) -> Iterator[Task]:
    """Yield one for all orders: at first every one that may be at the venue, then those that should end soon."""
    asked = [
        each
        for each in orders.at_venue()
        if (first and (work.rules.real_time or each.intent.kind is not OrderKind.STOP)) or _ends_soon(each)
    ]
    asked = [each for each in asked if not _is_being_sent(each, running)]

    def act() -> bool:
        work.notes.looked_up = refresh(work, asked) or work.notes.looked_up
        return not asked

    if asked or first:
        yield Task(REFRESH, act, pause=0.25)


def entries(work: Work, orders: Orders) -> Iterator[Task]:
    """Yield one per entry that waits."""
    for waiting in orders.waiting(*OPENING):

        def act(waiting: WorkingOrder = waiting) -> bool:
            enter(work, waiting)
            order = work.journal.order(waiting.intent.intent_id)
            return order is None or order.status is not OrderStatus.INTENDED

        yield Task(("entry", waiting.intent.intent_id), act, pause=0.5)


def protections(work: Work, orders: Orders) -> Iterator[Task]:
    """Yield one per pair that holds something or has a stop, unless it is on its way out."""
    held = {each.pair for each in work.journal.positions(work.account)}
    stopped = {each.intent.pair for each in orders.working if each.intent.kind is OrderKind.STOP}
    leaving = {each.intent.pair for each in orders.working if each.intent.kind is OrderKind.EXIT}
    for pair in sorted((held | stopped) - leaving):
        yield protection(work, pair)


def protection(work: Work, pair: Pair) -> Task:
    return Task((PROTECT, str(pair)), lambda: protect(work, pair), pause=0.25)


def _ends_soon(working: WorkingOrder) -> bool:
    order = working.order
    resting = working.intent.kind is OrderKind.STOP and order.status not in UNDECIDED
    return not resting or bool(order.cancel_reason)


def _is_being_sent(working: WorkingOrder, running: Collection[tuple[str, str]]) -> bool:
    """Return whether this process is sending it right now: it will be answered soon."""
    intent = working.intent
    senders = {("entry", intent.intent_id), (EXIT, str(intent.pair)), (PROTECT, str(intent.pair))}
    return working.order.status is OrderStatus.SENT and not senders.isdisjoint(running)
