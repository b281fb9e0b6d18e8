"""A venue that goes wrong where a test says so, and keeps its own books to compare the ledger with."""

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from trading.errors import MarketloomError, NotStored, OutcomeUnknown, VenueRefused
from trading.market import Instrument, Pair
from trading.orders import Fill, OrderIntent, OrderKind, OrderStatus, Side, WorkingOrder
from trading.ports import VenueBooks, VenueOrder, VenueReport

DEADLINE, MARGIN = timedelta(seconds=8), timedelta(seconds=60)
Fault = Callable[[Callable[[], object]], object]  # is given what would have been done, and answers instead


def lost(act: Callable[[], object]) -> object:
    """It is done, and nobody hears of it."""
    act()
    raise OutcomeUnknown("the answer was lost")


def never_arrived(act: Callable[[], object]) -> object:
    """It is not done, and nobody hears of it."""
    raise OutcomeUnknown("the request was lost")


def failing(error: MarketloomError) -> Fault:
    """It is not done, and the venue says so."""

    def fail(act: Callable[[], object]) -> object:
        raise error

    return fail


def done(act: Callable[[], object]) -> object:
    """It is done."""
    return act()


@dataclass
class Listed:
    """One order in the venue's books."""

    venue_order_id: str
    client_order_id: str
    intent_id: str  # empty for a stop that came with an entry
    account: str
    pair: Pair
    side: Side
    kind: OrderKind
    quantity: Decimal
    trigger: Decimal | None
    at: datetime
    stop_loss: Decimal | None = None
    parent_id: str = ""
    status: OrderStatus = OrderStatus.ACKNOWLEDGED
    fills: list[Fill] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def left(self) -> Decimal:
        live = self.status in (OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED)
        return self.quantity - self.filled if live else Decimal(0)


