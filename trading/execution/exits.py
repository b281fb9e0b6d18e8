"""Exits: the stop leaves the venue first, so that never two orders could sell more than is held."""

from decimal import Decimal
from itertools import count

from trading.errors import MarketloomError
from trading.execution.checkpoints import Checkpoint
from trading.execution.sending import send
from trading.execution.stops import adopt, clear, closing_side, entries_of
from trading.execution.work import Work
from trading.market import Instrument, Pair, PairStatus
from trading.orders import Order, OrderIntent, OrderKind, OrderStatus, WorkingOrder, exit_id, round_down
from trading.portfolio import Position

# How the cause of an exit begins that a person has ordered, and of one that closes what could not be protected.
KILLED, FLATTENED = "kill switch", "flattened by"
STOP_MISSING, STOP_REFUSED = "its stop has been missing for", "its stop was refused"
FORCED = (KILLED, FLATTENED, STOP_MISSING, STOP_REFUSED)
TAKES_EXITS = frozenset({PairStatus.ONLINE, PairStatus.REDUCE_ONLY})


def leave(work: Work, waiting: WorkingOrder) -> None:
    """Carry out one exit as far as it goes now: it replaces the stops, and is never larger than what they left."""
    pair = waiting.intent.pair
    instrument = market_of(work, pair)
    if instrument is None or not _takes_exits(work, instrument):
        return
    # The venue may take nothing any more in the stop's place.
    if work.orders().of(pair).at_venue(OrderKind.STOP):
        instrument = market_of(work, pair, anew=True)
    if instrument is None or not _takes_exits(work, instrument) or not _uncover(work, pair):
        return
    position = work.journal.position(work.account, pair)
    if position is None or closing_side(position) is not waiting.intent.side:
        work.request_cancel(waiting.intent.intent_id, "nothing is left to close")
    elif abs(position.quantity) < waiting.intent.quantity:
        _shrink(work, waiting, position, instrument)
    else:
        send(work, waiting)


def order_exit(work: Work, pair: Pair, cause: str) -> bool:
    """Commit an exit of everything that the pair holds. False when one is under way, or none can be."""
    instrument = market_of(work, pair)
    if instrument is None:
        return False
    with work.journal.exclusive(work.account):
        position = work.journal.position(work.account, pair)
        if position is None or work.orders().of(pair, OrderKind.EXIT).working:
            return False
        if is_dust(position, instrument):
            return False
        entries = entries_of(work, position)
        decision_id = entries[0].intent.decision_id if entries else ""
        return _commit(work, position, instrument, decision_id=decision_id, cause=cause)


def is_dust(position: Position, instrument: Instrument) -> bool:
    """Return whether the venue would take no order over the position, at the price that it was bought for."""
    quantity = sellable(position, instrument)
    cost = quantity * position.entry_price
    return quantity == 0 or quantity < instrument.minimum_quantity or cost < instrument.minimum_cost


def is_unsellable(work: Work, position: Position) -> bool:
    """Return whether the position is dust by what the venue says of its pair; False while it says nothing."""
    instrument = market_of(work, position.pair)
    return instrument is not None and is_dust(position, instrument)


def was_refused_lately(work: Work, position: Position) -> bool:
    """Return whether the venue has just refused to close the position: it is asked again, but not all the time."""
    refused = None
    for number in count():
        order = work.journal.order(exit_id(work.account, position.pair, position.opened_at, number))
        if order is None:
            break
        refused = order if order.status is OrderStatus.REJECTED else None
    return refused is not None and work.now() - refused.updated_at < work.rules.protected_within


def sellable(position: Position, instrument: Instrument) -> Decimal:
    """Return the part of the position that an order can be over."""
    return round_down(abs(position.quantity), instrument.quantity_increment)


def market_of(work: Work, pair: Pair, *, anew: bool = False) -> Instrument | None:
    """Return how the pair is traded; None, with a problem noted, when the venue does not say."""
    subject = f"instrument {pair}"
    try:
        instrument = work.venue.instrument(pair, anew=anew)
    except MarketloomError as error:
        work.notes.problem(subject, f"{pair}: nothing can be sent: {error}")
        return None
    work.notes.solved(subject)
    return instrument


def _takes_exits(work: Work, instrument: Instrument) -> bool:
    """Return whether market orders are taken: a stop stays where the one in its place would be refused."""
    subject = f"status of {instrument.pair}"
    if instrument.status in TAKES_EXITS:
        work.notes.solved(subject)
        return True
    work.notes.problem(
        subject,
        f"the exit of {instrument.pair} waits: the venue takes no market order ({instrument.status.value})",
    )
    return False


def _uncover(work: Work, pair: Pair) -> bool:
    """Take the stops away; first those are looked for that the venue may have placed and the ledger does not know."""
    position = work.journal.position(work.account, pair)
    covering = work.orders().of(pair).covering
    is_bare = position is not None and covering < abs(position.quantity)
    if position is not None and is_bare and not adopt(work, entries_of(work, position)):
        return False
    return clear(work, pair)


def _shrink(work: Work, waiting: WorkingOrder, position: Position, instrument: Instrument) -> None:
    """Replace the exit by one of what is left."""
    with work.journal.exclusive(work.account):
        work.request_cancel(waiting.intent.intent_id, "a stop has closed a part: a smaller exit follows")
        if not is_dust(position, instrument):
            decision_id = waiting.intent.decision_id
            _commit(work, position, instrument, decision_id=decision_id, cause="what the stop has left")
    work.checkpoint(Checkpoint.EXIT_REPLACED)
    for smaller in work.orders().of(position.pair).waiting(OrderKind.EXIT):
        send(work, smaller)


def _commit(work: Work, position: Position, instrument: Instrument, *, decision_id: str, cause: str) -> bool:
    ids = (exit_id(work.account, position.pair, position.opened_at, number) for number in count())
    intent = OrderIntent(
        intent_id=next(each for each in ids if work.journal.order(each) is None),
        decision_id=decision_id,
        account=work.account,
        pair=position.pair,
        side=closing_side(position),
        quantity=sellable(position, instrument),
        reduces=True,
        stop_loss=None,
        take_profit=None,
        created_at=work.at,
    )
    return work.add(intent, Order(intent.intent_id, OrderStatus.INTENDED, cause, work.now()), cause)
