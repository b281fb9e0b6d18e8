"""Turns the back-test of a day into the live day, one cause at a time; what each step changes is that cause's part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from trading.backtest import AccountRules
from trading.parity.as_ordered import Ordered, as_ordered, fill_causes, fills_value
from trading.parity.day import PairDay
from trading.parity.live_orders import LiveOrder, Origin, Round, rounds, strangers
from trading.parity.report import Cause, Kind, PairParity
from trading.parity.row_steps import follow_persons, force_exits, late, leave_out_unfilled, move_late
from trading.parity.walk import Row, Trade, unrestricted, value, walk
from trading.portfolio.exact import exactly

# What the tables say and their candles do not comes first: the rest is told of the candles.
DECIDED = (Kind.MISSED, Kind.UNEXPLAINED, Kind.RESTATED, Kind.SIGNAL, Kind.LLM, Kind.RISK)


@dataclass(frozen=True, slots=True)
class Change:
    """What one cause makes of the row of a candle. Several of a candle are applied in the order of DECIDED."""

    kind: Kind
    candle: int
    row: Row
    words: str = ""  # empty: it is told elsewhere


def attribute(
    day: PairDay,
    rows: Sequence[Row],
    changes: Sequence[Change],
    orders: Sequence[LiveOrder],
    *,
    waiting: Mapping[int, str] | None = None,
    candles: int = 0,
    decisions: int = 0,
) -> PairParity:
    """Attribute the difference between what the orders earned and the back-test of `rows`, one for each candle.

    `changes` turn the back-test's rows into what was ordered. `waiting`: candles after which nothing was entered, as it
    was not known yet what had become of an order, each with words. `candles`: how many could be decided on;
    `decisions`: how many were.
    """
    chain = _Chain(day, list(rows), day.rules)
    backtest = chain.worth
    for kind in DECIDED:
        chain.decide(kind, changes, orders)
    chain.step(Kind.MISSED, leave_out_unfilled(chain.rows, orders))
    chain.be_late(orders, waiting or {})
    chain.follow_persons(orders)
    chain.follow_orders(orders)
    chain.tell_unfilled(orders)
    return PairParity(
        pair=day.pair,
        backtest=backtest,
        live=chain.worth,
        parts=chain.parts,
        causes=tuple(chain.causes),
        candles=candles,
        decisions=decisions,
    )


@dataclass
class _Chain:
    """The day on its way from back-test to live: its rows, what they lead to, and the parts so far."""

    day: PairDay
    rows: list[Row]
    rules: AccountRules
    trades: tuple[Trade, ...] = ()
    worth: Decimal = Decimal(0)
    parts: dict[Kind, Decimal] = field(default_factory=lambda: dict.fromkeys(Kind, Decimal(0)))
    causes: list[Cause] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._walk()

    def _walk(self) -> None:
        self.trades = walk(self.day, self.rows, self.rules)
        self.worth = value(self.day, self.trades)

    def step(self, kind: Kind, rows: list[Row]) -> None:
        """Walk with other rows; what that changes is the kind's."""
        before, self.rows = self.worth, rows
        self._walk()
        with exactly():
            self.parts[kind] += self.worth - before

    def decide(self, kind: Kind, changes: Sequence[Change], orders: Sequence[LiveOrder]) -> None:
        """Take over what one kind has changed of the decisions."""
        rows = list(self.rows)
        for change in (each for each in changes if each.kind is kind):
            rows[change.candle] = change.row
            if change.words:
                self.causes.append(Cause(kind, self.day.close_time(change.candle), change.words))
        if kind is Kind.RISK:
            self.rules = unrestricted(self.day.rules)
            rows = force_exits(rows, self.day, orders)
            forced = (each for each in orders if each.origin is Origin.FORCED and each.fills)
            self.causes += [Cause(kind, each.fills[0].filled_at, f"{each}: {each.words}") for each in forced]
        self.step(kind, rows)

    def follow_persons(self, orders: Sequence[LiveOrder]) -> None:
        """Take over what a person has approved: each such order is on record, with the approval."""
        for each in orders:
            if each.origin is Origin.PERSON and each.fills:
                words = f"a person approved {each}: {each.words}"
                self.causes.append(Cause(Kind.PERSON, each.fills[0].filled_at, words))
        self.step(Kind.PERSON, follow_persons(self.rows, self.day, orders))

    def be_late(self, orders: Sequence[LiveOrder], waiting: Mapping[int, str]) -> None:
        """Act in the candles in which the orders were filled, and enter nothing while one was waited for."""
        for candle, words in waiting.items():
            if self.rows[candle].enters:
                self.causes.append(Cause(Kind.LATE, self.day.close_time(candle), words))
        for each in late(self.day, orders):
            since = (
                "before the day" if each.decided is None else f"by {self.day.close_time(each.decided):%H:%M}"
            )
            words = f"{each}, decided on the candle that had closed {since}, was filled in a later one than the next"
            self.causes.append(Cause(Kind.LATE, each.fills[0].filled_at, words))
        self.step(Kind.LATE, move_late(self.rows, self.day, orders, waiting))

    def follow_orders(self, orders: Sequence[LiveOrder]) -> None:
        """Go from the walk's trades to the orders, from there to their fills, and to fills that nobody asked for."""
        known = [each for each in orders if each.origin is not Origin.UNKNOWN]
        self._follow(list(_side_by_side(self.trades, rounds(self.day, known), self.day)))
        for order in strangers(self.day, orders):
            words = f"{order} was filled, and nothing that is recorded asked for it"
            self._add(Cause(Kind.UNEXPLAINED, order.fills[0].filled_at, words, fills_value(self.day, order)))

    def _follow(self, matches: list["_Match"]) -> None:
        """Name what the trades and the orders differ by.

        An exit of another time is the cause of what follows, until neither side holds anything: then both decide alike
        again. It is never the cause of another quantity.
        """
        kind, held_until = Kind.UNEXPLAINED, -1
        left: Ordered | None = None
        for match in matches:
            if held_until < match.candle:
                kind = Kind.UNEXPLAINED
            if match.is_of_another_quantity(self.rows):
                kind = Kind.UNEXPLAINED
            else:
                kind = match.divergence or match.persons or match.turned_from(left) or kind
            left, held_until = match.ordered or left, max(held_until, match.held_until(self.day))
            if amount := match.amount(self.day):
                self._add(Cause(kind, self.day.close_time(match.candle), match.words(self.day), amount))
            for cause in fill_causes(self.day, match.ordered) if match.ordered else ():
                self._add(cause)

    def _add(self, cause: Cause) -> None:
        if not cause.amount:
            return
        with exactly():
            self.parts[cause.kind] += cause.amount
            self.worth += cause.amount
        self.causes.append(cause)

    def tell_unfilled(self, orders: Sequence[LiveOrder]) -> None:
        for order in orders:
            if order.origin is Origin.DECISION and order.decided is not None and not order.fills:
                at, words = self.day.close_time(order.decided), f"{order} was never filled: {order.words}"
                self.causes.append(Cause(Kind.MISSED, at, words))


