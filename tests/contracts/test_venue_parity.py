"""Paper and exchange fill alike: the same intent at the same price, on paper and through Kraken's protocol."""

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.trade import NOON
from tests.contracts.venues import LISTED, PaperWorld, asked, kraken_client, kraken_venue, paid
from tests.doubles.stores import MemoryJournal
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from trading.market import Pair
from trading.orders import Fill, OrderIntent, OrderStatus, Side
from trading.ports import Journal, Venue

RICH = {"USDT": Decimal(10**8), "BTC": Decimal(10**4), "XRP": Decimal(10**8)}
WHOLE = 10**6  # shares of the first level are counted in millionths


class Twins:
    """One decision after the other, each given to both venues at the same price."""

    def __init__(self, exchange: Sandbox, folder: Path) -> None:
        self.exchange = exchange.open_account("twin", RICH)
        self.client = kraken_client(self.exchange, folder)
        self.paper = PaperWorld(_rich())
        self.journal = _rich()
        self.venue = kraken_venue(self.client, self.journal)

    def decided(self, pair: Pair, side: Side, share: int) -> OrderIntent:
        """For so much of the first level, at least the smallest order, after the market has moved."""
        self.exchange.advance(60)
        book = self.exchange.running.exchange.book(pair, 1)
        (level,) = book.asks if side is Side.BUY else book.bids
        listed = LISTED[pair]
        least = max(listed.minimum_quantity, listed.minimum_cost * 2 / level.price)
        quantity = least + (level.quantity - least) * share / WHOLE
        step = listed.quantity_increment
        return asked(self.journal, pair=pair, side=side, quantity=quantity.quantize(step, ROUND_FLOOR))

    def filled(self, wanted: OrderIntent) -> tuple[Fill, Fill]:
        """On paper, and at the exchange as its REST interface tells it."""
        self.paper.quotes.prices[wanted.pair] = float(self.exchange.last(wanted.pair))
        copy = asked(self.paper.journal, **_terms(wanted))
        return _only_fill(self.paper.venue(), copy, self.paper.journal), _only_fill(
            self.venue, wanted, self.journal
        )


def _rich() -> Journal:
    journal = MemoryJournal()
    journal.open_account("paper", RICH, NOON)
    return journal


def _terms(wanted: OrderIntent) -> dict[str, object]:
    return {
        "intent_id": wanted.intent_id, "pair": wanted.pair, "side": wanted.side, "quantity": wanted.quantity,
    }  # fmt: skip


def _only_fill(venue: Venue, wanted: OrderIntent, journal: Journal) -> Fill:
    order = venue.place(wanted)
    assert order.status is OrderStatus.FILLED, order
    (fill,) = (each for each in journal.fills("paper") if each.intent_id == wanted.intent_id)
    return fill


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), LISTED, tier=UNHURRIED.name) as exchange:
        twins = Twins(exchange, tmp_path_factory.mktemp("client"))
        yield twins
        twins.client.close()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(LISTED)), st.sampled_from(Side), st.integers(0, WHOLE))
def test_the_same_intent_at_the_same_price_gives_the_same_fill(
    twins: Twins, pair: Pair, side: Side, share: int
) -> None:
    wanted = twins.decided(pair, side, share)
    price = paid(twins.exchange.last(pair), side, LISTED[pair])
    on_paper, told = twins.filled(wanted)
    assert (told.pair, told.side, told.fee_asset) == (on_paper.pair, on_paper.side, on_paper.fee_asset)
    assert (told.price, told.quantity) == (on_paper.price, on_paper.quantity) == (price, wanted.quantity)
    assert told.fee == on_paper.fee


def test_fees_and_balances_of_the_exchange_equal_those_on_paper_to_the_last_digit(twins: Twins) -> None:
    for pair in sorted(LISTED):
        for side in Side:
            twins.filled(twins.decided(pair, side, 123_457))
    truth = twins.exchange.export()
    theirs = [each for each in truth["fills"] if each["account"] == "twin"]
    ours = twins.paper.journal.fills("paper")
    assert sorted(Decimal(each["fee"]) for each in theirs) == sorted(each.fee for each in ours)
    held = {each["asset"]: Decimal(each["amount"]) for each in truth["balances"] if each["account"] == "twin"}
    assert twins.paper.journal.balances("paper") == held
