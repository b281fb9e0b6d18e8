"""The paper exchange: an account that lives by the candles of a source; its books are the journal.

Market orders fill at the first price after they were sent, stops at the worse of the open and the trigger of the candle
that touches them, both made worse by spread and slippage, as in a back-test. A fill takes at most a share of what
the candle before has traded; the rest follows at the opens of the next candles.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from trading.errors import NotStored, VenueRefused
from trading.fills import Costs
from trading.market import Instrument, Pair
from trading.orders import AT_VENUE, FINAL, Fill, OrderIntent, OrderStatus, WorkingOrder
from trading.ports import BookEntry, Journal, VenueBooks, VenueOrder, VenueReport
from trading.venues.paper_books import (
    add,
    adjustment_entry,
    has_stop,
    is_own,
    opening_balances,
    resting_order,
    stop_with,
    trade_entries,
)
from trading.venues.paper_market import PaperMarket
from trading.venues.paper_orders import next_fills, order_refusal, trigger_refusal, venue_order_id
from trading.venues.paper_settlement import Outcome, final_report, rejection, report, settle


class PaperVenue:
    """Writes nothing: the same journal and candles give the same answers, whoever asks, and whenever.

    An order that the ledger has as sent is at the venue, so none is lost between the two.
    """

    name = "paper"

    def __init__(
        self,
        journal: Journal,
        account: str,
        market: PaperMarket,
        instruments: Mapping[Pair, Instrument],
        costs: Mapping[Pair, Costs],
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` is the account's: on history the newest candle's close, else the machine's time."""
        self._journal = journal
        self._account = account
        self._market = market
        self._instruments = instruments
        self._costs = costs
        self._clock = clock

    def instrument(self, pair: Pair, *, anew: bool = False) -> Instrument:
        try:
            return self._instruments[pair]
        except KeyError:
            raise NotStored(
                f"the paper venue does not trade {pair}: add it to [market] pairs and [instruments]"
            ) from None

    def now(self) -> datetime:
        return self._clock()

    def void_after(self) -> datetime:
        return self.now()

    def never_taken_after(self, void_after: datetime) -> datetime:
        return void_after

    def submit(self, intent: OrderIntent, void_after: datetime) -> str:
        if self._journal.order(intent.intent_id) is None:
            raise NotStored(f"no intent {intent.intent_id}: record the decision with its intent first")
        if refusal := self._refusal(intent):
            raise VenueRefused(refusal)
        return venue_order_id(intent.intent_id)

    def cancel(self, working: WorkingOrder) -> None:
        """Do nothing: the ledger's wish to cancel is known here."""

    def amend(self, working: WorkingOrder, trigger: Decimal) -> None:
        """Refuse what cannot be moved: the ledger's new trigger is known here already."""
        intent, now = working.intent, self._journal.order(working.intent.intent_id)
        if intent.trigger is None or now is None or now.status in FINAL or now.cancel_reason:
            raise VenueRefused(f"order {intent.intent_id} is no stop that rests at the venue")

    def reports(
        self, working: Sequence[WorkingOrder], until: datetime | None = None
    ) -> dict[str, VenueReport]:
        known = [each for each in map(self._fresh, working) if each is not None]
        return self._reports(known, self._booked(), until or self.now())

    def stops_of(self, entry: WorkingOrder) -> list[VenueOrder]:
        fills = self._booked().get(entry.intent.intent_id, ())
        return [self._stop_with(fill, entry) for fill in fills] if has_stop(entry.intent) else []

    def books(self, since: datetime) -> VenueBooks:
        at, booked = self.now(), self._booked()
        working = [
            each for each in self._journal.working_orders(self._account) if each.order.status in AT_VENUE
        ]
        reports = self._reports(working, booked, at)
        fills = {fill.fill_id: fill for own in booked.values() for fill in own}
        fills |= {fill.fill_id: fill for each in reports.values() for fill in each.fills}
        adjustments = self._journal.adjustments(self._account)
        entries = [
            entry for fill in fills.values() if fill.filled_at >= since for entry in self._entries(fill)
        ]
        entries += [adjustment_entry(each) for each in adjustments if each.at >= since]
        opened_at = self._journal.opened_at(self._account)
        by_then = self._journal.balances(self._account, opened_at)
        opening = opening_balances(by_then, opened_at, self._journal.fills(self._account), adjustments)
        return VenueBooks(
            balances=add(opening, fills.values(), adjustments),
            open_orders=(*_open_orders(working, reports), *self._unknown_stops(booked)),
            entries=tuple(sorted(entries, key=lambda entry: entry.at)),
            at=at,
        )

    def _reports(
        self, known: Sequence[WorkingOrder], booked: Mapping[str, Sequence[Fill]], until: datetime
    ) -> dict[str, VenueReport]:
        found: dict[str, VenueReport] = {}
        outcomes: list[tuple[Outcome, datetime | None]] = []
        for each in known:
            fills = booked.get(each.intent.intent_id, ())
            if each.order.status in FINAL:
                found[each.intent.intent_id] = final_report(each, fills)
            elif each.order.status in AT_VENUE and (refusal := self._late_refusal(each)):
                found[each.intent.intent_id] = rejection(each, refusal)
            elif each.order.status in AT_VENUE:
                cancelled_at = self._cancelled_at(each, until)
                outcomes.append((self._outcome(each, fills, cancelled_at or until), cancelled_at))
        settle([outcome for outcome, _ in outcomes], self._journal.balances(self._account))
        for outcome, cancelled_at in outcomes:
            found[outcome.working.intent.intent_id] = report(outcome, cancelled_at)
        return found

    def _outcome(self, working: WorkingOrder, booked: Sequence[Fill], until: datetime) -> Outcome:
        """Return what could be filled until then; without terms or prices nothing, which holds up no other pair."""
        pair = working.intent.pair
        try:
            instrument = self.instrument(pair)
            possible = next_fills(
                working,
                booked,
                until,
                sent_at=self._sent_at(working.intent),
                market=self._market,
                instrument=instrument,
                costs=self._costs[pair],
            )
            return Outcome(working, booked, list(possible), instrument.minimum_cost)
        except NotStored as error:
            return Outcome(working, booked, [], waits_for=str(error))

    def _sent_at(self, intent: OrderIntent) -> datetime:
        """Return when it was sent, by the account's clock; of a stop that came with a fill: when it was entered."""
        changes = reversed(self._journal.order_changes(intent.intent_id))
        return next((each.at for each in changes if each.status is OrderStatus.SENT), intent.created_at)

    def _cancelled_at(self, working: WorkingOrder, until: datetime) -> datetime | None:
        """Return since when the order has left by `until`; a wish from beyond the account's clock holds from now on."""
        if not working.order.cancel_reason:
            return None
        at = min(working.order.updated_at, self.now())
        return at if at <= until else None

    def _fresh(self, working: WorkingOrder) -> WorkingOrder | None:
        return self._journal.working_order(working.intent.intent_id)

    def _booked(self) -> dict[str, list[Fill]]:
        fills: dict[str, list[Fill]] = {}
        for fill in filter(is_own, self._journal.fills(self._account)):
            fills.setdefault(fill.intent_id, []).append(fill)
        return fills

    def _refusal(self, intent: OrderIntent) -> str:
        refusal = order_refusal(intent, self.instrument(intent.pair))
        if refusal or intent.trigger is None:
            return refusal
        price = self._market.last_price(intent.pair, self._sent_at(intent))
        return trigger_refusal(intent.side, intent.trigger, price)

    def _late_refusal(self, working: WorkingOrder) -> str:
        """Return why an order that is only known as sent would not have been taken; empty when it was."""
        if working.order.venue_order_id or working.order.filled:
            return ""
        if working.intent.pair not in self._instruments:
            return f"the paper venue does not trade {working.intent.pair}"
        return order_refusal(working.intent, self._instruments[working.intent.pair])

    def _stop_with(self, fill: Fill, entry: WorkingOrder) -> VenueOrder:
        """Return the stop that one fill of the entry placed, with what has become of it, known to the ledger or not."""
        stop = stop_with(fill, entry, self.instrument(fill.pair).price_increment)
        known = self._journal.find_order(self._account, stop.order.venue_order_id)
        if known is not None:
            return resting_order(known, known.order.filled, parent_id=venue_order_id(fill.intent_id))
        outcome = self._outcome(stop, (), self.now())
        filled = sum((each.quantity for each in outcome.possible), Decimal(0))
        return resting_order(stop, filled, parent_id=venue_order_id(fill.intent_id))

    def _unknown_stops(self, booked: Mapping[str, Sequence[Fill]]) -> Iterator[VenueOrder]:
        """Yield what rests over open positions, and was placed by a fill, and is not in the ledger yet."""
        opened = {each.pair: each.opened_at for each in self._journal.positions(self._account)}
        for intent_id, fills in booked.items():
            entry = self._journal.working_order(intent_id) if fills[0].pair in opened else None
            if entry is None or not has_stop(entry.intent) or fills[0].pair not in self._instruments:
                continue
            for fill in fills:
                stop = self._stop_with(fill, entry)
                is_known = self._journal.find_order(self._account, stop.venue_order_id) is not None
                if fill.filled_at >= opened[fill.pair] and not is_known and stop.filled < stop.quantity:
                    yield stop

    def _entries(self, fill: Fill) -> list[BookEntry]:
        known = self._journal.working_order(fill.intent_id)
        name = known.order.venue_order_id if known else ""
        return list(trade_entries(fill, name or venue_order_id(fill.intent_id)))


def _open_orders(working: Sequence[WorkingOrder], reports: Mapping[str, VenueReport]) -> list[VenueOrder]:
    open_orders = []
    for each in working:
        found = reports[each.intent.intent_id]
        if found.status not in FINAL:
            filled = sum((fill.quantity for fill in found.fills), Decimal(0))
            open_orders.append(resting_order(each, filled))
    return open_orders
