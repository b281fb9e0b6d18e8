"""What every venue promises, on paper and at an exchange: single calls whose errors say what happened."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.paper_world import PaperWorld
from tests.contracts.trade import NOON
from tests.contracts.venues import (
    LISTED,
    NOTHING,
    RICH,
    SandboxWorld,
    WebSocketWorld,
    World,
    adopted,
    closing,
    committed,
    is_refused,
    paid,
    wanted,
)
from tests.doubles.stores import MemoryJournal
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, UNHURRIED, XRP
from trading.errors import NotStored, OutcomeUnknown, VenueRefused, VenueUnreachable
from trading.market import Pair, PairStatus
from trading.orders import FINAL, OrderStatus, Side, WorkingOrder
from trading.ports import Journal, VenueOrder
from trading.stores.postgres import PostgresJournal

NOT_THERE = Pair("NOT", "THERE")
SMALLEST = Decimal("0.00000001")
FEE = Decimal("0.004")


class VenueContract:
    """Every venue keeps these promises; each test class only makes its worlds."""

    @pytest.fixture
    def world(self) -> World:
        """An account with little money, whose orders the market fills whole."""
        raise NotImplementedError

    @pytest.fixture
    def deep(self) -> World:
        """A rich account in a market that fills `large` in several parts."""
        raise NotImplementedError

    @property
    def large(self) -> Decimal:
        """BTC that the market fills in parts, and all of it in the end."""
        raise NotImplementedError

    # --- a market order is filled

    @pytest.mark.parametrize("side", Side)
    def test_a_market_order_pays_the_price_of_the_fill_model_and_the_fee(
        self, world: World, side: Side
    ) -> None:
        asked, price = wanted(side=side, stop_loss=None), paid(world.last(BTC), side, LISTED[BTC])
        order = world.clerk.placed(asked).order
        assert (order.status, order.reason, order.filled) == (OrderStatus.FILLED, "", asked.quantity)
        (fill,) = world.clerk.fills.values()
        assert (fill.intent_id, fill.account, fill.pair, fill.side) == (asked.intent_id, "paper", BTC, side)
        assert (fill.price, fill.quantity, fill.fee_asset) == (price, asked.quantity, "USDT")
        assert abs(fill.fee - price * asked.quantity * FEE) <= Decimal("0.000005")  # as it is told

    def test_what_was_bought_can_be_sold(self, world: World) -> None:
        world.clerk.placed(wanted(stop_loss=None))
        assert world.clerk.placed(closing()).order.status is OrderStatus.FILLED

    def test_the_most_that_money_can_pay_is_filled(self, world: World) -> None:
        asked = wanted(quantity=affordable(world, Decimal(1000) / (1 + FEE)), stop_loss=None)
        assert world.clerk.placed(asked).order.status is OrderStatus.FILLED
        assert 0 <= world.clerk.balances(world.opening)["USDT"] < 1

    # --- what is not filled

    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"quantity": Decimal("0.00004")}, id="below the least quantity"),
            pytest.param({"quantity": Decimal("0.0001")}, id="below the least cost"),
            pytest.param({"quantity": Decimal("0.010000005")}, id="between two increments"),
            pytest.param({"quantity": Decimal("0.2")}, id="more than the money"),
            pytest.param(
                {"quantity": Decimal("0.05") + SMALLEST, "side": Side.SELL}, id="more than is there"
            ),
            pytest.param({"pair": XRP, "side": Side.SELL, "quantity": Decimal(10)}, id="nothing of it"),
            pytest.param({"pair": NOT_THERE}, id="not traded"),
        ],
    )
    def test_an_order_that_cannot_be_filled_is_refused_and_changes_nothing(
        self, world: World, changes: dict[str, Any]
    ) -> None:
        asked = wanted(**{"stop_loss": None, **changes})
        is_refused(world, asked)
        assert world.orders(asked) == 0
        assert world.venue().books(NOON).balances == world.opening

    def test_the_fee_counts_when_money_is_just_enough_for_the_price(self, world: World) -> None:
        is_refused(world, wanted(quantity=affordable(world, Decimal(1000)), stop_loss=None))

    @pytest.mark.parametrize("status", [each for each in PairStatus if each is not PairStatus.ONLINE])
    def test_a_pair_that_is_not_online_takes_no_market_order(self, world: World, status: PairStatus) -> None:
        world.restrict(BTC, status)
        asked = wanted(stop_loss=None)
        with pytest.raises((VenueRefused, VenueUnreachable, NotStored, OutcomeUnknown)):
            world.clerk.sent(asked)
        assert world.orders(asked) == 0
        assert world.venue().books(NOON).balances == world.opening
        xrp = world.clerk.placed(wanted(pair=XRP, quantity=Decimal(100), stop_loss=None))
        assert xrp.order.status is OrderStatus.FILLED

    # --- reports

    def test_asking_again_tells_the_same(self, world: World) -> None:
        order = world.clerk.placed(wanted(stop_loss=None))
        first = dict(world.clerk.fills)
        assert world.clerk.asked(order) == order
        assert world.clerk.fills == first

    def test_an_order_whose_id_is_not_known_is_found(self, world: World) -> None:
        order = world.clerk.placed(wanted(stop_loss=None))
        nameless = committed(order.intent, sent_at=order.order.sent_at, void_after=order.order.void_after)
        assert world.venue().reports([nameless], world.clerk.until()) == world.venue().reports(
            [order], world.clerk.until()
        )

    def test_a_resting_order_whose_id_is_not_known_is_found(self, world: World) -> None:
        world.clerk.placed(wanted(stop_loss=None))
        stop = world.clerk.sent(closing(trigger=below(world)))
        nameless = committed(stop.intent, sent_at=stop.order.sent_at, void_after=stop.order.void_after)
        (report,) = world.venue().reports([nameless], world.clerk.until()).values()
        assert (report.venue_order_id, report.status) == (
            stop.order.venue_order_id,
            OrderStatus.ACKNOWLEDGED,
        )

    def test_an_order_that_the_venue_never_got_is_missing_and_the_others_are_told(self, world: World) -> None:
        order, venue = world.clerk.placed(wanted(stop_loss=None)), world.venue()
        never = committed(wanted(), sent_at=venue.now(), void_after=venue.void_after())
        told = venue.reports([never, order], world.clerk.until())
        assert set(told) == {order.intent.intent_id}

    def test_no_order_asked_for_no_order_told(self, world: World) -> None:
        assert world.venue().reports([], world.clerk.until()) == {}

    # --- partly filled

    def test_an_order_in_parts_is_told_fill_by_fill(self, deep: World) -> None:
        order = final(deep, deep.clerk.placed(wanted(quantity=self.large, stop_loss=None)))
        assert order.order.status is OrderStatus.FILLED
        assert len(deep.clerk.fills) > 1
        assert sum(fill.quantity for fill in deep.clerk.fills.values()) == order.order.filled == self.large

    def test_stops_cover_what_an_entry_in_parts_has_bought(self, deep: World) -> None:
        entry = deep.clerk.placed(wanted(quantity=self.large, stop_loss=Decimal(20_000)))
        stops = deep.venue().stops_of(entry)
        assert sum(each.quantity for each in stops) == entry.order.filled > 0
        assert {each.parent_id for each in stops} == {entry.order.venue_order_id}

    # --- the stop with the entry

    def test_an_entry_takes_its_stop_with_it(self, world: World) -> None:
        level = below(world)
        entry = world.clerk.placed(wanted(stop_loss=level))
        (stop,) = world.venue().stops_of(entry)
        assert (stop.pair, stop.side, stop.trigger) == (BTC, Side.SELL, level)
        assert (stop.quantity, stop.filled) == (entry.intent.quantity, NOTHING)
        (order,) = world.clerk.stops(entry)
        assert order.order.status is OrderStatus.ACKNOWLEDGED
        assert [each.venue_order_id for each in world.venue().books(NOON).open_orders] == [
            stop.venue_order_id
        ]

    def test_an_entry_without_a_stop_has_none(self, world: World) -> None:
        entry = world.clerk.placed(wanted(stop_loss=None))
        assert world.venue().stops_of(entry) == []

    def test_a_stop_triggers_at_its_price_and_not_before(self, world: World) -> None:
        level = below(world)
        entry = world.clerk.placed(wanted(stop_loss=level))
        (stop,) = world.clerk.stops(entry)
        world.reach(BTC, level + LISTED[BTC].price_increment)
        assert world.clerk.asked(stop).order.status is OrderStatus.ACKNOWLEDGED
        world.reach(BTC, level)
        done = world.clerk.asked(stop)
        assert (done.order.status, done.order.filled) == (OrderStatus.FILLED, entry.intent.quantity)
        assert world.clerk.balances(world.opening)["BTC"] == world.opening["BTC"]

    def test_a_stop_that_has_been_filled_is_still_told_as_the_entrys(self, world: World) -> None:
        level = below(world)
        entry = world.clerk.placed(wanted(stop_loss=level))
        (before,) = world.venue().stops_of(entry)
        world.reach(BTC, level)
        (after,) = world.venue().stops_of(entry)
        assert (after.venue_order_id, after.filled) == (before.venue_order_id, before.quantity)
        assert world.clerk.asked(adopted(entry, after)).order.status is OrderStatus.FILLED

    # --- a stop of its own, amends, cancels

    def test_a_stop_of_its_own_rests_and_triggers(self, world: World) -> None:
        stop = self.resting(world)
        world.reach(BTC, stop.order.trigger or Decimal(0))
        assert world.clerk.asked(stop).order.status is OrderStatus.FILLED

    def test_an_amended_stop_triggers_at_its_new_price(self, world: World) -> None:
        stop = self.resting(world)
        old = stop.order.trigger
        assert old is not None
        lower = old - 500
        world.venue().amend(stop, lower)
        stop = world.clerk.asked(replace(stop, order=replace(stop.order, trigger=lower)))
        assert stop.order.trigger == lower
        world.reach(BTC, old)
        assert world.clerk.asked(stop).order.status is OrderStatus.ACKNOWLEDGED
        world.reach(BTC, lower)
        assert world.clerk.asked(stop).order.status is OrderStatus.FILLED

    def test_a_cancelled_stop_does_not_trigger(self, world: World) -> None:
        stop = self.resting(world)
        world.venue().cancel(stop)
        gone = world.clerk.asked(stop)
        assert (gone.order.status, gone.order.filled) == (OrderStatus.CANCELLED, NOTHING)
        world.reach(BTC, stop.order.trigger or Decimal(0))
        assert world.clerk.asked(stop).order.status is OrderStatus.CANCELLED
        assert world.venue().books(NOON).open_orders == ()

    def test_cancelling_twice_is_no_error(self, world: World) -> None:
        stop = self.resting(world)
        world.venue().cancel(stop)
        world.venue().cancel(world.clerk.asked(stop))
        assert world.clerk.asked(stop).order.status is OrderStatus.CANCELLED

    def test_cancelling_what_was_filled_meanwhile_leaves_it_filled(self, world: World) -> None:
        stop = self.resting(world)
        world.reach(BTC, stop.order.trigger or Decimal(0))
        world.venue().cancel(stop)
        assert world.clerk.asked(stop).order.status is OrderStatus.FILLED

    def test_a_stop_that_is_gone_cannot_be_amended(self, world: World) -> None:
        stop = self.resting(world)
        world.venue().cancel(stop)
        with pytest.raises(VenueRefused):
            world.venue().amend(stop, (stop.order.trigger or Decimal(0)) - 100)
        filled = self.resting(world)
        world.reach(BTC, filled.order.trigger or Decimal(0))
        with pytest.raises(VenueRefused):
            world.venue().amend(filled, (filled.order.trigger or Decimal(0)) - 100)

    def resting(self, world: World) -> WorkingOrder:
        """A stop over a position, as the venue has it."""
        world.clerk.placed(wanted(stop_loss=None))
        stop = world.clerk.placed(closing(trigger=below(world)))
        assert (stop.order.status, stop.order.trigger) == (OrderStatus.ACKNOWLEDGED, stop.intent.trigger)
        return stop

    # --- books

    def test_books_are_what_happened(self, world: World) -> None:
        begins = world.venue().books(NOON).balances
        assert begins == world.opening
        entry = world.clerk.placed(wanted(stop_loss=below(world)))
        sold = world.clerk.placed(wanted(side=Side.SELL, quantity=Decimal("0.004"), stop_loss=None))
        books = world.venue().books(NOON)
        assert rounded(books.balances) == rounded(world.clerk.balances(world.opening))
        trades = [each for each in books.entries if each.kind == "trade"]
        named = {(each.fill_id, each.venue_order_id) for each in trades}
        known = {each.intent.intent_id: each.order.venue_order_id for each in (entry, sold)}
        assert named == {(fill.fill_id, known[fill.intent_id]) for fill in world.clerk.fills.values()}
        assert len({each.reference for each in books.entries}) == len(books.entries)
        (open_order,) = books.open_orders
        assert isinstance(open_order, VenueOrder)
        assert (open_order.parent_id, open_order.quantity) == (
            entry.order.venue_order_id,
            entry.intent.quantity,
        )

    def test_books_since_a_time_tell_what_changed_after_it(self, world: World) -> None:
        world.clerk.placed(wanted(stop_loss=None))
        earlier = world.venue().books(NOON).entries
        world.reach(BTC, world.last(BTC))
        world.clerk.placed(closing())
        every = world.venue().books(NOON).entries
        since = next(each.at for each in every if each not in earlier)
        later = world.venue().books(since).entries
        assert {each.reference for each in every} - {each.reference for each in earlier} <= {
            each.reference for each in later
        }
        assert all(each.at >= since for each in later)
        assert [each.at for each in every] == sorted(each.at for each in every)

    # --- what is traded, and when

    def test_an_instrument_is_known_or_an_error(self, world: World) -> None:
        for pair, listed in LISTED.items():
            assert world.venue().instrument(pair) == listed
        with pytest.raises(NotStored, match="NOT/THERE"):
            world.venue().instrument(NOT_THERE)

    def test_an_instrument_tells_that_its_pair_is_not_online(self, world: World) -> None:
        world.restrict(BTC, PairStatus.CANCEL_ONLY)
        assert world.venue().instrument(BTC).status is PairStatus.CANCEL_ONLY
        assert world.venue().instrument(XRP).status is PairStatus.ONLINE

    def test_an_order_is_void_before_it_counts_as_never_taken(self, world: World) -> None:
        venue = world.venue()
        now, void_after = venue.now(), venue.void_after()
        assert now <= void_after <= venue.never_taken_after(void_after)
        assert now.tzinfo is not None


def affordable(world: World, money: Decimal) -> Decimal:
    """As much BTC as this buys at the market, before fees."""
    price = paid(world.last(BTC), Side.BUY, LISTED[BTC])
    return (money / price).quantize(SMALLEST, ROUND_FLOOR)


def below(world: World) -> Decimal:
    """A level 2 % below the market, on the grid of prices."""
    return (world.last(BTC) * Decimal("0.98")).quantize(LISTED[BTC].price_increment)


def final(world: World, working: WorkingOrder) -> WorkingOrder:
    """Let the market trade on until the order is final."""
    for _ in range(50):
        if working.order.status in FINAL:
            return working
        world.reach(working.intent.pair, world.last(working.intent.pair))
        working = world.clerk.asked(working)
    raise AssertionError(working)


def rounded(balances: Any) -> dict[str, Decimal]:
    """Without what is empty, to the digits that a venue tells."""
    return {asset: each.quantize(SMALLEST) for asset, each in balances.items() if each}


class TestPaperVenueOnMemory(VenueContract):
    """On the ledger, over candles that the test makes."""

    large = Decimal("2.5")  # of candles that trade ten

    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()

    @pytest.fixture
    def world(self, journal: Journal) -> World:
        return PaperWorld(journal)

    @pytest.fixture
    def deep(self, journal: Journal) -> World:
        return PaperWorld(journal, RICH, volume=10)


class TestPaperVenueOnPostgres(TestPaperVenueOnMemory):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return PostgresJournal(dsn)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), LISTED, tier=UNHURRIED.name) as running:
        yield running


class TestKrakenVenue(VenueContract):
    """Against the sandbox, through Kraken's protocol."""

    large = Decimal(2)  # more than two levels of the book

    @pytest.fixture
    def world(self, exchange: Sandbox, tmp_path: Path) -> Iterator[World]:
        world = SandboxWorld(exchange, tmp_path)
        yield world
        world.close()

    @pytest.fixture
    def deep(self, exchange: Sandbox, tmp_path: Path) -> Iterator[World]:
        world = SandboxWorld(exchange, tmp_path, RICH)
        yield world
        world.close()

    def test_an_exit_is_refused_while_a_stop_holds_what_it_would_sell(self, world: World) -> None:
        """The sandbox holds what a waiting stop would sell; whether or not Kraken does, the ledger lets no more out."""
        level = below(world)
        held = world.opening["BTC"]
        stop = world.clerk.placed(closing(quantity=held, trigger=level))
        assert stop.order.status is OrderStatus.ACKNOWLEDGED
        with pytest.raises(VenueRefused, match="Insufficient funds"):
            world.clerk.sent(closing(quantity=held))
        world.venue().cancel(stop)
        assert world.clerk.placed(closing(quantity=held)).order.status is OrderStatus.FILLED
        world.reach(BTC, level)
        assert world.clerk.asked(stop).order.status is OrderStatus.CANCELLED
        assert world.clerk.balances(world.opening)["BTC"] == 0

    def test_an_entry_larger_than_the_book_is_cancelled_with_what_it_got_and_stops_over_exactly_that(
        self, deep: World
    ) -> None:
        asked = wanted(quantity=Decimal(100), stop_loss=Decimal(20_000))
        entry = deep.clerk.placed(asked)
        assert entry.order.status is OrderStatus.CANCELLED
        assert 0 < entry.order.filled < asked.quantity
        stops = deep.venue().stops_of(entry)
        assert len(stops) == len(deep.clerk.fills) > 20
        assert sum(each.quantity for each in stops) == entry.order.filled

    def test_stops_over_the_parts_of_an_entry_sell_exactly_what_it_bought(self, deep: World) -> None:
        level = below(deep)
        entry = deep.clerk.placed(wanted(quantity=self.large, stop_loss=level))
        stops = deep.clerk.stops(entry)
        deep.reach(BTC, level)
        done = [deep.clerk.asked(each) for each in stops]
        assert {each.order.status for each in done} == {OrderStatus.FILLED}
        assert deep.clerk.balances(deep.opening)["BTC"] == deep.opening["BTC"]


class TestKrakenVenueOverWebSocket(TestKrakenVenue):
    """Orders go over the WebSocket; what only looks is REST all the same."""

    @pytest.fixture
    def world(self, exchange: Sandbox, tmp_path: Path) -> Iterator[World]:
        with WebSocketWorld(exchange, tmp_path) as world:
            yield world

    @pytest.fixture
    def deep(self, exchange: Sandbox, tmp_path: Path) -> Iterator[World]:
        with WebSocketWorld(exchange, tmp_path, RICH) as world:
            yield world

    def test_orders_do_go_over_the_websocket(self, world: World) -> None:
        assert isinstance(world, WebSocketWorld)
        stop = self.resting(world)
        world.venue().amend(stop, (stop.order.trigger or Decimal(0)) - 100)
        world.venue().cancel(stop)
        assert world.rest_calls == []
