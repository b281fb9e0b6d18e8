"""Matching of a taker with the book: the best price first, and at one price the oldest order first."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from heapq import merge

from streaming.sandbox.exchange.book_sides import Level, RestingOrders
from streaming.sandbox.exchange.working_order import WorkingOrder
from trading.orders import Side

ZERO = Decimal(0)
Quote = tuple[Decimal, Decimal]  # price and quantity of the market maker


@dataclass(frozen=True, slots=True)
class MatchStep:
    price: Decimal
    quantity: Decimal
    maker: WorkingOrder | None  # None: the market maker


@dataclass(frozen=True, slots=True)
class Match:
    """The trades that would happen, in order."""

    steps: tuple[MatchStep, ...]
    unfilled: Decimal
    meets: WorkingOrder | None = None  # stopped before this order of the same account
    passed: tuple[WorkingOrder, ...] = ()  # orders of the same account, as if they were not there

    @property
    def cost(self) -> Decimal:
        return sum((step.price * step.quantity for step in self.steps), ZERO)


def match_book(
    side: Side,
    limit: Decimal | None,
    quantity: Decimal,
    account: str,
    quotes: Iterable[Quote],
    queue: RestingOrders,
    passes_own: bool = False,
) -> Match:
    """Match a taker on `side` with the market maker's quotes and the other side's resting orders, best first.

    It stops before an order of its own account, or passes it by.
    """
    steps: list[MatchStep] = []
    passed: list[WorkingOrder] = []
    left = quantity
    for step in _offers(side, quotes, queue):
        if not left or (limit is not None and (step.price - limit) * side.sign > 0):
            break
        if step.maker is not None and step.maker.order.account == account:
            if not passes_own:
                return Match(tuple(steps), left, step.maker)
            passed.append(step.maker)
            continue
        traded = min(left, step.quantity)
        steps.append(MatchStep(step.price, traded, step.maker))
        left -= traded
    return Match(tuple(steps), left, passed=tuple(passed))


def _offers(taker: Side, quotes: Iterable[Quote], queue: RestingOrders) -> Iterator[MatchStep]:
    """Yield all that is on the book, in the order in which a taker meets it."""
    quoted = ((price * taker.sign, Level(price, quantity=quantity), True) for price, quantity in quotes)
    resting = ((level.price * taker.sign, level, False) for level in queue)
    displayed: tuple[Decimal, Decimal] | None = None  # quote whose price may have resting orders as well
    for _, level, is_quote in merge(quoted, resting, key=lambda each: (each[0], not each[2])):
        if displayed is not None and (is_quote or level.price != displayed[0]):
            yield MatchStep(*displayed, None)
            displayed = None
        if is_quote:
            displayed = (level.price, level.quantity)
        else:
            yield from _one_price(level, displayed[1] if displayed is not None else ZERO)
            displayed = None
    if displayed is not None:
        yield MatchStep(*displayed, None)


def _one_price(level: Level, displayed: Decimal) -> Iterator[MatchStep]:
    """Yield the market maker's quantity before each order that came after it, and what came after all of them last."""
    passed, left = level.traded_ahead, displayed
    for working in level.orders.values():
        before = min(left, working.queue_position - passed)
        if before > 0:
            yield MatchStep(level.price, before, None)
            passed, left = passed + before, left - before
        yield MatchStep(level.price, working.order.remaining, working)
    if left > 0:
        yield MatchStep(level.price, left, None)
