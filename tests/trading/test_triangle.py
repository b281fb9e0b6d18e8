import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.indicators.candle_walks import Array, recorded_closes
from trading.errors import InvalidValue, NotStored
from trading.market import Pair
from trading.orders import Side
from trading.triangle import LegCost, Round, Triangle, triangle_of

BTC, XRP, CROSS = (Pair.parse(text) for text in ("BTC/USDT", "XRP/USDT", "XRP/BTC"))
PAIRS = (BTC, XRP, CROSS)
COSTS = {BTC: LegCost(0.0026, 0.0001), XRP: LegCost(0.001, 0.0002), CROSS: LegCost(0.002, 0.0005)}
FREE = {pair: LegCost(0, 0) for pair in PAIRS}

prices = st.floats(1e-8, 1e8)
shares = st.floats(0, 0.05)
# Every way to quote three pairs among three assets.
QUOTED = [
    tuple(
        Pair(*sides) if straight else Pair(*reversed(sides))
        for sides, straight in zip(edges, turns, strict=True)
    )
    for edges in [(("A", "B"), ("B", "C"), ("A", "C"))]
    for turns in [(bool(code & 1), bool(code & 2), bool(code & 4)) for code in range(8)]
]


def triangle(pair: Pair, pairs: tuple[Pair, ...] = PAIRS) -> Triangle:
    found = triangle_of(pair, pairs)
    assert found is not None
    return found


def consistent(pairs: tuple[Pair, ...], worth: dict[str, float]) -> dict[Pair, float]:
    return {pair: worth[pair.base] / worth[pair.quote] for pair in pairs}


def recorded() -> dict[Pair, Array]:
    names = ("BTC-USDT_1h_2017-2020", "XRP-USDT_1h_2018-2020", "XRP-BTC_1h_2017-2020")
    return dict(zip(PAIRS, recorded_closes(*(f"binance_{name}" for name in names)), strict=True))


def sent_round(trip: Round, prices: dict[Pair, float], costs: dict[Pair, LegCost]) -> float:
    """Return what one unit comes back as, trade by trade, as a venue books it: fees on top or off the proceeds."""
    amount, asset = 1.0, trip.trades[0].source
    for trade in trip.trades:
        assert trade.source == asset
        cost, price = costs[trade.pair], prices[trade.pair]
        if trade.side is Side.SELL:
            assert asset == trade.pair.base
            amount *= price * (1 - cost.half_spread) * (1 - cost.taker_fee)
        else:
            assert asset == trade.pair.quote
            amount /= price * (1 + cost.half_spread) * (1 + cost.taker_fee)
        asset = trade.target
    assert asset == trip.trades[0].source
    return amount


@pytest.mark.parametrize(
    ("pair", "first", "second"),
    [
        (XRP, (CROSS, False), (BTC, False)),
        (CROSS, (XRP, False), (BTC, True)),
        (BTC, (CROSS, True), (XRP, False)),
    ],
)
def test_each_pair_finds_its_detour_and_how_its_legs_are_quoted(
    pair: Pair, first: tuple[Pair, bool], second: tuple[Pair, bool]
) -> None:
    found = triangle(pair)
    assert (found.first.pair, found.first.inverted) == first
    assert (found.second.pair, found.second.inverted) == second
    assert found.pairs == (pair, first[0], second[0])


def test_the_implied_price_is_the_detour() -> None:
    assert triangle(XRP).implied({BTC: 10_000.0, CROSS: 3e-5}) == pytest.approx(0.3)


@pytest.mark.parametrize("pairs", [(), (XRP,), (XRP, BTC), (XRP, Pair("ETH", "BTC"), BTC)])
def test_without_a_third_asset_there_is_no_triangle(pairs: tuple[Pair, ...]) -> None:
    assert triangle_of(XRP, pairs) is None