@dataclass(frozen=True, slots=True)
class _Match:
    """A trade of the walk and a round of orders that were entered in the same candle; one of them may be missing."""

    planned: Trade | None
    ordered: Ordered | None

    @property
    def candle(self) -> int:
        return min(each.candle for each in (self.planned, self.ordered and self.ordered.trade) if each)

    def amount(self, day: PairDay) -> Decimal:
        """Return what the orders, at the back-test's prices, brought more than the walk's trade."""
        with exactly():
            ordered = [self.ordered.trade] if self.ordered else []
            return value(day, ordered) - value(day, [self.planned] if self.planned else [])

    def held_until(self, day: PairDay) -> int:
        """Return the candle after which neither of them holds anything; one behind the day where one still does."""
        planned = (
            [len(day.bars) if self.planned.left is None else self.planned.left.candle] if self.planned else []
        )
        return max(planned + ([self.ordered.round.held_until(day)] if self.ordered else []))

    def is_of_another_quantity(self, rows: Sequence[Row]) -> bool:
        """Return whether the orders opened something else than the walk's trade, or, without one, than was decided."""
        entered = self.ordered.trade.entered if self.ordered else None
        if entered is None:
            return False
        if self.planned is not None:
            return _quantity(self.planned) != entered.quantity
        decided = rows[entered.candle - 1].quantity
        return decided is not None and decided != abs(entered.quantity)

    @property
    def divergence(self) -> Kind | None:
        """Return why two that held the same were closed in different candles: by force, or by their protection."""
        if self.planned is None or self.ordered is None:
            return None
        mine, other = self.planned, self.ordered.trade
        if _quantity(mine) != _quantity(other) or _left_in(mine) == _left_in(other):
            return None
        if (kind := _closed_by(self.ordered)) is not Kind.LATE:
            return kind
        return Kind.GUARD if mine.is_protective else None  # a late decision has moved the walk's exit, too

    @property
    def persons(self) -> Kind | None:
        """Return PERSON for a position that a person had opened where a back-test enters nothing, in mid-candle."""
        if self.planned is not None or self.ordered is None:
            return None
        return Kind.PERSON if self.ordered.round.is_persons else None

    def turned_from(self, before: Ordered | None) -> Kind | None:
        """Return why the position before had been left in the candle in which this one was entered.

        A back-test acts at opens alone: it leaves or enters there, and never both.
        """
        if before is None or self.ordered is None or before.trade.left is None:
            return None
        return _closed_by(before) if before.trade.left.candle == self.ordered.trade.candle else None

    def words(self, day: PairDay) -> str:
        orders = _describe(self.ordered.trade, day) if self.ordered else "no order"
        planned = (
            f"{_describe(self.planned, day)} ({self.planned.reason.name.lower()})"
            if self.planned
            else "nothing"
        )
        return f"{orders}; back-test: {planned}"


