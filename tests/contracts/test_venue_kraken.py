"""Kraken as a Venue, beyond what every venue promises: in its own words, and when it misbehaves."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.venues import MANY, Clerk, closing, committed, kraken_venue, wanted
from tests.doubles.clock import Clock
from tests.doubles.kraken import (
    CREDENTIALS,
    Fault,
    KrakenDouble,
    Reply,
    answering,
    html_520_after,
    html_520_before,
    lost_after,
    lost_before,
    running,
    saying,
    truncated_after,
    wrong_type_after,
)
from tests.doubles.stores import MemoryKeyState
from tests.doubles.threads import at_once
from trading.errors import (
    InvalidValue,
    NotAuthorised,
    NotStored,
    OutcomeUnknown,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.market import Pair, PairStatus
from trading.orders import OrderIntent, OrderStatus, Side, WorkingOrder
from trading.ports import VenueReport
from trading.venues.kraken import Allowance, KrakenClient
from trading.venues.kraken.venue import KrakenVenue

FAST, OPEN = Allowance(MANY, MANY), MANY
QUANTITY = Decimal("0.01")
TRIGGER = Decimal("9800.0")
TAKEN_AND_LOST = [lost_after, html_520_after, truncated_after, wrong_type_after]
NOTHING_CLOSED = answering(b'{"error":[],"result":{"closed":{},"count":0}}')
NEVER_ARRIVED = [
    lost_before, html_520_before, saying("EService:Unavailable"), saying("EService:Deadline elapsed"),
]  # fmt: skip
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Rig:
    """The double of Kraken, a client of it, the venue, and somebody who sends and books."""

    double: KrakenDouble
    client: KrakenClient
    passing: Clock = field(default_factory=Clock)

    @cached_property
    def venue(self) -> KrakenVenue:
        return kraken_venue(self.client, monotonic=self.passing, wall=self.passing)

    @cached_property
    def clerk(self) -> Clerk:
        return Clerk(lambda: self.venue)

    def lost(self, asked: OrderIntent, **changes: Any) -> WorkingOrder:
        """As it stands in the ledger after its answer was lost."""
        times = {"sent_at": self.venue.now(), "void_after": self.venue.void_after()}
        with pytest.raises(OutcomeUnknown):
            self.venue.submit(asked, times["void_after"])
        return committed(asked, **{**times, "status": OrderStatus.UNKNOWN, **changes})

    def late(self, working: WorkingOrder) -> WorkingOrder:
        """Its deadline has passed."""
        return replace(
            working, order=replace(working.order, void_after=self.venue.now() - dt.timedelta(seconds=1))
        )

    def told(self, *working: WorkingOrder) -> dict[str, VenueReport]:
        return self.venue.reports(working)

    def count(self, method: str) -> int:
        return self.double.methods().count(method)

    def sent(self, method: str = "AddOrder") -> dict[str, str]:
        return next(fields for called, fields in reversed(self.double.calls) if called == method)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with (
        running(KrakenDouble()) as double,
        KrakenClient(
            tmp_path,
            CREDENTIALS,
            double.url,
            FAST,
            OPEN,
            total=5.0,
            sleep=lambda _: None,
            keys=MemoryKeyState(),
        ) as client,
    ):
        yield Rig(double, client)


def state(working: WorkingOrder) -> tuple[OrderStatus, str]:
    return working.order.status, working.order.reason


# --- an order goes out


def test_an_order_carries_its_identity_its_deadline_and_where_its_fee_is_taken(rig: Rig) -> None:
    asked = wanted()
    rig.venue.submit(asked, rig.venue.void_after())
    sent = rig.sent()
    deadline = dt.datetime.fromisoformat(sent["deadline"]).timestamp() - time.time()
    assert (sent["cl_ord_id"], sent["ordertype"], sent["oflags"]) == (asked.intent_id, "market", "fciq")
    assert 2 < deadline <= 9


def test_an_entry_has_its_stop_as_a_conditional_close_on_the_grid_of_prices(rig: Rig) -> None:
    rig.venue.submit(wanted(stop_loss=Decimal("9799.97")), rig.venue.void_after())
    sent = rig.sent()
    assert (sent["close[ordertype]"], sent["close[price]"]) == ("stop-loss", "9800.0")
    assert "price" not in sent


def test_an_exit_is_a_market_order_and_a_stop_a_stop_loss_without_another_order(rig: Rig) -> None:
    rig.venue.submit(closing(), rig.venue.void_after())
    assert (rig.sent()["type"], rig.sent()["ordertype"]) == ("sell", "market")
    rig.venue.submit(closing(trigger=Decimal("9800.04")), rig.venue.void_after())
    assert (rig.sent()["ordertype"], rig.sent()["price"]) == ("stop-loss", "9800.0")
    assert not [name for _, fields in rig.double.calls for name in fields if name.startswith("close")]


def test_an_intent_that_is_no_uuid_goes_out_under_one_that_follows_from_it(rig: Rig) -> None:
    asked = wanted(intent_id="intent-of-decision-1")
    order = rig.clerk.sent(asked)
    assert rig.sent()["cl_ord_id"] == asked.client_order_id != asked.intent_id
    assert set(rig.told(committed(asked))) == {asked.intent_id}
    assert rig.clerk.asked(order).order.status is OrderStatus.FILLED


def test_the_name_is_the_venue_and_the_keys_fingerprint(rig: Rig) -> None:
    assert rig.venue.name == f"kraken-{CREDENTIALS.fingerprint[:8]}"
    assert kraken_venue(rig.client, venue="sandbox").name == f"sandbox-{CREDENTIALS.fingerprint[:8]}"


def test_orders_take_the_way_that_was_given(rig: Rig) -> None:
    class Refusing:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            def refuse(*_: Any, **__: Any) -> Any:
                raise VenueRefused(name)

            return refuse

    venue = kraken_venue(rig.client, orders=Refusing())
    with pytest.raises(VenueRefused, match="add_order"):
        venue.submit(wanted(), venue.void_after())
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    with pytest.raises(VenueRefused, match="cancel_order"):
        venue.cancel(stop)
    with pytest.raises(VenueRefused, match="amend_order"):
        venue.amend(stop, TRIGGER)
    assert set(venue.reports([stop])) == {stop.intent.intent_id}


# --- what an error means


@pytest.mark.parametrize("fault", TAKEN_AND_LOST)
def test_an_order_that_was_taken_although_its_answer_was_lost_is_sent_once_and_found(
    rig: Rig, fault: Fault
) -> None:
    rig.double.faults["AddOrder"] = [fault]
    order = rig.clerk.asked(rig.lost(wanted(stop_loss=None)))
    assert state(order) == (OrderStatus.FILLED, "")
    assert (len(rig.double.orders), rig.count("AddOrder")) == (1, 1)
    assert order.order.filled == QUANTITY


@pytest.mark.parametrize("fault", NEVER_ARRIVED)
def test_an_order_that_never_arrived_is_unknown_and_then_missing(rig: Rig, fault: Fault) -> None:
    rig.double.faults["AddOrder"] = [fault]
    order = rig.lost(wanted())
    assert rig.told(order) == rig.told(rig.late(order)) == {}
    assert (rig.double.orders, rig.count("AddOrder")) == ({}, 1)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("EAPI:Rate limit exceeded", RateLimited), ("EOrder:Rate limit exceeded", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EService:Market in cancel_only mode", VenueUnreachable),
        ("EGeneral:Invalid arguments:deadline", VenueUnreachable), ("EAPI:Invalid nonce", VenueUnreachable),
        ("EAPI:Invalid key", NotAuthorised), ("EGeneral:Permission denied", NotAuthorised),
        ("EOrder:Insufficient funds", VenueRefused), ("EOrder:Order minimum not met", VenueRefused),
    ],
)  # fmt: skip
def test_what_was_surely_not_done_says_whether_it_ever_can_be(
    rig: Rig, words: str, kind: type[Exception]
) -> None:
    rig.double.faults["AddOrder"] = [saying(words)] * 6  # a refused nonce is tried again
    with pytest.raises(kind, match=words):
        rig.venue.submit(wanted(), rig.venue.void_after())
    assert rig.double.orders == {}


@pytest.mark.parametrize("words", ["EService:Connection lost", "EOrder:Client order id not unique"])
def test_an_error_that_is_no_certain_refusal_leaves_the_outcome_unknown(rig: Rig, words: str) -> None:
    def taken_but_saying(act: Callable[[], bytes]) -> Reply:
        act()
        return saying(words)(act)

    rig.double.faults["AddOrder"] = [taken_but_saying]
    assert rig.clerk.asked(rig.lost(wanted())).order.status is OrderStatus.FILLED


def test_a_pair_that_is_not_traded_is_not_sent(rig: Rig) -> None:
    with pytest.raises(NotStored, match="does not trade NOT/THERE"):
        rig.venue.submit(wanted(pair=Pair("NOT", "THERE")), rig.venue.void_after())
    assert rig.count("AddOrder") == 0


@pytest.mark.parametrize("method", ["OpenOrders", "ClosedOrders"])
def test_an_order_that_cannot_be_looked_up_is_not_missing(rig: Rig, method: str) -> None:
    rig.double.faults["AddOrder"] = [lost_before]
    order = rig.lost(wanted())
    rig.double.faults[method] = [html_520_before] * 5
    with pytest.raises(VenueUnreachable, match="HTTP 520"):
        rig.told(order)


def test_an_order_whose_fills_cannot_be_read_is_not_told_without_them(rig: Rig) -> None:
    order = rig.clerk.sent(wanted())
    rig.double.faults["QueryTrades"] = [html_520_before] * 5
    with pytest.raises(VenueUnreachable):
        rig.told(order)


# --- looking for orders whose id is not known


@pytest.mark.parametrize("number", [1, 8])
def test_orders_without_an_id_are_looked_for_in_two_calls_however_many_they_are(
    rig: Rig, number: int
) -> None:
    rig.double.faults["AddOrder"] = [lost_before] * number
    orders = [rig.lost(wanted()) for _ in range(number)]
    before = len(rig.double.calls)
    assert rig.told(*orders) == {}
    assert [method for method, _ in rig.double.calls[before:] if method != "Time"] == [
        "OpenOrders",
        "ClosedOrders",
    ]


def test_a_closed_order_is_found_although_kraken_does_not_find_it_by_its_client_order_id(rig: Rig) -> None:
    """And although others have closed since, which fill the newest page: once its deadline has passed."""
    rig.double.finds_closed = False
    rig.double.faults["AddOrder"] = [lost_after]
    order = rig.lost(wanted())
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED]
    assert rig.told(order) == {}
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED]
    late = rig.late(order)
    assert rig.clerk.asked(late).order.status is OrderStatus.FILLED
    read = [fields for method, fields in rig.double.calls if method == "ClosedOrders" and "start" in fields]
    assert [int(fields["end"]) - int(fields["start"]) for fields in read] == [242]
    assert int(read[0]["start"]) < time.time() < int(read[0]["end"])


def test_an_order_that_is_on_no_page_is_found_by_its_client_order_id(rig: Rig) -> None:
    """Where Kraken's times are not those of its clock, as in a sandbox that replays the past."""
    rig.double.faults["AddOrder"] = [lost_after]
    order = rig.late(rig.lost(wanted()))
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED]
    assert rig.clerk.asked(order).order.status is OrderStatus.FILLED
    assert "start" not in rig.sent("ClosedOrders")


