"""Kraken as a Venue, beyond what every venue promises: in its own words, and when it misbehaves.

The contract needs no more than an address, a key and a secret.
"""

import datetime as dt
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.trade import NOON, OPENING, intent, opened, receipt
from tests.contracts.venues import KEYS, MANY, asked, kraken_venue
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
    untouched,
    wrong_type_after,
)
from tests.doubles.stores import MemoryJournal, MemoryKeyState
from tests.doubles.threads import at_once
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from trading.errors import InvalidMessage, InvalidValue, NotAuthorised, VenueUnreachable
from trading.market import Pair
from trading.orders import Fill, Order, OrderIntent, OrderStatus
from trading.ports import Journal
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
from trading.venues.kraken.order_records import NEVER_TAKEN, OrderRecord, accepted_reason, sent_reason
from trading.venues.kraken.order_request import client_order_id
from trading.venues.kraken.venue import KrakenVenue

AT_ONCE = RateLimit(10_000, 1_000_000)  # free again at once, also after a refusal of the venue
FAST, OPEN = Allowance(AT_ONCE, AT_ONCE), MANY
QUANTITY = Decimal("0.01")
TAKEN_AND_LOST = [lost_after, html_520_after, truncated_after, wrong_type_after]
NOTHING_CLOSED = answering(b'{"error":[],"result":{"closed":{},"count":0}}')
NEVER_ARRIVED = [
    lost_before, html_520_before, saying("EService:Unavailable"), saying("EService:Deadline elapsed"),
]  # fmt: skip


@dataclass(frozen=True)
class Exchange:
    """All that the contract knows of what it talks to."""

    url: str
    credentials: Credentials


class KrakenVenueContract:
    """Every exchange that speaks Kraken's protocol lets the venue keep these promises."""

    @pytest.fixture
    def exchange(self) -> Exchange:
        raise NotImplementedError

    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()

    @pytest.fixture
    def client(self, exchange: Exchange, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KrakenClient]:
        folder = tmp_path_factory.getbasetemp() / f"key-{exchange.credentials.fingerprint}"  # one budget
        with KrakenClient(folder, exchange.credentials, exchange.url, FAST, OPEN, keys=KEYS) as client:
            yield client

    @pytest.fixture
    def venue(self, client: KrakenClient, journal: Journal) -> KrakenVenue:
        return kraken_venue(client, journal)

    def test_a_market_order_is_filled_and_booked_as_the_venue_reports(
        self, venue: KrakenVenue, client: KrakenClient, journal: Journal
    ) -> None:
        wanted = asked(journal)
        order = venue.place(wanted)
        assert (order.status, order.reason) == (OrderStatus.FILLED, "")
        assert journal.order(wanted.intent_id) == order
        fills = journal.fills("paper")
        assert sum(fill.quantity for fill in fills) == QUANTITY
        (told,) = client.closed_orders(wanted.intent_id).closed.values()
        assert sum(fill.fee for fill in fills) == told.fee > 0
        assert {fill.fee_asset for fill in fills} == {"USDT"}
        spent = sum(fill.quantity * fill.price + fill.fee for fill in fills)
        assert journal.balances("paper")["USDT"] == OPENING["USDT"] - spent

    def test_a_journal_that_forgot_the_order_finds_it_at_the_venue(
        self, venue: KrakenVenue, client: KrakenClient, journal: Journal
    ) -> None:
        wanted = asked(journal)
        venue.place(wanted)
        other = MemoryJournal()
        opened(other).record_decision(receipt(wanted.decision_id), wanted)
        assert kraken_venue(client, other).place(wanted).status is OrderStatus.FILLED
        assert other.fills("paper") == journal.fills("paper")
        assert len(client.closed_orders(wanted.intent_id).closed) == 1

    def test_an_order_of_another_account_is_not_placed_with_this_key(
        self, client: KrakenClient, journal: Journal
    ) -> None:
        with pytest.raises(InvalidValue, match="trades account live"):
            kraken_venue(client, journal, "live").place(asked(journal))

    def test_a_refusal_is_final_and_has_the_venues_message(
        self, venue: KrakenVenue, journal: Journal
    ) -> None:
        wanted = asked(journal, quantity=Decimal(1_000_000))
        order = venue.place(wanted)
        assert order.status is OrderStatus.REJECTED
        assert "EOrder:Insufficient funds" in order.reason
        assert venue.place(wanted) == order
        assert journal.balances("paper") == OPENING

    def test_a_pair_that_is_not_traded_is_refused(self, venue: KrakenVenue, journal: Journal) -> None:
        order = venue.place(asked(journal, pair=Pair("NOT", "THERE")))
        assert order.status is OrderStatus.REJECTED
        assert "does not trade NOT/THERE" in order.reason


