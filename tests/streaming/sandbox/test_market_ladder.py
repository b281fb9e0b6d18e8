"""The market maker's quotes, for random prices, costs and increments."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.events import Level
from streaming.sandbox.market.ladder import Ladder, LadderChanges
from streaming.sandbox.model import Listing
from tests.streaming.sandbox.market_cases import BTC, instrument
from trading.errors import InvalidValue
from trading.fills import Costs, execution_price
from trading.orders import Side
from trading.venues.paper_orders import rounded_against

BIDS, ASKS = Side.BUY, Side.SELL
COSTS = Costs(0.0026, 0.0001, 0.0002)


def listing(
    price: str = "0.1", quantity: str = "0.00000001", costs: Costs = COSTS, levels: int = 25
) -> Listing:
    return Listing(instrument(BTC, price, quantity), costs, Decimal(10_000), levels)


@st.composite
def listings(draw: st.DrawFn) -> Listing:
    price = draw(st.sampled_from(["0.1", "0.00001", "0.00000001", "0.5", "0.25", "5", "0.0003"]))
    quantity = draw(st.sampled_from(["0.00000001", "0.001", "1", "0.5"]))
    half_spread = draw(st.floats(1e-6, 0.09))
    slippage = draw(st.floats(0, 0.09))
    terms = listing(price, quantity, Costs(0.0026, half_spread, slippage), draw(st.integers(1, 60)))
    return replace(terms, level_value=Decimal(draw(st.sampled_from(["10000", "1E-9"]))))


counts = st.integers(1, 10**9)


def quoted(ladder: Ladder) -> dict[Side, dict[Decimal, Decimal]]:
    return {side: dict(ladder.levels(side)) for side in Side}


def applied(book: dict[Side, dict[Decimal, Decimal]], changes: LadderChanges) -> None:
    for side, levels in ((BIDS, changes.bids), (ASKS, changes.asks)):
        for price, quantity in levels:
            book[side].pop(price, None)
            if quantity:
                book[side][price] = quantity


@given(listings(), counts)
def test_the_best_quotes_are_what_the_fill_model_gives_a_market_order(terms: Listing, count: int) -> None:
    ladder, increment = Ladder(terms), terms.instrument.price_increment
    last = count * increment
    ladder.requote(last)
    for taker, side in ((Side.BUY, ASKS), (Side.SELL, BIDS)):
        paid = rounded_against(execution_price(float(last), float(taker.sign), terms.costs), taker, increment)
        best = ladder.best(side)
        assert (best[0] if best else Decimal(0)) == paid


@given(listings(), st.lists(counts, min_size=1, max_size=5))
def test_levels_are_ordered_positive_on_the_increments_and_never_cross(
    terms: Listing, prices: list[int]
) -> None:
    ladder = Ladder(terms)
    for count in prices:
        ladder.requote(count * terms.instrument.price_increment)
        bids, asks = ladder.levels(BIDS), ladder.levels(ASKS)
        assert len(asks) == terms.levels
        for levels, falls in ((bids, True), (asks, False)):
            told = [price for price, _ in levels]
            assert told == sorted(set(told), reverse=falls)
            assert all(price > 0 and price % terms.instrument.price_increment == 0 for price in told)
            assert all(size > 0 and size % terms.instrument.quantity_increment == 0 for _, size in levels)
        if bids:
            assert bids[0][0] < count * terms.instrument.price_increment < asks[0][0]


@given(listings(), st.lists(counts, min_size=1, max_size=6), st.data())
def test_the_changes_lead_from_each_book_to_the_next(
    terms: Listing, prices: list[int], data: st.DataObject
) -> None:
    ladder = Ladder(terms)
    book = quoted(ladder)
    for count in prices:
        changes = ladder.requote(count * terms.instrument.price_increment)
        old = {side: dict(levels) for side, levels in book.items()}
        applied(book, changes)
        assert book == quoted(ladder)
        for side, levels in ((BIDS, changes.bids), (ASKS, changes.asks)):
            assert all(old[side].get(price, Decimal(0)) != size for price, size in levels)
        if data.draw(st.booleans()):
            ladder.take(Side.BUY, None, 3 * terms.instrument.quantity_increment)
            book = quoted(ladder)


@given(
    listings(), counts, st.sampled_from(list(Side)), st.integers(1, 10**13), st.integers(-50, 50) | st.none()
)
def test_what_is_taken_is_what_is_missing(
    terms: Listing, count: int, taker: Side, wanted: int, reach: int | None
) -> None:
    ladder, increment = Ladder(terms), terms.instrument.price_increment
    ladder.requote(count * increment)
    side = ASKS if taker is Side.BUY else BIDS
    before = quoted(ladder)[side]
    limit = None if reach is None else max(count + reach, 1) * increment
    quantity = wanted * terms.instrument.quantity_increment
    taken = ladder.take(taker, limit, quantity)
    within = {
        price: size for price, size in before.items() if limit is None or (limit - price) * taker.sign >= 0
    }
    assert sum(size for _, size in taken) == min(quantity, sum(within.values(), Decimal(0)))
    assert [price for price, _ in taken] == list(within)[: len(taken)]
    after = quoted(ladder)[side]
    assert {price: size + dict(taken).get(price, Decimal(0)) for price, size in after.items()} == {
        price: before[price] for price in after
    }
    assert all(dict(taken)[price] == size for price, size in before.items() if price not in after)
    assert all(ladder.quantity_at(side, price) == after.get(price, Decimal(0)) for price in before)


def test_what_was_taken_is_offered_again_at_the_next_requote() -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    best = ladder.best(ASKS)
    assert best
    assert ladder.take(Side.BUY, None, best[1]) == [best]
    worse = ladder.best(ASKS)
    assert worse
    assert worse[0] > best[0]
    assert ladder.requote(Decimal("30000.0")) == LadderChanges((), (best,))
    assert ladder.best(ASKS) == best


def test_a_level_that_lost_a_part_is_whole_again_at_the_next_requote() -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    best = ladder.best(BIDS)
    assert best
    ladder.take(Side.SELL, None, Decimal("0.1"))
    assert ladder.best(BIDS) == (best[0], best[1] - Decimal("0.1"))
    assert ladder.requote(Decimal("30000.0")) == LadderChanges((best,), ())


@pytest.mark.parametrize("taker", list(Side))
def test_a_limit_reaches_the_level_at_its_own_price(taker: Side) -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    first, second, third, *_ = ladder.levels(ASKS if taker is Side.BUY else BIDS)
    assert ladder.take(taker, second[0], Decimal(100)) == [first, second]
    assert ladder.take(taker, None, Decimal("0.1")) == [(third[0], Decimal("0.1"))]


def test_whatever_level_becomes_the_best_holds_the_level_value() -> None:
    ladder = Ladder(listing())
    for tenths in range(300_000, 300_200):
        ladder.requote(Decimal(tenths).scaleb(-1))
        for side in Side:
            (price, quantity), *_ = ladder.levels(side)
            assert 10_000 <= price * quantity < 10_000 + price * Decimal("0.00000001")


def test_a_level_that_only_becomes_or_ends_being_the_best_is_no_change() -> None:
    ladder = Ladder(replace(listing(), level_value=Decimal("1E-9")))  # every level holds one increment
    ladder.requote(Decimal("30000.0"))
    for tenths in range(300_000, 300_200):
        before = quoted(ladder)
        changes = ladder.requote(Decimal(tenths).scaleb(-1))
        assert all(before[BIDS].get(price) != size for price, size in changes.bids)
        assert all(before[ASKS].get(price) != size for price, size in changes.asks)


def test_the_first_level_holds_the_level_value_and_the_others_about_as_much() -> None:
    ladder = Ladder(listing(levels=200))
    ladder.requote(Decimal("30000.0"))
    for side in Side:
        (price, quantity), *others = ladder.levels(side)
        assert 10_000 <= price * quantity < 10_000 + price * Decimal("0.00000001")
        values = [price * quantity for price, quantity in others]
        assert all(4_999 < value < 15_001 for value in values)
        assert 9_000 < sum(values) / len(values) < 11_000


@pytest.mark.parametrize("move", ["0.1", "1.0", "-1.0", "3.0"])
def test_a_small_move_changes_few_levels(move: str) -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    changes = ladder.requote(Decimal("30000.0") + Decimal(move))
    assert 0 < len(changes.bids) + len(changes.asks) <= 8


def test_a_requote_at_the_same_price_changes_nothing() -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    assert ladder.requote(Decimal("30000.0")) == LadderChanges((), ())


@given(st.lists(counts, min_size=1, max_size=5), st.integers(0, 3))
def test_the_same_seed_and_prices_give_the_same_quotes(prices: list[int], seed: int) -> None:
    one, other = Ladder(listing(), seed), Ladder(listing(), seed)
    for count in prices:
        assert one.requote(count * Decimal("0.1")) == other.requote(count * Decimal("0.1"))


@given(st.lists(counts, min_size=1, max_size=5))
def test_a_ladder_that_knows_the_step_quotes_the_same_whatever_was_quoted_before(prices: list[int]) -> None:
    ladder, later = Ladder(listing()), Ladder(listing())
    for count in prices:
        ladder.requote(count * Decimal("0.1"))
    later.restore(ladder.step)
    later.requote(prices[-1] * Decimal("0.1"))
    assert quoted(later) == quoted(ladder)


def test_another_seed_gives_other_quantities_at_the_same_prices() -> None:
    books = []
    for seed in (1, 2):
        ladder = Ladder(listing(), seed)
        ladder.requote(Decimal("30000.0"))
        books.append(ladder.levels(BIDS))
    assert [price for price, _ in books[0]] == [price for price, _ in books[1]]
    assert books[0] != books[1]


def test_the_grid_keeps_its_step_while_the_price_moves_to_and_fro() -> None:
    ladder = Ladder(listing())
    steps = set()
    for price in ("49999.9", "50000.1", "49000.0", "51000.0", "50000.0"):
        ladder.requote(Decimal(price))
        levels: list[Level] = list(ladder.levels(ASKS, 3))
        steps.add(levels[2][0] - levels[1][0])
    assert len(steps) == 1


def test_bids_end_above_zero() -> None:
    ladder = Ladder(listing(levels=1000))
    ladder.requote(Decimal("2.0"))
    assert ladder.levels(BIDS)[-1][0] == Decimal("0.1")
    assert len(ladder.levels(BIDS)) < 25
    assert len(ladder.levels(ASKS)) == 1000


def test_a_ladder_that_has_not_quoted_offers_nothing() -> None:
    ladder = Ladder(listing())
    assert ladder.best(BIDS) is None
    assert list(ladder.levels(ASKS)) == []
    assert ladder.take(Side.BUY, None, Decimal(1)) == []


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        (listing(levels=0), "levels is 0"),
        (listing(levels=1001), "levels is 1001"),
        (replace(listing(), level_value=Decimal(0)), "level_value is 0"),
        (replace(listing(), level_value=Decimal("NaN")), "level_value is NaN"),
        (listing(costs=Costs(0.0026, 0.0, 0.0)), "half_spread and slippage are zero"),
    ],
)
def test_a_listing_that_makes_no_book_is_refused(terms: Listing, complaint: str) -> None:
    with pytest.raises(InvalidValue, match=f"BTC/USDT: {complaint}"):
        Ladder(terms)


@pytest.mark.parametrize("last", ["0", "-1", "NaN", "Infinity", "100.05", "1E+17"])
def test_an_impossible_last_price_is_refused(last: str) -> None:
    with pytest.raises(InvalidValue, match="BTC/USDT"):
        Ladder(listing()).requote(Decimal(last))


@pytest.mark.parametrize("quantity", ["0", "-1", "NaN", "0.000000001"])
def test_a_quantity_off_the_increments_is_not_taken(quantity: str) -> None:
    ladder = Ladder(listing())
    ladder.requote(Decimal("30000.0"))
    with pytest.raises(InvalidValue, match="BTC/USDT quantity"):
        ladder.take(Side.BUY, None, Decimal(quantity))