def test_of_several_detours_the_first_in_the_order_of_the_pairs_counts() -> None:
    through_ether = (Pair("XRP", "ETH"), Pair("ETH", "USDT"))
    assert triangle(XRP, (*through_ether, *PAIRS)).third == "ETH"
    assert triangle(XRP, (*PAIRS, *through_ether)).third == "BTC"


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(QUOTED), st.permutations([0, 1, 2]), prices, prices, prices)
def test_consistent_prices_deviate_by_nothing_however_the_pairs_are_quoted(
    pairs: tuple[Pair, ...], order: list[int], a: float, b: float, c: float
) -> None:
    worth = consistent(pairs, {"A": a, "B": b, "C": c})
    for pair in pairs:
        found = triangle(pair, tuple(pairs[index] for index in order))
        assert set(found.pairs) == set(pairs)
        assert found.deviation(worth) == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(prices, prices, prices)
def test_turning_a_pair_round_turns_the_sign(own: float, first: float, second: float) -> None:
    deviation = triangle(XRP).deviation({XRP: own, CROSS: first, BTC: second})
    turned = Pair("USDT", "XRP")
    other = triangle(turned, (turned, BTC, CROSS)).deviation({turned: 1 / own, CROSS: first, BTC: second})
    assert other == pytest.approx(-deviation, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(prices, prices, prices)
def test_all_three_pairs_see_one_deviation(own: float, first: float, second: float) -> None:
    at = {XRP: own, CROSS: first, BTC: second}
    deviation = triangle(XRP).deviation(at)
    assert [triangle(pair).deviation(at) for pair in (CROSS, BTC)] == pytest.approx(
        [-deviation] * 2, abs=1e-12
    )


@settings(deadline=None, max_examples=60)
@given(prices, prices, prices, st.floats(1e-3, 1e3))
def test_another_unit_of_an_asset_changes_no_deviation(
    own: float, first: float, second: float, unit: float
) -> None:
    deviation = triangle(XRP).deviation({XRP: own, CROSS: first, BTC: second})
    rescaled = triangle(XRP).deviation({XRP: own * unit, CROSS: first * unit, BTC: second})
    assert rescaled == pytest.approx(deviation, abs=1e-12)


@settings(deadline=None, max_examples=100)
@given(st.floats(-0.5, 0.5), st.lists(shares, min_size=6, max_size=6))
def test_an_edge_never_exceeds_its_deviation_nor_turns_it(deviation: float, parts: list[float]) -> None:
    costs = {pair: LegCost(*parts[2 * at : 2 * at + 2]) for at, pair in enumerate(PAIRS)}
    edge = triangle(XRP).edge(deviation, costs)
    assert abs(edge) <= abs(deviation)
    assert edge * deviation >= 0
    assert triangle(XRP).edge(deviation, FREE) == deviation


@settings(deadline=None, max_examples=100)
@given(
    st.floats(-0.2, 0.2), st.lists(shares, min_size=6, max_size=6), st.sampled_from(["USDT", "BTC", "XRP"])
)
def test_the_gain_is_what_comes_back_from_the_three_trades(
    deviation: float, parts: list[float], start: str
) -> None:
    costs = {pair: LegCost(*parts[2 * at : 2 * at + 2]) for at, pair in enumerate(PAIRS)}
    at = {BTC: 9000.0, CROSS: 3e-5, XRP: 0.27 * math.exp(deviation)}
    for pair in PAIRS:
        trip = triangle(pair).round(at, costs, start)
        if trip is None:
            both = [Round(triangle(pair)._trades(sign), 0.0) for sign in (1, -1)]
            assert all(sent_round(each, at, costs) <= 1 + 1e-12 for each in both)
        else:
            assert trip.trades[0].source == start
            assert sent_round(trip, at, costs) == pytest.approx(1 + trip.gain, rel=1e-12)
            assert trip.gain > 0


def test_costs_of_all_three_legs_eat_a_deviation_just_below_them() -> None:
    sale = COSTS[XRP].log_loss(Side.SELL)
    purchase = COSTS[BTC].log_loss(Side.BUY) + COSTS[CROSS].log_loss(Side.BUY)
    assert triangle(XRP).edge(sale + purchase - 1e-9, COSTS) == 0
    assert triangle(XRP).edge(sale + purchase + 1e-4, COSTS) == pytest.approx(1e-4)


def test_a_dear_pair_is_sold_and_a_cheap_one_bought() -> None:
    consistent_prices = {BTC: 10_000.0, CROSS: 3e-5, XRP: 0.3}
    for factor, side in ((1.05, Side.SELL), (0.95, Side.BUY)):
        trip = triangle(XRP).round(consistent_prices | {XRP: 0.3 * factor}, COSTS, "USDT")
        assert trip is not None
        assert {trade.pair: trade.side for trade in trip.trades}[XRP] is side


def test_a_round_says_its_path_and_gain() -> None:
    trip = triangle(XRP).round({BTC: 10_000.0, CROSS: 3e-5, XRP: 0.33}, FREE, "USDT")
    assert str(trip) == "USDT -> BTC -> XRP -> USDT gains 10.000 %"


def test_a_round_cannot_start_outside_its_triangle() -> None:
    with pytest.raises(InvalidValue, match="cannot start with ETH"):
        triangle(XRP).round({BTC: 10_000.0, CROSS: 3e-5, XRP: 0.4}, FREE, "ETH")


def test_arrays_give_the_same_as_floats_one_by_one() -> None:
    rng = np.random.default_rng(1)
    at = {pair: np.exp(rng.normal(0, 0.01, 50)) for pair in PAIRS}
    found = triangle(XRP)
    deviations = found.deviation(at)
    edges = found.edge(deviations, COSTS)
    single = [found.deviation({pair: float(at[pair][row]) for pair in PAIRS}) for row in range(50)]
    assert deviations.tolist() == single
    assert edges.tolist() == [found.edge(float(deviation), COSTS) for deviation in single]
    assert 0 < np.count_nonzero(edges) < 50


def test_an_unknown_price_is_an_unknown_deviation_and_no_opportunity() -> None:
    unknown = {BTC: 10_000.0, CROSS: math.nan, XRP: 0.3}
    assert math.isnan(triangle(XRP).deviation(unknown))
    assert triangle(XRP).round(unknown, FREE, "USDT") is None


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf])
def test_a_price_that_no_market_has_is_refused_by_pair(wrong: float) -> None:
    with pytest.raises(InvalidValue, match="a price of XRP/BTC is not above zero and finite"):
        triangle(XRP).deviation({BTC: 10_000.0, CROSS: wrong, XRP: 0.3})


