"""Paper and exchange fill alike: the same intent at the same price, on paper and through Kraken's protocol."""

from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contracts.paper_world import PaperWorld
from tests.contracts.venues import LISTED, RICH, Clerk, SandboxWorld, paid, wanted
from tests.doubles.stores import MemoryJournal
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from trading.market import Pair
from trading.orders import Fill, OrderIntent, OrderStatus, Side

WHOLE = 10**6  # shares of the first level are counted in millionths


class Twins:
    """One decision after the other, each given to both venues at the same price."""

    def __init__(self, exchange: Sandbox, folder: Path) -> None:
        self.told = SandboxWorld(exchange, folder, RICH)
        self.paper = PaperWorld(MemoryJournal(), RICH)

    def decided(self, pair: Pair, side: Side, share: int) -> OrderIntent:
        """For so much of the first level, at least the smallest order, after the market has moved."""
        self.told.exchange.advance(60)
        book = self.told.exchange.running.exchange.book(pair, 1)
        (level,) = book.asks if side is Side.BUY else book.bids
        listed = LISTED[pair]
        least = max(listed.minimum_quantity, listed.minimum_cost * 2 / level.price)
        quantity = least + (level.quantity - least) * share / WHOLE
        quantity = quantity.quantize(listed.quantity_increment, ROUND_FLOOR)
        return wanted(pair=pair, side=side, quantity=quantity, stop_loss=None)

    def filled(self, asked: OrderIntent) -> tuple[Fill, Fill]:
        """On paper, and at the exchange as its REST interface tells it."""
        self.paper.reach(asked.pair, self.told.last(asked.pair))
        return only_fill(self.paper.clerk, asked), only_fill(self.told.clerk, asked)


def only_fill(clerk: Clerk, asked: OrderIntent) -> Fill:
    order = clerk.placed(asked).order
    assert order.status is OrderStatus.FILLED, order
    (fill,) = (each for each in clerk.fills.values() if each.intent_id == asked.intent_id)
    return fill


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), LISTED, tier=UNHURRIED.name) as exchange:
        twins = Twins(exchange, tmp_path_factory.mktemp("client"))
        yield twins
        twins.told.close()


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(LISTED)), st.sampled_from(Side), st.integers(0, WHOLE))
def test_the_same_intent_at_the_same_price_gives_the_same_fill(
    twins: Twins, pair: Pair, side: Side, share: int
) -> None:
    asked = twins.decided(pair, side, share)
    price = paid(twins.told.last(pair), side, LISTED[pair])
    on_paper, told = twins.filled(asked)
    assert (told.pair, told.side, told.fee_asset) == (on_paper.pair, on_paper.side, on_paper.fee_asset)
    assert (told.price, told.quantity) == (on_paper.price, on_paper.quantity) == (price, asked.quantity)
    assert told.fee == on_paper.fee


def test_fees_and_balances_of_the_exchange_equal_those_on_paper_to_the_last_digit(twins: Twins) -> None:
    for pair in sorted(LISTED):
        for side in Side:
            twins.filled(twins.decided(pair, side, 123_457))
    truth, account = twins.told.exchange.export(), twins.told.account
    theirs = [each for each in truth["fills"] if each["account"] == account]
    ours = twins.paper.journal.fills("paper")
    assert sorted(Decimal(each["fee"]) for each in theirs) == sorted(each.fee for each in ours)
    held = {
        each["asset"]: Decimal(each["amount"]) for each in truth["balances"] if each["account"] == account
    }
    assert twins.paper.journal.balances("paper") == held