@pytest.fixture(scope="module")
def one_double() -> Iterator[KrakenDouble]:
    with running(KrakenDouble()) as kraken:
        yield kraken


class TestKrakenVenueOnTheDouble(KrakenVenueContract):
    @pytest.fixture
    def exchange(self, one_double: KrakenDouble) -> Exchange:
        return Exchange(one_double.url, CREDENTIALS)


@pytest.fixture(scope="module")
def one_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as exchange:
        yield exchange


class TestKrakenVenueOnTheSandbox(KrakenVenueContract):
    @pytest.fixture
    def exchange(self, one_sandbox: Sandbox) -> Exchange:
        return Exchange(one_sandbox.url, Credentials(one_sandbox.key, one_sandbox.secret))


# --- an exchange that misbehaves


@dataclass(frozen=True)
class Rig:
    """The double of Kraken, a client of it, and the venue with its journal and a clock of its own."""

    double: KrakenDouble
    client: KrakenClient
    journal: Journal = field(default_factory=MemoryJournal)
    passing: Clock = field(default_factory=Clock)

    @cached_property
    def venue(self) -> KrakenVenue:
        return self.another_venue()

    def another_venue(self, **changes: Any) -> KrakenVenue:
        return kraken_venue(
            self.client, self.journal, monotonic=self.passing, sleep=self.passing.sleep, **changes
        )

    def entries(self, age: dt.timedelta) -> KrakenVenue:
        """The market is so much later than the decision."""
        return self.another_venue(entry_age=dt.timedelta(hours=2), market_now=lambda: NOON + age)

    def asked(self, **changes: Any) -> OrderIntent:
        return asked(self.journal, **changes)

    def place(self, **changes: Any) -> Order:
        return self.venue.place(self.asked(**changes))

    def settle(self) -> list[OrderStatus]:
        return [each.status for each in self.venue.settle("paper")]

    def fills(self) -> list[Fill]:
        return self.journal.fills("paper")

    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills()), Decimal(0))


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


def state(order: Order) -> tuple[OrderStatus, str]:
    return order.status, order.reason


@pytest.mark.parametrize("fault", TAKEN_AND_LOST)
def test_an_order_that_was_taken_although_its_response_was_lost_is_filled_once(
    rig: Rig, fault: Fault
) -> None:
    rig.double.faults["AddOrder"] = [fault]
    order = rig.place()
    assert state(order) == (OrderStatus.FILLED, "")
    assert (len(rig.double.orders), rig.double.methods().count("AddOrder")) == (1, 1)
    assert rig.filled() == QUANTITY


@pytest.mark.parametrize("fault", NEVER_ARRIVED)
def test_an_order_that_never_arrived_is_pending_after_its_deadline_and_placed_later(
    rig: Rig, fault: Fault
) -> None:
    rig.double.faults["AddOrder"] = [fault]
    order = rig.place()
    assert order.status is OrderStatus.PENDING
    assert order.reason.startswith(NEVER_TAKEN)
    assert rig.passing.now > 13  # deadline and margin
    assert rig.double.orders == {}
    assert rig.settle() == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


def test_an_order_that_cannot_be_looked_up_stays_unknown_until_it_can(rig: Rig) -> None:
    rig.double.faults["AddOrder"] = [lost_after]
    rig.double.faults["OpenOrders"] = [untouched, *[html_520_before] * 100]
    wanted = rig.asked()
    order = rig.venue.place(wanted)
    assert order.status is OrderStatus.UNKNOWN
    assert "HTTP 520" in order.reason
    assert rig.journal.order(wanted.intent_id) == order
    rig.double.faults["OpenOrders"].clear()
    assert rig.settle() == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


