"""What every venue promises, on paper and at an exchange, whatever journal it books in."""

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.trade import NOON, OPENING, intent, opened
from tests.contracts.venues import LISTED, PaperWorld, SandboxWorld, World, asked, paid
from tests.doubles.stores import MemoryJournal
from tests.doubles.threads import at_once
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, UNHURRIED, XRP
from trading.errors import NotStored
from trading.market import Pair, PairStatus
from trading.orders import OrderIntent, OrderStatus, Side
from trading.ports import Journal
from trading.stores.postgres import PostgresJournal

NOT_THERE = Pair("NOT", "THERE")
SMALLEST = Decimal("0.00000001")
FEE = Decimal("0.004")


class VenueContract:
    """Every venue keeps these promises on every journal; each test class only makes its world."""

    @pytest.fixture
    def journal(self) -> Journal:
        return opened(MemoryJournal())

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    # --- a market order is filled

    @pytest.mark.parametrize("side", Side)
    def test_a_market_order_pays_the_price_of_the_fill_model_and_the_fee(
        self, world: World, side: Side
    ) -> None:
        wanted, price = asked(world.journal, side=side), paid(world.last(BTC), side, LISTED[BTC])
        order = world.venue().place(wanted)
        assert (order.intent_id, order.status, order.reason) == (wanted.intent_id, OrderStatus.FILLED, "")
        (fill,) = world.journal.fills("paper")
        assert (fill.intent_id, fill.pair, fill.side) == (wanted.intent_id, BTC, side)
        assert (fill.price, fill.quantity, fill.fee_asset) == (price, wanted.quantity, "USDT")
        assert abs(fill.fee - price * wanted.quantity * FEE) <= Decimal("0.000005")  # as it is told
        assert world.journal.balances("paper") == {
            "USDT": OPENING["USDT"] - side.sign * price * wanted.quantity - fill.fee,
            "BTC": OPENING["BTC"] + side.sign * wanted.quantity,
        }

    def test_the_order_is_in_the_journal_when_place_returns(self, world: World) -> None:
        wanted = asked(world.journal)
        assert world.venue().place(wanted) == world.journal.order(wanted.intent_id)
        assert world.journal.unsettled("paper") == []

    def test_what_was_bought_can_be_sold(self, world: World) -> None:
        world.venue().place(asked(world.journal))
        position = world.journal.position("paper", BTC)
        assert position is not None
        sold = world.venue().place(asked(world.journal, side=Side.SELL, reduces=True))
        assert sold.status is OrderStatus.FILLED
        assert world.journal.position("paper", BTC) is None

    def test_the_most_that_money_can_pay_is_filled(self, world: World) -> None:
        wanted = asked(world.journal, quantity=affordable(world, Decimal(1000) / (1 + FEE)))
        assert world.venue().place(wanted).status is OrderStatus.FILLED
        assert 0 <= world.journal.balances("paper")["USDT"] < 1

    # --- once

    def test_placing_twice_fills_once(self, world: World) -> None:
        wanted = asked(world.journal)
        first = world.venue().place(wanted)
        world.move()
        assert world.venue().place(wanted) == first
        assert world.venue().settle("paper") == []
        assert world.orders(wanted) == len(world.journal.fills("paper")) == 1

    def test_an_intent_that_never_reached_the_venue_is_filled_exactly_once(self, world: World) -> None:
        wanted = asked(world.journal)
        settled = [world.venue().settle("paper") for _ in range(2)]
        assert [[each.status for each in orders] for orders in settled] == [[OrderStatus.FILLED], []]
        assert world.orders(wanted) == len(world.journal.fills("paper")) == 1

    def test_threads_that_place_the_same_intent_place_one_order(self, world: World) -> None:
        wanted = asked(world.journal)
        answers = at_once(lambda venue: venue.place(wanted), [world.venue() for _ in range(3)])
        assert [each.status for each in answers] == [OrderStatus.FILLED] * 3
        assert world.orders(wanted) == len(world.journal.fills("paper")) == 1

    def test_settling_places_what_waits_oldest_first_and_leaves_other_accounts_alone(
        self, world: World
    ) -> None:
        waiting = [
            asked(world.journal, created_at=NOON.replace(minute=number), quantity=quantity)
            for number, quantity in enumerate((Decimal("0.01"), Decimal(9), Decimal("0.002")))
        ]
        assert world.venue().settle("someone") == []
        assert world.journal.fills("paper") == []
        settled = world.venue().settle("paper")
        assert [each.intent_id for each in settled] == [each.intent_id for each in waiting]
        assert [each.status.value for each in settled] == ["filled", "rejected", "filled"]
        assert [world.orders(each) for each in waiting] == [1, 0, 1]

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
    def test_an_order_that_cannot_be_filled_is_rejected_and_changes_nothing(
        self, world: World, changes: dict[str, Any]
    ) -> None:
        self.is_rejected(world, asked(world.journal, **changes))

    def test_the_fee_counts_when_money_is_just_enough_for_the_price(self, world: World) -> None:
        self.is_rejected(world, asked(world.journal, quantity=affordable(world, Decimal(1000))))

    def is_rejected(self, world: World, wanted: OrderIntent) -> None:
        order = world.venue().place(wanted)
        assert order.status is OrderStatus.REJECTED
        assert order.reason
        assert world.journal.order(wanted.intent_id) == order
        assert world.journal.balances("paper") == OPENING
        assert world.journal.unsettled("paper") == []
        assert world.orders(wanted) == 0

    def test_a_rejected_order_stays_rejected_when_it_could_be_filled_later(self, world: World) -> None:
        dear = asked(world.journal, quantity=affordable(world, Decimal(1500)))
        first = world.venue().place(dear)
        assert first.status is OrderStatus.REJECTED
        sold = world.venue().place(asked(world.journal, side=Side.SELL, quantity=Decimal("0.04")))
        assert sold.status is OrderStatus.FILLED
        assert world.journal.balances("paper")["USDT"] > 2000
        assert world.venue().place(dear) == first
        assert world.venue().settle("paper") == []
        assert world.orders(dear) == 0

    @pytest.mark.parametrize("status", [each for each in PairStatus if each is not PairStatus.ONLINE])
    def test_a_pair_that_is_not_online_takes_no_market_order(self, world: World, status: PairStatus) -> None:
        world.restrict(BTC, status)
        wanted = asked(world.journal)
        assert world.venue().place(wanted).status in (OrderStatus.REJECTED, OrderStatus.PENDING)
        assert world.orders(wanted) == 0
        assert world.journal.balances("paper") == OPENING
        xrp = world.venue().place(asked(world.journal, pair=XRP, quantity=Decimal(100)))
        assert xrp.status is OrderStatus.FILLED

    def test_an_intent_that_the_journal_does_not_know_is_not_placed(self, world: World) -> None:
        unheard = intent(intent_id="9b3ae1a4-8f55-4b3b-9d2f-3f2f8b7f3a51")
        with pytest.raises(NotStored, match="record the decision"):
            world.venue().place(unheard)
        assert world.orders(unheard) == 0

    # --- what is traded

    def test_an_instrument_is_known_or_an_error(self, world: World) -> None:
        for pair, listed in LISTED.items():
            assert world.venue().instrument(pair) == listed
        with pytest.raises(NotStored, match="NOT/THERE"):
            world.venue().instrument(NOT_THERE)

    def test_an_instrument_tells_that_its_pair_is_not_online(self, world: World) -> None:
        world.restrict(BTC, PairStatus.CANCEL_ONLY)
        assert world.venue().instrument(BTC).status is PairStatus.CANCEL_ONLY
        assert world.venue().instrument(XRP).status is PairStatus.ONLINE


def affordable(world: World, money: Decimal) -> Decimal:
    """As much BTC as this buys at the market, before fees."""
    price = paid(world.last(BTC), Side.BUY, LISTED[BTC])
    return (money / price).quantize(SMALLEST, ROUND_FLOOR)


class TestPaperVenueOnMemory(VenueContract):
    @pytest.fixture
    def world(self, journal: Journal) -> World:
        return PaperWorld(journal)


class TestPaperVenueOnPostgres(TestPaperVenueOnMemory):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return opened(PostgresJournal(dsn))


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), LISTED, tier=UNHURRIED.name) as running:
        yield running


class TestKrakenVenueOnMemory(VenueContract):
    """Against the sandbox, through Kraken's protocol."""

    @pytest.fixture
    def world(self, exchange: Sandbox, journal: Journal, tmp_path: Path) -> Iterator[World]:
        world = SandboxWorld(exchange, journal, tmp_path)
        yield world
        world.close()


class TestKrakenVenueOnPostgres(TestKrakenVenueOnMemory):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return opened(PostgresJournal(dsn))