def _closed_by(ordered: Ordered) -> Kind:
    """Return the kind of a difference in when the position was closed: LATE where a decision closed it."""
    if ordered.round.is_closed_by_origin(Origin.FORCED):
        return Kind.RISK
    if ordered.round.is_closed_by_origin(Origin.PERSON):
        return Kind.PERSON
    return Kind.GUARD if ordered.round.is_closed_by_origin(Origin.PROTECTION) else Kind.LATE


def _quantity(trade: Trade) -> Decimal | None:
    return trade.entered.quantity if trade.entered else None


def _left_in(trade: Trade) -> int | None:
    return trade.left.candle if trade.left else None


def _describe(trade: Trade, day: PairDay) -> str:
    entered = f"{float(trade.entered.quantity):.8g} {day.pair.base}" if trade.entered else "what was held"
    if trade.left is None:
        return f"{entered} kept"
    return f"{entered} left at {float(trade.left.price):.8g} by {day.close_time(trade.left.candle):%H:%M}"


def _side_by_side(planned: Sequence[Trade], done: Sequence[Round], day: PairDay) -> Iterator[_Match]:
    """Yield trades and rounds by the candle in which they were entered; two of one candle in their order."""
    left = list(planned)
    for each in sorted(done, key=lambda one: _entered_in(one, day)):
        candle = _entered_in(each, day)
        while left and left[0].candle < candle:
            yield _Match(left.pop(0), None)
        like = left.pop(0) if left and left[0].candle == candle and _same_side(left[0], each) else None
        yield _Match(like, as_ordered(day, each, like))
    for trade in left:
        yield _Match(trade, None)


def _entered_in(done: Round, day: PairDay) -> int:
    return done.entry.first_candle(day) if done.entry else 0


def _same_side(trade: Trade, done: Round) -> bool:
    if trade.entered is None or done.entry is None:
        return trade.entered is None and done.entry is None
    return (trade.entered.quantity > 0) == (done.entry.intent.side.sign > 0)