def test_an_order_that_appears_late_is_found_before_it_would_be_placed_again(rig: Rig) -> None:
    rig.double.faults["AddOrder"] = [lost_after]
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED] * 4
    assert rig.place().status is OrderStatus.FILLED
    assert len(rig.double.orders) == 1


def test_an_order_that_is_given_up_and_turns_up_later_is_not_placed_again(rig: Rig) -> None:
    """However it turns up: no later try trusts that closed orders are found by client order id."""
    rig.double.finds_closed = False
    rig.double.faults["AddOrder"] = [lost_after]
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED] * 100
    wanted = rig.asked()
    assert rig.venue.place(wanted).reason.startswith(NEVER_TAKEN)
    rig.double.faults["ClosedOrders"].clear()
    assert [state(each) for each in rig.venue.settle("paper")] == [(OrderStatus.FILLED, "")]
    assert (len(rig.double.orders), rig.double.methods().count("AddOrder")) == (1, 1)
    assert rig.filled() == QUANTITY


@pytest.mark.parametrize(
    ("method", "failures"),
    [
        ("AddOrder", [saying("EOrder:Rate limit exceeded")]),
        ("AddOrder", [saying("EAPI:Invalid key")]),
        ("OpenOrders", [html_520_before] * 5),
    ],
)
def test_an_order_that_is_given_up_is_looked_for_again_also_after_a_try_that_came_to_nothing(
    rig: Rig, method: str, failures: list[Fault]
) -> None:
    rig.double.finds_closed = False
    rig.double.faults["AddOrder"] = [lost_after]
    rig.double.faults["ClosedOrders"] = [NOTHING_CLOSED] * 100
    wanted = rig.asked()
    given_up = OrderRecord.of(rig.venue.place(wanted)).void_after
    rig.double.faults[method] = list(failures)
    with suppress(NotAuthorised):
        rig.venue.settle("paper")
    note = rig.journal.order(wanted.intent_id)
    assert note is not None
    assert (note.status, OrderRecord.of(note).void_after) == (OrderStatus.PENDING, given_up)
    rig.double.faults["ClosedOrders"].clear()
    assert rig.settle() == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


def test_place_does_not_wait_for_the_margin_and_sends_nothing_before_it_has_passed(rig: Rig) -> None:
    venue = rig.another_venue(margin=dt.timedelta(seconds=60))  # as long as where it is not given
    rig.double.faults["AddOrder"] = [lost_before]
    wanted = rig.asked()
    order = venue.place(wanted)
    assert order.status is OrderStatus.UNKNOWN
    assert "does not show it yet" in order.reason
    assert rig.passing.now < 15  # deadline and patience
    rig.double.skew = 60
    slept = rig.passing.now
    assert [each.status for each in venue.settle("paper")] == [OrderStatus.UNKNOWN]
    assert rig.passing.now == slept
    assert rig.double.methods().count("AddOrder") == 1
    rig.double.skew = 75
    given_up = sent_reason(NEVER_TAKEN, OrderRecord.of(order).void_after or NOON)
    assert [state(each) for each in venue.settle("paper")] == [(OrderStatus.PENDING, given_up)]
    assert [each.status for each in venue.settle("paper")] == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


# --- how old an entry may be


@pytest.mark.parametrize(
    ("hours", "reduces", "status"),
    [(2.0, False, OrderStatus.FILLED), (2.5, False, OrderStatus.REJECTED), (500.0, True, OrderStatus.FILLED)],
)
def test_an_entry_is_placed_while_it_is_young_and_an_exit_always(
    rig: Rig, hours: float, reduces: bool, status: OrderStatus
) -> None:
    venue = rig.entries(dt.timedelta(hours=hours))
    wanted = rig.asked(reduces=reduces)
    order = venue.place(wanted)
    assert order.status is status
    assert len(rig.double.orders) == (status is OrderStatus.FILLED)
    if status is OrderStatus.REJECTED:
        assert "decided 2:30:00 ago, 2:00:00 is allowed" in order.reason
        assert rig.journal.unsettled("paper") == []