def test_an_order_that_was_given_up_and_turns_up_later_is_found_before_it_goes_out_again(rig: Rig) -> None:
    rig.double.finds_closed = False
    rig.double.faults["AddOrder"] = [lost_after]
    order = rig.late(rig.lost(wanted()))
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED] * 3
    assert rig.told(order) == {}
    given_up = replace(order, order=replace(order.order, status=OrderStatus.INTENDED))
    assert rig.clerk.asked(given_up).order.status is OrderStatus.FILLED


def test_a_lookup_that_returns_orders_of_others_finds_nothing(rig: Rig) -> None:
    rig.clerk.placed(wanted())
    unfiltered = rig.double.ClosedOrders({})
    rig.double.ClosedOrders = lambda fields: unfiltered  # type: ignore[method-assign]
    rig.double.faults["AddOrder"] = [lost_before]
    assert rig.told(rig.late(rig.lost(wanted()))) == {}


def test_an_attempt_that_was_taken_after_all_beside_the_next_one_is_told_with_all_fills(rig: Rig) -> None:
    asked = wanted(stop_loss=None)
    rig.clerk.sent(asked)
    rig.clerk.sent(asked)
    order = rig.clerk.asked(committed(asked))
    assert order.order.status is OrderStatus.UNKNOWN
    assert all(order_id in order.order.reason for order_id in rig.double.orders)
    assert order.order.filled == 2 * QUANTITY


