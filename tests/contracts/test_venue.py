import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.trade import BTC, HOUR, NOON, OPENING, intent, receipt
from trading.errors import InvalidValue, NotStored
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Instrument, Pair, PairStatus
from trading.orders import OrderIntent, OrderStatus, Side
from trading.ports import Journal, Quote, Venue
from trading.stores.memory import MemoryJournal
from trading.stores.postgres import PostgresJournal
from trading.venues.paper import PaperVenue, rounded_against

COSTS = Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002)
INSTRUMENT = Instrument(
    pair=BTC,
    price_increment=Decimal("0.1"),
    quantity_increment=Decimal("0.0001"),
    minimum_quantity=Decimal("0.001"),
    minimum_cost=Decimal(5),
    taker_fee=Decimal("0.0026"),
    maker_fee=Decimal("0.0016"),
)


class Market:
    """A candle source that is asked for quotes alone; the test says when the next price is there."""

    origin = "test"

    def __init__(self) -> None:
        self.price: float | None = 10_000.0

    def span(self, pair: Pair) -> tuple[dt.datetime, dt.datetime]:
        return NOON, NOON + HOUR

    def candles(self, pair: Pair, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
        return CANDLE_SCHEMA.to_frame()

    def quote_after(self, pair: Pair, time: dt.datetime) -> Quote | None:
        return None if self.price is None else Quote(self.price, time + HOUR)


def venue_on(journal: Journal, market: Market, instruments: Mapping[Pair, Instrument] | None = None) -> Venue:
    return PaperVenue(journal, market, instruments or {BTC: INSTRUMENT}, {BTC: COSTS})


def wanted(journal: Journal, decision_id: str = "decision-1", **changes: Any) -> OrderIntent:
    each = intent(decision_id, **changes)
    journal.open_account("paper", OPENING, NOON - HOUR)
    journal.record_decision(receipt(decision_id), each)
    return each


class PaperVenueContract:
    """The paper venue keeps these promises on every journal."""

    @pytest.fixture
    def journal(self) -> Journal:
        raise NotImplementedError

    @pytest.fixture
    def market(self) -> Market:
        return Market()

    def test_a_buyer_pays_more_than_the_quote_and_the_fee(self, journal: Journal, market: Market) -> None:
        order = venue_on(journal, market).place(wanted(journal))
        (fill,) = journal.fills("paper")
        assert (order.status, order.reason, order.updated_at) == (OrderStatus.FILLED, "", NOON + HOUR)
        assert (fill.price, fill.quantity) == (Decimal("10003.0"), Decimal("0.01"))
        assert (fill.fee, fill.fee_asset) == (Decimal("0.2600780"), "USDT")
        assert journal.balances("paper")["USDT"] == Decimal(1000) - Decimal("100.03") - Decimal("0.260078")

    def test_a_seller_gets_less_than_the_quote(self, journal: Journal, market: Market) -> None:
        market.price = 10_000.06
        venue_on(journal, market).place(wanted(journal, side=Side.SELL))
        assert journal.fills("paper")[0].price == Decimal("9997.0")

    def test_placing_twice_fills_once(self, journal: Journal, market: Market) -> None:
        venue, order = venue_on(journal, market), wanted(journal)
        first = venue.place(order)
        market.price = 11_000.0
        assert venue_on(journal, market).place(order) == first
        assert venue.settle("paper") == []
        assert len(journal.fills("paper")) == 1

    def test_a_rejected_order_stays_rejected(self, journal: Journal, market: Market) -> None:
        order = wanted(journal, quantity=Decimal(1))
        first = venue_on(journal, market).place(order)
        market.price = 10.0
        assert first.status is OrderStatus.REJECTED
        assert venue_on(journal, market).place(order) == first

    def test_without_a_next_price_the_order_waits_and_is_settled_later(
        self, journal: Journal, market: Market
    ) -> None:
        market.price = None
        venue, order = venue_on(journal, market), wanted(journal)
        answer = venue.place(order)
        assert (answer.status, answer.reason) == (OrderStatus.ACCEPTED, "waits for the next candle's open")
        assert venue.settle("paper") == [answer]
        market.price = 10_000.0
        assert [each.status for each in venue.settle("paper")] == [OrderStatus.FILLED]
        assert venue.settle("paper") == []
        assert len(journal.fills("paper")) == 1

    def test_an_intent_that_never_reached_the_venue_is_filled_exactly_once(
        self, journal: Journal, market: Market
    ) -> None:
        wanted(journal)
        for _ in range(2):
            venue_on(journal, market).settle("paper")
        assert len(journal.fills("paper")) == 1

    def test_settling_leaves_other_accounts_alone(self, journal: Journal, market: Market) -> None:
        wanted(journal)
        assert venue_on(journal, market).settle("someone") == []
        assert journal.fills("paper") == []

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"quantity": Decimal("0.0005")}, r"0\.0005 BTC is below the minimum of 0\.001"),
            ({"quantity": Decimal("0.01005")}, r"0\.01005 is not a multiple of 0\.0001"),
            ({"quantity": Decimal("0.2")}, r"needs .* USDT, the account has 1000"),
            ({"quantity": Decimal("0.06"), "side": Side.SELL}, r"needs 0\.06 BTC, the account has 0\.05"),
            ({"pair": Pair("XRP", "USDT")}, "does not trade XRP/USDT"),
        ],
    )
    def test_an_order_that_cannot_be_filled_is_rejected_with_its_numbers(
        self, journal: Journal, market: Market, changes: dict[str, Any], reason: str
    ) -> None:
        order = venue_on(journal, market).place(wanted(journal, **changes))
        assert order.status is OrderStatus.REJECTED
        assert re.search(reason, order.reason)
        assert journal.balances("paper") == OPENING
        assert journal.order(order.intent_id) == order

    def test_a_cost_below_the_minimum_is_rejected(self, journal: Journal, market: Market) -> None:
        market.price = 100.0
        order = venue_on(journal, market).place(wanted(journal))
        assert (order.status, order.reason.split(" is ")[1]) == (
            OrderStatus.REJECTED,
            "below the minimum of 5",
        )

    def test_the_fee_counts_when_money_is_just_enough_for_the_price(
        self, journal: Journal, market: Market
    ) -> None:
        market.price = 9_997.0  # 0.1 BTC cost 1000.0 with spread and slippage, and the fee comes on top
        order = venue_on(journal, market).place(wanted(journal, quantity=Decimal("0.1")))
        assert order.status is OrderStatus.REJECTED

    @pytest.mark.parametrize("status", [each for each in PairStatus if each is not PairStatus.ONLINE])
    def test_a_pair_that_is_not_online_takes_no_order(
        self, journal: Journal, market: Market, status: PairStatus
    ) -> None:
        venue = venue_on(journal, market, {BTC: replace(INSTRUMENT, status=status)})
        order = venue.place(wanted(journal))
        assert (order.status, status.value in order.reason) == (OrderStatus.REJECTED, True)

    def test_a_pair_that_only_reduces_takes_the_order_that_closes(
        self, journal: Journal, market: Market
    ) -> None:
        venue = venue_on(journal, market, {BTC: replace(INSTRUMENT, status=PairStatus.REDUCE_ONLY)})
        order = venue.place(wanted(journal, side=Side.SELL, reduces=True))
        assert order.status is OrderStatus.FILLED

    def test_an_instrument_is_known_or_an_error(self, journal: Journal, market: Market) -> None:
        venue = venue_on(journal, market)
        assert venue.instrument(BTC) == INSTRUMENT
        with pytest.raises(NotStored, match="XRP/USDT"):
            venue.instrument(Pair("XRP", "USDT"))

    @pytest.mark.parametrize("price", [float("nan"), 0.0, float("inf")])
    def test_an_impossible_quote_fills_nothing(self, journal: Journal, market: Market, price: float) -> None:
        market.price = price
        with pytest.raises(InvalidValue, match="quotes"):
            venue_on(journal, market).place(wanted(journal))
        assert journal.balances("paper") == OPENING


class TestPaperVenueOnMemory(PaperVenueContract):
    @pytest.fixture
    def journal(self) -> Journal:
        return MemoryJournal()


class TestPaperVenueOnPostgres(PaperVenueContract):
    @pytest.fixture
    def journal(self, dsn: str) -> Journal:
        return PostgresJournal(dsn)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(1e-6, 1e6),
    st.sampled_from(Side),
    st.sampled_from([Decimal("0.1"), Decimal("0.00001"), Decimal("0.00000001")]),
)
def test_rounding_never_favours_the_trader_and_moves_less_than_one_increment(
    price: float, side: Side, increment: Decimal
) -> None:
    rounded = rounded_against(price, side, increment)
    exact = Decimal(format(price, ".15g"))
    assert rounded % increment == 0
    assert 0 <= side.sign * (rounded - exact) < increment


def test_a_price_on_the_grid_is_not_moved_by_the_noise_of_a_double() -> None:
    assert rounded_against(0.1 + 0.2, Side.BUY, Decimal("0.1")) == Decimal("0.3")