def test_an_old_entry_that_kraken_has_is_followed(rig: Rig) -> None:
    rig.double.faults["AddOrder"] = [lost_after]
    rig.double.faults["OpenOrders"] = [untouched, *[html_520_before] * 100]
    wanted = rig.asked()
    assert rig.entries(dt.timedelta(0)).place(wanted).status is OrderStatus.UNKNOWN
    rig.double.faults["OpenOrders"].clear()
    late = rig.entries(dt.timedelta(days=9))
    assert [each.status for each in late.settle("paper")] == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


def test_an_old_entry_whose_response_was_lost_is_rejected_only_once_kraken_surely_does_not_have_it(
    rig: Rig,
) -> None:
    rig.double.faults["AddOrder"] = [lost_before]
    wanted = rig.asked()
    order = rig.entries(dt.timedelta(0)).place(wanted)
    assert order.reason.startswith(NEVER_TAKEN)
    late = rig.entries(dt.timedelta(hours=3))
    assert [each.status for each in late.settle("paper")] == [OrderStatus.REJECTED]
    assert rig.double.orders == {}


def test_a_market_whose_time_is_not_known_postpones_entries_and_no_exits(rig: Rig) -> None:
    def unknown() -> dt.datetime:
        raise VenueUnreachable("nobody tells the time")

    venue = kraken_venue(rig.client, rig.journal, market_now=unknown)
    assert venue.place(rig.asked()).status is OrderStatus.PENDING
    assert venue.place(rig.asked(reduces=True)).status is OrderStatus.FILLED
    assert len(rig.double.orders) == 1


@pytest.mark.parametrize("words", ["EService:Connection lost", "EOrder:Client order id not unique"])
def test_an_error_that_is_no_certain_refusal_is_followed_by_a_lookup(rig: Rig, words: str) -> None:
    def taken_but_saying(act: Callable[[], bytes]) -> Reply:
        act()
        return saying(words)(act)

    rig.double.faults["AddOrder"] = [taken_but_saying]
    assert rig.place().status is OrderStatus.FILLED
    assert len(rig.double.orders) == 1


def test_a_closed_order_is_found_although_the_venue_does_not_find_it_by_its_client_order_id(rig: Rig) -> None:
    rig.double.finds_closed = False
    rig.double.faults["AddOrder"] = [lost_after]
    assert rig.place().status is OrderStatus.FILLED
    assert rig.venue.settle("paper") == []
    assert len(rig.double.orders) == 1
    read = [
        fields
        for method, fields in rig.double.calls
        if method == "ClosedOrders" and "cl_ord_id" not in fields
    ]
    assert [int(fields["end"]) - int(fields["start"]) for fields in read] == [240]
    assert int(read[0]["start"]) < time.time() < int(read[0]["end"])


def test_a_lookup_that_returns_orders_of_others_is_an_error(rig: Rig) -> None:
    rig.place()
    unfiltered = rig.double.ClosedOrders({})
    rig.double.ClosedOrders = lambda fields: unfiltered  # type: ignore[method-assign]
    with pytest.raises(InvalidMessage, match="asked for client order id"):
        rig.place()
    assert len(rig.double.orders) == 1


def test_a_killed_process_that_had_sent_its_order_does_not_send_it_again(rig: Rig) -> None:
    def killed(act: Any) -> Any:
        act()
        raise SystemExit

    wanted = rig.asked()
    client_add = rig.client.add_order
    rig.client.add_order = lambda request: killed(lambda: client_add(request))  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        rig.venue.place(wanted)
    note = rig.journal.order(wanted.intent_id)
    assert note is not None
    assert (note.status, OrderRecord.of(note).void_after is not None) == (OrderStatus.PENDING, True)
    rig.client.add_order = client_add  # type: ignore[method-assign]
    again = rig.another_venue()
    assert [each.status for each in again.settle("paper")] == [OrderStatus.FILLED]
    assert len(rig.double.orders) == 1