class ScriptedVenue:
    """Market orders fill whole and at once unless `holds` says otherwise; entries take their stop with them."""

    name = "scripted-1"

    def __init__(self, now: Callable[[], datetime], *instruments: Instrument) -> None:
        self.now = now
        self.instruments = {each.pair: each for each in instruments}
        self.changes: dict[Pair, Instrument] = {}  # that are seen only by those who ask anew
        self.prices: dict[Pair, Decimal] = defaultdict(lambda: Decimal(100))
        self.orders: dict[str, Listed] = {}
        self.holds: set[Pair] = set()  # market orders of these pairs wait for `fill`
        self.closes_with_entry = True  # False: no stop comes with an entry, though one should
        self.lists_after = timedelta(0)  # how long new orders are missing from the look-ups
        self.margin = MARGIN  # how long they could be
        self.faults: dict[str, list[Fault]] = defaultdict(list)  # by method, or method and pair
        self.calls: list[tuple[str, str]] = []
        self.excess: list[str] = []  # moments at which more could have been closed than was held
        self._lock = threading.RLock()

    # --- the port

    def instrument(self, pair: Pair, *, anew: bool = False) -> Instrument:
        if anew and pair in self.changes:
            self.instruments[pair] = self.changes.pop(pair)
        if pair not in self.instruments:
            raise NotStored(f"{pair} is not traded here")
        return self.instruments[pair]

    def void_after(self) -> datetime:
        return self.now() + DEADLINE

    def never_taken_after(self, void_after: datetime) -> datetime:
        return void_after + self.margin

    def submit(self, intent: OrderIntent, void_after: datetime) -> str:
        answer = self._answer("submit", str(intent.pair), lambda: self._take(intent))
        assert isinstance(answer, str)
        return answer

    def cancel(self, working: WorkingOrder) -> None:
        self._answer("cancel", str(working.intent.pair), lambda: self._end(self._find(working)))

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        self._answer("amend", str(working.intent.pair), lambda: self._move(self._find(working), trigger))

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        def look() -> dict[str, VenueReport]:
            found = {each.intent.intent_id: self._find(each) for each in working}
            return {
                name: _report(listed, name)
                for name, listed in found.items()
                if listed is not None and self._shows(listed)
            }

        answer = self._answer("reports", ",".join(sorted(str(each.intent.pair) for each in working)), look)
        assert isinstance(answer, dict)
        return answer

    def stops_of(self, entry: WorkingOrder) -> list[VenueOrder]:
        def look() -> list[VenueOrder]:
            parent = self._find(entry)
            stops = [
                each for each in self.orders.values() if parent and each.parent_id == parent.venue_order_id
            ]
            return [_venue_order(each) for each in stops if self._shows(each)]

        answer = self._answer("stops_of", str(entry.intent.pair), look)
        assert isinstance(answer, list)
        return answer

    def books(self, since: datetime) -> VenueBooks:
        balances: dict[str, Decimal] = defaultdict(Decimal)
        for pair, held in self.held().items():
            balances[pair.base] += held
        live = tuple(_venue_order(each) for each in self.orders.values() if each.left)
        return VenueBooks(dict(balances), live, (), self.now())

    # --- what a test does and asks

    def held(self) -> dict[Pair, Decimal]:
        """What was bought and not sold yet."""
        held: dict[Pair, Decimal] = defaultdict(Decimal)
        for fill in self.fills():
            held[fill.pair] += fill.side.sign * fill.quantity
        return held

    def fills(self) -> list[Fill]:
        return [fill for each in self.orders.values() for fill in each.fills]

    def of(self, pair: Pair, kind: OrderKind) -> list[Listed]:
        return [each for each in self.orders.values() if (each.pair, each.kind) == (pair, kind)]

    def resting(self, pair: Pair) -> list[Listed]:
        return [each for each in self.of(pair, OrderKind.STOP) if each.left]

    def fill(self, listed: Listed, quantity: Decimal | None = None, price: Decimal | None = None) -> None:
        """Execute the order, or a part of it."""
        with self._lock:
            part = listed.left if quantity is None else quantity
            number = len(listed.fills) + 1
            listed.fills.append(
                Fill(
                    fill_id=f"{listed.venue_order_id}-{number}",
                    intent_id=listed.intent_id,
                    account=listed.account,
                    pair=listed.pair,
                    side=listed.side,
                    price=price or self.prices[listed.pair],
                    quantity=part,
                    fee=Decimal(0),
                    fee_asset=listed.pair.quote,
                    filled_at=self.now(),
                )
            )
            listed.status = OrderStatus.PARTLY_FILLED if listed.left else OrderStatus.FILLED
            if listed.kind is OrderKind.ENTRY and listed.stop_loss is not None and self.closes_with_entry:
                self._list_stop(listed, part)
            self._note_excess(listed.pair, "a fill")

    def trade_at(self, pair: Pair, price: Decimal) -> None:
        """Move the price, and fill the stops that it touches."""
        with self._lock:
            self.prices[pair] = price
            for stop in self.resting(pair):
                if stop.trigger is not None and stop.side.sign * (price - stop.trigger) >= 0:
                    self.fill(stop)

    # ---

    def _answer(self, method: str, subject: str, act: Callable[[], object]) -> object:
        with self._lock:
            self.calls.append((method, subject))
            queues = [self.faults[f"{method} {subject}"], self.faults[method]]
            fault = next((queue.pop(0) for queue in queues if queue), done)
        return fault(lambda: self._locked(act))

    def _locked(self, act: Callable[[], object]) -> object:
        with self._lock:
            return act()

    def _take(self, intent: OrderIntent) -> str:
        instrument = self.instrument(intent.pair)
        if intent.quantity < instrument.minimum_quantity:
            raise VenueRefused("below the minimum")
        if intent.trigger is not None and intent.side.sign * (self.prices[intent.pair] - intent.trigger) >= 0:
            raise VenueRefused("the price has passed the trigger")
        listed = Listed(
            f"V{len(self.orders) + 1}", intent.client_order_id, intent.intent_id, intent.account, intent.pair,
            intent.side, intent.kind, intent.quantity, intent.trigger, self.now(), intent.stop_loss,
        )  # fmt: skip
        self.orders[listed.venue_order_id] = listed
        self._note_excess(intent.pair, f"{intent.kind.value} {intent.intent_id}")
        if intent.kind is not OrderKind.STOP and intent.pair not in self.holds:
            self.fill(listed)
        return listed.venue_order_id

    def _list_stop(self, entry: Listed, quantity: Decimal) -> None:
        name = f"V{len(self.orders) + 1}"
        self.orders[name] = Listed(
            name, "", "", entry.account, entry.pair, entry.side.opposite, OrderKind.STOP, quantity,
            entry.stop_loss, self.now(), parent_id=entry.venue_order_id,
        )  # fmt: skip

    def _end(self, listed: Listed | None) -> None:
        if listed is not None and listed.left:
            listed.status = OrderStatus.CANCELLED

    def _move(self, listed: Listed | None, trigger: Decimal) -> None:
        if listed is None or not listed.left:
            raise VenueRefused("no such order is live")
        if listed.side.sign * (self.prices[listed.pair] - trigger) >= 0:
            raise VenueRefused("the price has passed the trigger")
        listed.trigger = trigger

    def _find(self, working: WorkingOrder) -> Listed | None:
        name, client = working.order.venue_order_id, working.intent.client_order_id
        return self.orders.get(name) or next(
            (each for each in self.orders.values() if each.client_order_id == client), None
        )

    def _shows(self, listed: Listed) -> bool:
        return self.now() - listed.at >= self.lists_after

    def _note_excess(self, pair: Pair, what: str) -> None:
        """Stops of entries that the venue places itself are over what was filled, so they count as any other."""
        closing = [
            each for each in self.orders.values() if each.pair == pair and each.kind is not OrderKind.ENTRY
        ]
        sold = sum((each.left for each in closing if each.side is Side.SELL), Decimal(0))
        bought = sum((each.left for each in closing if each.side is Side.BUY), Decimal(0))
        held = self.held()[pair]
        if sold > max(held, Decimal(0)) or bought > max(-held, Decimal(0)):
            self.excess.append(f"{what}: {sold} to sell and {bought} to buy of {held} {pair}")


def _report(listed: Listed, intent_id: str) -> VenueReport:
    fills = tuple(replace(fill, intent_id=intent_id) for fill in listed.fills)
    return VenueReport(
        listed.venue_order_id, listed.status, "", fills[-1].filled_at if fills else listed.at, fills,
        listed.trigger,
    )  # fmt: skip


def _venue_order(listed: Listed) -> VenueOrder:
    return VenueOrder(
        listed.venue_order_id, listed.client_order_id, listed.pair, listed.side, listed.quantity, listed.filled,
        listed.trigger, listed.at, listed.parent_id,
    )  # fmt: skip