def test_a_missing_price_or_cost_is_named() -> None:
    with pytest.raises(NotStored, match="no price of BTC/USDT: known pairs are XRP/USDT, XRP/BTC"):
        triangle(XRP).deviation({XRP: 0.3, CROSS: 3e-5})
    with pytest.raises(NotStored, match="no costs for XRP/BTC"):
        triangle(XRP).edge(0.1, {BTC: COSTS[BTC], XRP: COSTS[XRP]})


@pytest.mark.parametrize(("fee", "spread"), [(-0.1, 0.0), (1.0, 0.0), (0.0, math.nan), (0.0, -1e-9)])
def test_impossible_costs_are_refused_by_name(fee: float, spread: float) -> None:
    with pytest.raises(InvalidValue, match=r"(taker_fee|half_spread) is .*: allowed is from 0 to below 1"):
        LegCost(fee, spread)


def test_every_order_of_the_pairs_finds_the_same_triangle() -> None:
    assert {triangle(XRP, tuple(order)) for order in permutations(PAIRS)} == {triangle(XRP)}


def test_recorded_markets_keep_the_triangle_closed_but_for_the_costs() -> None:
    """Binance, hourly closes 2018-2020: half of them within 0.03 %, the furthest 0.7 % apart."""
    closes = recorded()
    deviations = triangle(XRP).deviation(closes)
    assert deviations.size > 15_000
    assert 1e-4 < np.median(np.abs(deviations)) < 5e-4
    assert abs(np.median(deviations)) < 1e-4
    assert np.abs(deviations).max() < 0.01
    edges = triangle(XRP).edge(deviations, {pair: LegCost(0.0026, 0.0001) for pair in PAIRS})
    assert not edges.any()