def test_a_killed_process_whose_order_is_still_on_its_way_waits_for_its_deadline(rig: Rig) -> None:
    wanted = rig.asked()
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=8)
    rig.journal.record_order(
        Order(wanted.intent_id, OrderStatus.PENDING, sent_reason("sent", until), NOON), []
    )
    assert state(rig.venue.place(wanted)) == (OrderStatus.PENDING, sent_reason(NEVER_TAKEN, until))
    assert rig.passing.now > 12
    assert "AddOrder" not in rig.double.methods()


@pytest.mark.parametrize(
    "words",
    ["EAPI:Rate limit exceeded", "EOrder:Rate limit exceeded", "EService:Market in cancel_only mode",
     "EGeneral:Invalid arguments:deadline", "EGeneral:Temporary lockout"],
)  # fmt: skip
def test_a_temporary_error_is_no_rejection(rig: Rig, words: str) -> None:
    rig.double.faults["AddOrder"] = [saying(words)]
    order = rig.place()
    assert order.status is OrderStatus.PENDING
    assert words in order.reason
    assert OrderRecord.of(order).void_after is None
    assert rig.settle() == [OrderStatus.FILLED]


def test_a_venue_that_is_away_leaves_the_intent_to_settle(rig: Rig) -> None:
    rig.double.faults["OpenOrders"] = [saying("EService:Unavailable")] * 5
    order = rig.place()
    assert order.status is OrderStatus.PENDING
    assert "EService:Unavailable" in order.reason
    assert "AddOrder" not in rig.double.methods()
    assert rig.settle() == [OrderStatus.FILLED]


@pytest.mark.parametrize("words", ["EAPI:Invalid key", "EGeneral:Permission denied"])
def test_a_key_that_may_not_trade_rejects_nothing(rig: Rig, words: str) -> None:
    rig.double.faults["AddOrder"] = [saying(words)]
    wanted = rig.asked()
    with pytest.raises(NotAuthorised, match=words):
        rig.venue.place(wanted)
    assert [each.intent_id for each in rig.journal.unsettled("paper")] == [wanted.intent_id]
    assert rig.settle() == [OrderStatus.FILLED]


