"""Features that compare pairs: aligned by close time, unknown where the other pair is not known."""

from datetime import timedelta
from functools import partial

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import H1, M1, START, candles, holed, recorded, values
from trading.correlation import correlation
from trading.errors import InvalidCandles
from trading.fills import Costs
from trading.indicators import (
    FEATURE_NAMES,
    NO_COMPANIONS,
    POLICY_FEATURES,
    Companions,
    companion_pairs,
    companions_of,
    feature_table,
    live_row,
)
from trading.indicators.bias_checks import lookahead_columns
from trading.indicators.companions import leg_cost, reference_of
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.triangle import triangle_of

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
THREE = Universe((BTC, XRP, CROSS), "USDT", H1, "simulated")
FREE, USUAL = Costs(0.0, 0.0, 0.0), Costs(0.0026, 0.0001, 0.0002)
NOTHING = CANDLE_SCHEMA.to_frame()


def beside(pair: Pair, tables: dict[Pair, pl.DataFrame], costs: Costs = USUAL) -> Companions:
    return companions_of(pair, THREE, dict.fromkeys(THREE.pairs, costs), tables.__getitem__)


def three(count: int = 500) -> dict[Pair, pl.DataFrame]:
    return {pair: candles(count, seed) for seed, pair in enumerate(THREE.pairs)}


def test_every_pair_but_the_reference_itself_is_compared_with_the_pair_that_prices_btc() -> None:
    assert [reference_of(pair, THREE) for pair in THREE.pairs] == [None, BTC, BTC]
    assert reference_of(XRP, Universe((XRP,), "USDT", H1, "simulated")) is None


def test_the_companions_of_a_pair_are_its_reference_and_the_legs_of_its_triangle_each_once() -> None:
    assert {pair: set(companion_pairs(pair, THREE)) for pair in THREE.pairs} == {
        BTC: {XRP, CROSS}, XRP: {BTC, CROSS}, CROSS: {BTC, XRP},
    }  # fmt: skip
    assert companion_pairs(XRP, Universe((XRP, BTC), "USDT", H1, "simulated")) == (BTC,)


def test_a_pair_without_companions_is_its_own_reference_and_has_no_deviation() -> None:
    row = live_row(candles(300), H1)
    assert (row["btc_correlation"], row["triangle_deviation"], row["triangle_edge"]) == (1.0, 0.0, 0.0)


def test_correlation_is_that_of_the_last_hundred_returns_of_both() -> None:
    tables = three()
    features = feature_table(tables[XRP], H1, beside(XRP, tables))
    own, other = tables[XRP]["close"].to_numpy(), tables[BTC]["close"].to_numpy()
    assert features["btc_correlation"][-1] == pytest.approx(correlation(own[-101:], other[-101:]), rel=1e-12)


def test_deviation_is_that_of_the_cross_price_and_its_edge_what_costs_leave() -> None:
    tables = three()
    triangle = triangle_of(CROSS, THREE.pairs)
    assert triangle is not None
    prices = {pair: float(table["close"][-1]) for pair, table in tables.items()}
    row = feature_table(tables[CROSS], H1, beside(CROSS, tables)).row(-1, named=True)
    deviation = np.log(prices[CROSS] * prices[BTC] / prices[XRP])
    assert row["triangle_deviation"] == pytest.approx(deviation, rel=1e-12)
    edge = triangle.edge(deviation, {pair: leg_cost(USUAL) for pair in THREE.pairs})
    assert row["triangle_edge"] == pytest.approx(edge, rel=1e-9)
    assert abs(row["triangle_edge"]) < abs(row["triangle_deviation"])


def test_without_costs_the_edge_is_the_deviation() -> None:
    tables = three()
    features = feature_table(tables[CROSS], H1, beside(CROSS, tables, FREE))
    np.testing.assert_allclose(features["triangle_edge"], features["triangle_deviation"], rtol=1e-12)


def test_a_companion_s_candle_counts_only_once_it_has_closed() -> None:
    """A daily-late companion: its candle of the same hour closes half an hour later."""
    tables = three()
    shifted = tables[BTC].with_columns(pl.col("open_time", "close_time", "known_at") + timedelta(minutes=30))
    companions = beside(CROSS, tables | {BTC: shifted})
    row = feature_table(tables[CROSS], H1, companions).row(-1, named=True)
    cross, xrp, btc = tables[CROSS]["close"][-1], tables[XRP]["close"][-1], tables[BTC]["close"][-2]
    assert row["triangle_deviation"] == pytest.approx(np.log(cross * btc / xrp), rel=1e-12)