# --- orders whose id is known


def test_many_orders_are_asked_for_fifty_in_a_call_and_their_fills_twenty(rig: Rig) -> None:
    orders = [rig.clerk.sent(wanted(stop_loss=None, quantity=Decimal("0.001"))) for _ in range(61)]
    before = len(rig.double.calls)
    told = rig.told(*orders)
    assert [report.status for report in told.values()] == [OrderStatus.FILLED] * 61
    called = [method for method, _ in rig.double.calls[before:]]
    assert (called.count("QueryOrders"), called.count("QueryTrades"), len(called)) == (2, 4, 6)


def test_an_id_that_kraken_does_not_know_keeps_no_other_order_from_being_told(rig: Rig) -> None:
    order = rig.clerk.sent(wanted())
    gone = committed(wanted(), venue_order_id="OAAAAA-BBBBB-CCCCCC")
    assert set(rig.told(gone, order)) == {order.intent.intent_id}


def test_several_fills_are_told_one_by_one(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.03")] * 30 + [Decimal("0.1")]
    assert state(rig.clerk.placed(wanted())) == (OrderStatus.FILLED, "")
    fills = list(rig.clerk.fills.values())
    assert len(fills) == 31
    assert sum(fill.quantity for fill in fills) == QUANTITY
    assert (fills[0].fee, fills[0].filled_at.microsecond) == (Decimal("0.01200"), 123456)


def test_an_order_that_fills_slowly_is_partly_filled_until_it_is_filled(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.4")]
    order = rig.clerk.placed(wanted(stop_loss=None))
    assert state(order) == (OrderStatus.PARTLY_FILLED, "open, 0.004 of 0.01 BTC are filled")
    assert order.order.filled == QUANTITY * Decimal("0.4")
    rig.double.fill(order.order.venue_order_id, QUANTITY * Decimal("0.6"))
    assert state(rig.clerk.asked(order)) == (OrderStatus.FILLED, "")
    assert [fill.quantity for fill in rig.clerk.fills.values()] == [Decimal("0.0040"), Decimal("0.0060")]


@pytest.mark.parametrize(
    ("ended", "status"), [("canceled", OrderStatus.CANCELLED), ("expired", OrderStatus.EXPIRED)]
)
@pytest.mark.parametrize("share", ["0.4", "0"])
def test_an_order_that_ended_before_it_was_filled_keeps_what_was(
    rig: Rig, share: str, ended: str, status: OrderStatus
) -> None:
    rig.double.shares, rig.double.ended = [], ended
    order = rig.clerk.sent(wanted(stop_loss=None))
    record = rig.double.orders[order.order.venue_order_id]
    if Decimal(share):
        rig.double.fill(order.order.venue_order_id, QUANTITY * Decimal(share))
    record.update(status=ended, reason="Market price protection", closetm=time.time())
    order = rig.clerk.asked(order)
    assert (order.order.status, order.order.filled) == (status, QUANTITY * Decimal(share))
    assert order.order.reason.endswith("BTC are filled: Market price protection")


def test_an_order_is_not_final_before_all_its_fills_are_listed(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.5"), Decimal("0.5")]
    truth = rig.double.QueryOrders

    def without_the_last(fields: dict[str, str]) -> Any:
        return {key: {**each, "trades": each["trades"][:-1]} for key, each in truth(fields).items()}

    rig.double.QueryOrders = without_the_last  # type: ignore[method-assign]
    order = rig.clerk.placed(wanted(stop_loss=None))
    assert order.order.status is OrderStatus.PARTLY_FILLED
    assert "0.005 BTC of its fills are not listed yet" in order.order.reason
    rig.double.QueryOrders = truth  # type: ignore[method-assign]
    assert state(rig.clerk.asked(order)) == (OrderStatus.FILLED, "")


@pytest.mark.parametrize(
    ("share", "filled", "reason"),
    [
        ("0.999999", "0.00999999", ""),
        ("0.996", "0.00996", ""),
        ("0.9", "0.009", "Insignificant volume remaining"),
    ],
)
def test_an_order_that_kraken_closes_a_little_short_of_its_volume_is_final(
    rig: Rig, share: str, filled: str, reason: str
) -> None:
    """Kraken says `closed`, "Insignificant volume remaining" (ccxt#8816): nobody could order what is left."""
    rig.double.shares, rig.double.ended, rig.double.why = [Decimal(share)], "closed", reason
    order = rig.clerk.placed(wanted(stop_loss=None))
    noted = f"closed, {filled} of 0.01 BTC are filled" + (f": {reason}" if reason else "")
    assert state(order) == (OrderStatus.FILLED, noted)
    assert order.order.filled == Decimal(filled)


def test_an_order_that_kraken_closes_far_short_of_its_volume_is_not_final(rig: Rig) -> None:
    rig.double.shares, rig.double.ended, rig.double.why = [Decimal("0.9")], "closed", ""
    order = rig.clerk.placed(wanted(stop_loss=None))
    assert order.order.status is OrderStatus.PARTLY_FILLED
    assert "more of its fills must follow" in order.order.reason


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"vol": "0.02"}, "it is over 0.02"), ({"cl_ord_id": "another"}, "(another)"),
        ({"vol_exec": "0.011"}, "0.011 of 0.01"), ({"vol_exec": "0.009"}, "fills add up to 0.01"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_the_one_asked_for_is_unknown_and_nothing_of_it_is_booked(
    rig: Rig, wrong: dict[str, str], named: str
) -> None:
    other, order = rig.clerk.sent(wanted()), rig.clerk.sent(wanted())
    rig.double.orders[order.order.venue_order_id].update(wrong)
    told = rig.told(other, order)
    report = told[order.intent.intent_id]
    assert (report.status, report.fills) == (OrderStatus.UNKNOWN, ())
    assert named in report.reason
    assert told[other.intent.intent_id].status is OrderStatus.FILLED


# --- amendments, by a person or by the engine


def amended(rig: Rig, order: WorkingOrder, quantity: str, kind: str) -> None:
    order_id = order.order.venue_order_id
    rig.double.orders[order_id]["vol"] = quantity
    rig.double.amends[order_id] = [
        {"amend_id": "TA", "timestamp": 1, "amend_type": "original", "order_qty": str(order.intent.quantity)},
        {"amend_id": "TB", "timestamp": 2, "amend_type": kind, "order_qty": quantity, "reason": "Reduced"},
    ]


@pytest.mark.parametrize("kind", ["restated", "user"])
def test_an_order_over_another_quantity_is_ours_where_its_amendments_say_so(rig: Rig, kind: str) -> None:
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    amended(rig, stop, "0.006", kind)
    for _ in range(2):
        told = rig.clerk.asked(stop)
        assert told.order.status is OrderStatus.ACKNOWLEDGED
        assert told.order.reason.endswith(f"amended to 0.006 ({kind}: Reduced)")
    assert rig.count("OrderAmends") == 1  # asked once for each change
    rig.double.fill(stop.order.venue_order_id, Decimal("0.006"))
    done = rig.clerk.asked(stop)
    assert (done.order.status, done.order.filled) == (OrderStatus.CANCELLED, Decimal("0.006"))


def test_a_trigger_that_somebody_else_has_moved_is_told(rig: Rig) -> None:
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    rig.double.orders[stop.order.venue_order_id]["descr"]["price"] = "9700.0"
    (report,) = rig.told(stop).values()
    assert report.trigger == Decimal("9700.0")


def test_a_trigger_is_amended_on_the_grid_of_prices(rig: Rig) -> None:
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    rig.venue.amend(stop, Decimal("9850.04"))
    assert rig.sent("AmendOrder")["trigger_price"] == "9850.0"
    assert rig.clerk.asked(stop).order.trigger == Decimal("9850.0")


@pytest.mark.parametrize("method", ["AmendOrder", "CancelOrder"])
def test_a_change_whose_answer_was_lost_is_sent_once_and_its_outcome_unknown(rig: Rig, method: str) -> None:
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    rig.double.faults[method] = [lost_after]
    with pytest.raises(OutcomeUnknown):
        rig.venue.cancel(stop) if method == "CancelOrder" else rig.venue.amend(stop, TRIGGER + 1)
    assert rig.count(method) == 1
    told = rig.clerk.asked(stop).order
    assert (told.status is OrderStatus.CANCELLED, told.trigger == TRIGGER + 1) == (
        method == "CancelOrder",
        method == "AmendOrder",
    )


@pytest.mark.parametrize("words", ["EService:Market in maintenance mode", "EOrder:Rate limit exceeded"])
def test_a_cancel_that_is_not_done_now_is_an_error(rig: Rig, words: str) -> None:
    stop = rig.clerk.sent(closing(trigger=TRIGGER))
    rig.double.faults["CancelOrder"] = [saying(words)]
    with pytest.raises((VenueUnreachable, RateLimited), match=words):
        rig.venue.cancel(stop)


def test_an_order_whose_id_is_not_known_is_cancelled_by_ours(rig: Rig) -> None:
    rig.double.faults["AddOrder"] = [lost_after]
    stop = rig.lost(closing(trigger=TRIGGER))
    rig.venue.cancel(stop)
    assert rig.sent("CancelOrder")["cl_ord_id"] == stop.intent.client_order_id
    assert rig.clerk.asked(stop).order.status is OrderStatus.CANCELLED


# --- stops that went with an entry


def test_stops_that_rest_are_found_in_one_call(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.4"), Decimal("0.6")]
    rig.clerk.placed(wanted(stop_loss=TRIGGER))  # another entry's stops are not this one's
    entry = rig.clerk.placed(wanted(stop_loss=TRIGGER))
    before = len(rig.double.calls)
    stops = rig.venue.stops_of(entry)
    assert [each.quantity for each in stops] == [QUANTITY * share for share in rig.double.shares]
    assert {(each.trigger, each.parent_id) for each in stops} == {(TRIGGER, entry.order.venue_order_id)}
    assert [method for method, _ in rig.double.calls[before:]] == ["OpenOrders"]


def test_stops_that_have_ended_are_found_among_all_orders_that_closed_since_the_entry(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.4"), Decimal("0.6")]
    entry = rig.clerk.placed(wanted(stop_loss=TRIGGER))
    first, second = rig.venue.stops_of(entry)
    rig.double.fill(first.venue_order_id, first.quantity)
    found = {each.venue_order_id: each for each in rig.venue.stops_of(entry)}
    assert set(found) == {first.venue_order_id, second.venue_order_id}
    assert found[first.venue_order_id].filled == first.quantity
    read = rig.sent("ClosedOrders")
    assert int(read["start"]) < time.time() < int(read["end"]) < time.time() + 100


def test_a_stop_whose_fee_is_in_base_currency_is_booked_with_it_there(rig: Rig) -> None:
    """Krakens default for sales; it tells the fee in quote currency all the same."""
    entry = rig.clerk.placed(wanted(stop_loss=TRIGGER))
    (stop,) = rig.clerk.stops(entry)
    rig.double.orders[stop.order.venue_order_id]["oflags"] = "fcib"
    rig.double.fill(stop.order.venue_order_id, QUANTITY)
    assert rig.clerk.asked(stop).order.status is OrderStatus.FILLED
    (fill,) = (each for each in rig.clerk.fills.values() if each.side is Side.SELL)
    assert (fill.fee, fill.fee_asset) == (Decimal("0.0000400000"), "BTC")


# --- books


def entry_of(rig: Rig, number: int, **changes: Any) -> dict[str, Any]:
    key = f"L{number:05d}-AAAAA-BBBBBB"
    rig.double.ledger[key] = {
        "refid": f"R{number}", "time": 1_700_000_000.5 + number, "type": "deposit", "subtype": "", "aclass": "currency",
        "asset": "ZUSD", "amount": "10.5", "fee": "0.5", "balance": "10.0", **changes,
    }  # fmt: skip
    return rig.double.ledger[key]


def test_books_have_our_names_fees_counted_and_the_orders_of_trades(rig: Rig) -> None:
    order = rig.clerk.placed(wanted(stop_loss=TRIGGER))
    (fill_id,) = rig.double.fills
    entry_of(rig, 1)
    entry_of(rig, 2, type="trade", refid=fill_id, asset="XXBT", amount="0.01", fee="0")
    entry_of(rig, 3, type="staking", asset="XBT.F", amount="0.0001", fee="0")
    books = rig.venue.books(PAST)
    assert books.balances == {"USDT": Decimal(10000), "BTC": Decimal("0.5"), "BTC.F": Decimal("0.1")}
    told = [(each.asset, each.amount, each.kind, each.fill_id, each.venue_order_id) for each in books.entries]
    assert told == [
        ("USD", Decimal("10.0"), "deposit", "", ""),
        ("BTC", Decimal("0.01"), "trade", fill_id, order.order.venue_order_id),
        ("BTC.F", Decimal("0.0001"), "staking", "", ""),
    ]
    assert [each.reference for each in books.entries] == list(rig.double.ledger)
    assert [each.trigger for each in books.open_orders] == [TRIGGER]
    rig.venue.books(PAST)
    assert rig.count("QueryTrades") == 2  # for the report, and for the books once


def test_books_are_read_to_the_last_page_and_not_before_their_time(rig: Rig) -> None:
    for number in range(120):
        entry_of(rig, number)
    since = dt.datetime.fromtimestamp(1_700_000_000.5 + 10, dt.UTC)
    entries = rig.venue.books(since).entries
    assert [each.reference for each in entries] == list(rig.double.ledger)[10:]
    assert entries[0].at == since


def test_an_order_that_somebody_else_placed_is_in_the_books(rig: Rig) -> None:
    rig.clerk.sent(closing(trigger=TRIGGER))
    (foreign,) = rig.double.orders.values()
    foreign.update(cl_ord_id=None)
    foreign["descr"].update(pair="OLDCOIN", ordertype="trailing-stop", price="+1.5%")
    (told,) = rig.venue.books(PAST).open_orders
    assert (told.client_order_id, told.pair.base, told.trigger) == ("", "OLDCOIN", None)


# --- time


def test_the_deadline_is_on_krakens_clock(rig: Rig) -> None:
    rig.double.skew = 3600
    rig.venue.submit(wanted(), rig.venue.void_after())
    deadline = dt.datetime.fromisoformat(rig.sent()["deadline"]).timestamp() - time.time()
    assert 3602 < deadline <= 3609


def test_krakens_clock_is_asked_rarely_and_never_thought_ahead(rig: Rig) -> None:
    first = rig.venue.now()
    rig.passing.now += 250
    assert rig.venue.now() - first == dt.timedelta(seconds=250)
    assert rig.count("Time") == 1
    rig.passing.now += 51
    assert abs(rig.venue.now() - first) < dt.timedelta(seconds=30)
    assert rig.count("Time") == 2


def test_krakens_clock_is_asked_again_after_this_machine_slept(rig: Rig) -> None:
    wall = Clock()
    venue = kraken_venue(rig.client, monotonic=rig.passing, wall=wall)
    venue.now()
    wall.now += 3600  # and the other one stood still
    rig.double.skew = 3600
    assert venue.now().timestamp() > time.time() + 3590


def test_krakens_clock_goes_on_while_kraken_does_not_tell_the_time(rig: Rig) -> None:
    first = rig.venue.now()
    rig.double.faults["Time"] = [html_520_before] * 10
    rig.passing.now += 301
    assert rig.venue.now() - first == dt.timedelta(seconds=301)
    rig.passing.now += 3600
    with pytest.raises(VenueUnreachable):
        rig.venue.now()


def test_a_refused_deadline_makes_the_next_one_right(rig: Rig) -> None:
    rig.venue.now()
    rig.double.skew = 100
    rig.double.faults["AddOrder"] = [saying("EGeneral:Invalid arguments:deadline")]
    with pytest.raises(VenueUnreachable):
        rig.venue.submit(wanted(), rig.venue.void_after())
    assert rig.venue.void_after().timestamp() > time.time() + 100


@pytest.mark.parametrize("seconds", [1, 2, 3.9, 61])
def test_a_deadline_that_kraken_might_not_take_is_refused(rig: Rig, seconds: float) -> None:
    with pytest.raises(InvalidValue, match="Kraken takes 2 to 60 s"):
        kraken_venue(rig.client, deadline=dt.timedelta(seconds=seconds))


def test_an_order_counts_as_never_taken_only_after_the_margin(rig: Rig) -> None:
    void_after = rig.venue.void_after()
    assert KrakenVenue(rig.client).never_taken_after(void_after) == void_after + dt.timedelta(seconds=60)


# --- what is traded


def test_the_status_of_a_pair_is_never_older_than_ten_seconds(rig: Rig) -> None:
    pair = Pair("BTC", "USDT")
    assert rig.venue.instrument(pair).status is PairStatus.ONLINE
    rig.double.pairs["XBTUSDT"] = {**rig.double.pairs["XBTUSDT"], "status": "cancel_only"}
    rig.passing.now += 9
    assert rig.venue.instrument(pair).status is PairStatus.ONLINE
    rig.passing.now += 2
    assert rig.venue.instrument(pair).status is PairStatus.CANCEL_ONLY


def test_a_status_that_kraken_does_not_tell_stays_what_it_was(rig: Rig) -> None:
    pair = Pair("BTC", "USDT")
    known = rig.venue.instrument(pair)
    rig.double.faults["AssetPairs"] = [html_520_before] * 5
    rig.passing.now += 11
    assert rig.venue.instrument(pair) == known


def test_pairs_that_are_wanted_at_once_are_read_together(rig: Rig) -> None:
    pairs = [Pair("BTC", "USDT"), Pair("XRP", "BTC"), Pair("NOT", "THERE")] * 3

    def traded(pair: Pair) -> str:
        try:
            return rig.venue.instrument(pair).status.value
        except NotStored:
            return "not traded"

    assert at_once(traded, pairs) == ["online", "online", "not traded"] * 3
    before = rig.count("AssetPairs")
    assert at_once(traded, pairs[:2]) == ["online", "online"]
    assert rig.count("AssetPairs") == before