def test_several_fills_are_booked_one_by_one(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.03")] * 30 + [Decimal("0.1")]
    wanted = rig.asked()
    assert state(rig.venue.place(wanted)) == (OrderStatus.FILLED, "")
    fills = rig.fills()
    assert len(fills) == 31
    assert sum(fill.quantity for fill in fills) == QUANTITY
    assert (fills[0].fee, fills[0].filled_at.microsecond) == (Decimal("0.01200"), 123456)


def test_an_order_that_fills_slowly_is_followed_over_restarts_and_booked_once(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.4")]
    order = rig.place()
    assert order.status is OrderStatus.ACCEPTED
    assert "open, 0.004 of 0.01 are filled" in order.reason
    assert rig.filled() == QUANTITY * Decimal("0.4")
    rig.double.finds_closed = False  # its own id is enough
    (key,) = rig.double.orders
    rig.double.fill(key, QUANTITY * Decimal("0.6"))
    again = rig.another_venue()
    assert [state(each) for each in again.settle("paper")] == [(OrderStatus.FILLED, "")]
    assert [fill.quantity for fill in rig.fills()] == [Decimal("0.0040"), Decimal("0.0060")]
    assert len(rig.double.orders) == 1


def test_an_order_canceled_after_a_partial_fill_is_final_with_the_filled_part_in_its_reason(rig: Rig) -> None:
    rig.double.shares, rig.double.ended = [Decimal("0.4")], "canceled"
    order = rig.place()
    assert order.status is OrderStatus.FILLED
    assert order.reason.endswith("canceled: Market price protection, after 0.004 of 0.01 BTC")
    assert rig.filled() == QUANTITY * Decimal("0.4")
    assert rig.venue.settle("paper") == []


def test_an_order_that_was_canceled_without_a_fill_is_rejected(rig: Rig) -> None:
    rig.double.shares, rig.double.ended = [Decimal(0)], "expired"
    rig.double.fill = lambda key, quantity: rig.double.orders[key].update(status="expired", closetm=1.0)  # type: ignore[method-assign]
    order = rig.place()
    assert order.status is OrderStatus.REJECTED
    assert order.reason.endswith("expired")
    assert rig.journal.balances("paper") == OPENING


def test_an_order_is_not_final_before_all_its_fills_are_listed(rig: Rig) -> None:
    rig.double.shares = [Decimal("0.5"), Decimal("0.5")]
    truth = rig.double.QueryOrders

    def without_the_last(fields: dict[str, str]) -> Any:
        return {key: {**each, "trades": each["trades"][:-1]} for key, each in truth(fields).items()}

    rig.double.QueryOrders = without_the_last  # type: ignore[method-assign]
    order = rig.place()
    assert order.status is OrderStatus.ACCEPTED
    assert "0.005 BTC of its fills are not listed yet" in order.reason
    rig.double.QueryOrders = truth  # type: ignore[method-assign]
    assert [state(each) for each in rig.venue.settle("paper")] == [(OrderStatus.FILLED, "")]
    assert rig.filled() == QUANTITY


def test_an_accepted_order_that_cannot_be_queried_is_found_by_its_id_later(rig: Rig) -> None:
    rig.double.faults["QueryOrders"] = [html_520_before] * 10
    order = rig.place()
    (key,) = rig.double.orders
    assert order.status is OrderStatus.ACCEPTED
    assert order.reason.startswith(accepted_reason(key, f"Kraken QueryOrders at {rig.double.url}: HTTP 520"))
    assert rig.settle() == [order.status]
    rig.double.faults["QueryOrders"].clear()
    assert rig.settle() == [OrderStatus.FILLED]
    assert (len(rig.double.orders), rig.double.methods().count("AddOrder")) == (1, 1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"vol": "0.02"}, "is buy 0.02 XBTUSDT"), ({"cl_ord_id": "another"}, "asked for client order id"),
        ({"oflags": "fcib"}, "its fee is in BTC"), ({"vol_exec": "0.009"}, "closed with 0.009"),
        ({"vol_exec": "0.011"}, "0.011 of 0.01"),
    ],
)  # fmt: skip
def test_an_order_that_is_not_the_one_asked_for_is_not_booked(
    rig: Rig, wrong: dict[str, str], named: str
) -> None:
    wanted = rig.asked()
    rig.venue.place(wanted)
    next(iter(rig.double.orders.values())).update(wrong)
    other = MemoryJournal()
    opened(other).record_decision(receipt(wanted.decision_id), wanted)
    rig.double.finds_closed = True
    rig.double._named = lambda fields: iter(rig.double.orders.items())  # type: ignore[method-assign]
    with pytest.raises(InvalidMessage, match=named):
        kraken_venue(rig.venue._client, other).place(wanted)
    assert other.fills("paper") == []
    assert len(rig.double.orders) == 1


@pytest.mark.parametrize(
    ("share", "booked", "reason"),
    [
        ("0.999999", "0.00999999", ""),
        ("0.996", "0.00996", ""),
        ("0.9", "0.009", "Insignificant volume remaining"),
    ],
)
def test_an_order_that_kraken_closes_a_little_short_of_its_volume_is_final(
    rig: Rig, share: str, booked: str, reason: str
) -> None:
    """Kraken says `closed`, "Insignificant volume remaining" (ccxt#8816): nobody could order what is left."""
    rig.double.shares, rig.double.ended, rig.double.why = [Decimal(share)], "closed", reason
    wanted = rig.asked()
    order = rig.venue.place(wanted)
    (key,) = rig.double.orders
    noted = f"Kraken order {key} closed" + (f": {reason}" if reason else "")
    assert state(order) == (OrderStatus.FILLED, f"{noted}, after {booked} of 0.01 BTC")
    assert rig.filled() == Decimal(booked)
    assert (rig.settle(), rig.journal.unsettled("paper")) == ([], [])