def test_a_companion_of_three_candles_ago_still_counts_and_an_older_one_is_unknown_not_filled() -> None:
    tables = three()
    stopped = tables | {BTC: tables[BTC][:400]}
    features = feature_table(tables[CROSS], H1, beside(CROSS, stopped))
    known = features["triangle_deviation"].is_not_null().to_list()
    assert known == [row < 403 for row in range(500)]
    assert features["triangle_edge"].is_not_null().to_list() == known
    assert features["btc_correlation"].is_not_null().to_list() == [100 <= row < 403 for row in range(500)]


def test_a_companion_of_which_nothing_is_known_leaves_null_not_the_value_of_being_alone() -> None:
    tables = three() | {BTC: NOTHING}
    row = live_row(tables[XRP], H1, beside(XRP, tables))
    assert {name for name, value in row.items() if value is None} == set(FEATURE_NAMES) - set(POLICY_FEATURES)


def test_what_a_policy_observes_is_finite_whatever_is_known_of_companions() -> None:
    tables = three() | {BTC: NOTHING, CROSS: NOTHING}
    features = feature_table(tables[XRP], H1, beside(XRP, tables))
    assert features.select(POLICY_FEATURES)[-1].null_count().sum_horizontal()[0] == 0
    assert features["regime"][-1] is not None


def test_a_row_is_known_once_its_companions_candles_are() -> None:
    tables = three(300)
    late = START + timedelta(days=40)
    slow = tables[BTC].with_columns(
        known_at=pl.when(pl.int_range(pl.len()) == 250).then(late).otherwise("known_at")
    )
    features = feature_table(tables[XRP], H1, beside(XRP, tables | {BTC: slow}))
    assert features["known_at"][249] == tables[XRP]["known_at"][249]
    assert features["known_at"][250:].unique().to_list() == [late]


def test_companions_do_not_let_the_future_in() -> None:
    tables = {pair: holed(table, seed) for seed, (pair, table) in enumerate(three().items())}
    compute = partial(feature_table, timeframe=H1, companions=beside(CROSS, tables))
    assert lookahead_columns(compute, tables[CROSS], [150, 301, 402]) == {}


@pytest.mark.parametrize("pair", THREE.pairs, ids=str)
def test_on_recorded_minutes_the_live_row_with_companions_is_the_table_s(pair: Pair) -> None:
    tables = {each: recorded(f"binance_{each.key}_1m_2021", M1) for each in THREE.pairs}
    own = tables[pair]
    whole = feature_table(own, M1, beside(pair, tables))
    spread = np.nanstd(values(whole), axis=0)
    for end in range(17_000, own.height, 2_503):
        until = own["close_time"][end - 1]
        seen = {
            each: table.filter(pl.col("close_time") <= until).tail(16_000) for each, table in tables.items()
        }
        row = live_row(own[:end], M1, beside(pair, seen))
        for name, size in zip(FEATURE_NAMES, spread, strict=True):
            expected = whole[name][end - 1]
            assert row[name] == pytest.approx(expected, rel=1e-9, abs=1e-9 * size), (name, end)


def test_a_companion_out_of_order_is_refused_by_its_time() -> None:
    tables = three()
    swapped = pl.concat([tables[BTC][:300], tables[BTC][200:201]])
    with pytest.raises(InvalidCandles, match=r"companion's candle of 2024-01-09 08:00.*does not come after"):
        feature_table(tables[XRP], H1, beside(XRP, tables | {BTC: swapped}))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), None])
def test_a_companion_with_an_impossible_close_is_refused_by_its_time(wrong: float | None) -> None:
    tables = three()
    broken = tables[BTC].with_columns(
        close=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit(wrong)).otherwise("close")
    )
    with pytest.raises(InvalidCandles, match=r"companion's candle of 2024-01-01 07:00"):
        feature_table(tables[XRP], H1, beside(XRP, tables | {BTC: broken}))


def test_an_empty_table_has_no_companions_to_look_at() -> None:
    assert feature_table(NOTHING, Timeframe.H1, NO_COMPANIONS).height == 0
    assert feature_table(NOTHING, Timeframe.H1, beside(XRP, three())).height == 0