def test_a_failure_holds_up_no_other_intent_and_is_raised_in_the_end(rig: Rig) -> None:
    rig.asked()
    rig.asked(created_at=NOON + dt.timedelta(minutes=1))
    rig.double.faults["AddOrder"] = [saying("EAPI:Invalid key")]
    with pytest.raises(NotAuthorised):
        rig.venue.settle("paper")
    assert len(rig.double.orders) == 1
    assert len(rig.journal.unsettled("paper")) == 1


def test_two_threads_that_place_the_same_intent_place_one_order(rig: Rig) -> None:
    wanted = rig.asked()
    at_once(lambda venue: venue.place(wanted), [kraken_venue(rig.client, rig.journal) for _ in range(4)])
    assert len(rig.double.orders) == 1
    assert len(rig.fills()) == 1


PROGRAM = """
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tests.contracts.trade import decided, opened
from tests.contracts.venues import kraken_venue
from tests.doubles.stores import MemoryJournal
from trading.stores.postgres import PostgresKeyState
from trading.venues.kraken import Allowance, Credentials, KrakenClient, RateLimit
folder, url, key, secret, identity, dsn = sys.argv[1:]
many = RateLimit(10_000, 1000)
journal = opened(MemoryJournal())
intent = decided(journal, "d", intent_id=identity)
keys = PostgresKeyState(dsn)
with KrakenClient(Path(folder), Credentials(key, secret), url, Allowance(many, many), many, keys=keys) as client:
    print(kraken_venue(client, journal).place(intent).status.value, len(journal.fills("paper")))
"""


def test_two_processes_that_place_the_same_intent_place_one_order(rig: Rig, tmp_path: Path, dsn: str) -> None:
    command = [
        sys.executable, "-c", PROGRAM, str(tmp_path), rig.double.url, CREDENTIALS.key, CREDENTIALS.secret,
        str(uuid.uuid4()), dsn,
    ]  # fmt: skip
    programs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [program.communicate(timeout=120) for program in programs]
    assert [output for output, _ in said] == ["filled 1\n", "filled 1\n"], said
    assert len(rig.double.orders) == 1


def test_an_order_carries_its_identity_its_deadline_and_where_its_fee_is_taken(rig: Rig) -> None:
    wanted = rig.asked()
    rig.venue.place(wanted)
    sent = next(fields for method, fields in rig.double.calls if method == "AddOrder")
    deadline = dt.datetime.fromisoformat(sent["deadline"]).timestamp() - time.time()
    assert (sent["cl_ord_id"], sent["ordertype"], sent["oflags"]) == (wanted.intent_id, "market", "fciq")
    assert 2 < deadline <= 9


def test_the_deadline_is_on_the_venues_clock(rig: Rig) -> None:
    rig.double.skew = 3600
    rig.place()
    sent = next(fields for method, fields in rig.double.calls if method == "AddOrder")
    deadline = dt.datetime.fromisoformat(sent["deadline"]).timestamp() - time.time()
    assert 3602 < deadline <= 3609


def test_an_intent_that_is_no_uuid_gets_one_that_follows_from_it() -> None:
    assert client_order_id("intent-of-decision-1") == client_order_id("intent-of-decision-1")
    assert client_order_id("intent-of-decision-1") != client_order_id("intent-of-decision-2")
    assert uuid.UUID(client_order_id("intent-of-decision-1"))


def test_an_unknown_order_without_a_recorded_deadline_is_undecided_for_the_longest_one() -> None:
    order = Order(intent().intent_id, OrderStatus.UNKNOWN, "somebody else wrote this", NOON)
    assert OrderRecord.of(order).void_after == NOON + dt.timedelta(seconds=60)


@pytest.mark.parametrize("seconds", [1, 2, 3.9, 61])
def test_a_deadline_that_kraken_might_not_take_is_refused(rig: Rig, seconds: float) -> None:
    with pytest.raises(InvalidValue, match="Kraken takes 2 to 60 s"):
        kraken_venue(rig.client, rig.journal, deadline=dt.timedelta(seconds=seconds))
