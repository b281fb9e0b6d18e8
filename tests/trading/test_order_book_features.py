"""Order book features: what the formulas say, that they are free of scale, and that no row sees past its close."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.market import Timeframe
from trading.order_book_features import (
    BEST_LEVELS,
    DESCRIPTIONS,
    ORDER_BOOK_SCHEMA,
    QUOTE_FEATURES,
    SAMPLE_COLUMNS,
    candle_features,
    sample_features,
)
from trading.ports.market_data import TAPE_SCHEMAS, TapeTable

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
M1 = Timeframe.M1
Levels = Sequence[tuple[float, float]]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def sample(
    second: float, bids: Levels = ((99, 1),), asks: Levels = ((101, 1),), known: float | None = None
) -> Any:
    prices = ([float(value) for value, _ in side] for side in (bids, asks))
    quantities = ([float(value) for _, value in side] for side in (bids, asks))
    (bid_prices, ask_prices), (bid_quantities, ask_quantities) = prices, quantities
    known_at = at(second + 0.05 if known is None else known)
    return (
        "kraken",
        "BTC-USDT",
        at(second),
        bid_prices,
        bid_quantities,
        ask_prices,
        ask_quantities,
        at(second),
        known_at,
    )


def tape(*samples: Any) -> pl.DataFrame:
    return pl.DataFrame(samples, schema=TAPE_SCHEMAS[TapeTable.BOOK], orient="row")


def one(bids: Levels, asks: Levels) -> dict[str, Any]:
    return sample_features(tape(sample(0, bids, asks))).row(0, named=True)


def test_the_worked_example() -> None:
    found = one([(99.0, 3.0), (98.0, 2.0)], [(101.0, 1.0), (103.0, 1.0)])
    assert {name: found[name] for name in BEST_LEVELS} == {
        "bid": 99.0, "bid_quantity": 3.0, "ask": 101.0, "ask_quantity": 1.0,
    }  # fmt: skip
    assert found["mid"] == 100.0
    assert found["spread"] == pytest.approx(0.02)
    assert found["imbalance"] == pytest.approx(0.5)
    assert found["microprice"] == pytest.approx(100.5)  # many buyers: nearer to the ask
    assert found["microprice_premium"] == pytest.approx(0.005)
    assert (found["bid_depth"], found["ask_depth"]) == (493.0, 204.0)
    assert found["depth_imbalance"] == pytest.approx((493 - 204) / (493 + 204))


def test_an_empty_side_leaves_null_what_needs_it_and_keeps_the_other() -> None:
    found = one([(99.0, 3.0)], [])
    assert (found["bid"], found["bid_depth"], found["ask"], found["ask_depth"]) == (99.0, 297.0, None, None)
    assert {name for name in SAMPLE_COLUMNS if found[name] is None} == {
        "ask", "ask_quantity", "ask_depth", "mid", "microprice", *QUOTE_FEATURES,
    }  # fmt: skip


PRICE, QUANTITY = st.floats(1e-7, 1e6), st.floats(1e-8, 1e8)
RISES = st.lists(st.floats(1e-6, 0.1), min_size=1, max_size=10)


@st.composite
def books(draw: st.DrawFn) -> tuple[Levels, Levels]:
    """Two sides around a price, best level first."""
    middle, sides = draw(PRICE), []
    for sign in (-1, 1):
        price, side = middle, []
        for rise in draw(RISES):
            price *= 1 + sign * rise
            side.append((price, draw(QUANTITY)))
        sides.append(side)
    return sides[0], sides[1]


@given(books())
def test_the_bounds_of_every_feature_hold_and_the_premium_is_half_the_spread_times_the_imbalance(
    book: tuple[Levels, Levels],
) -> None:
    found = one(*book)
    assert found["bid"] * (1 - 1e-12) <= found["microprice"] <= found["ask"] * (1 + 1e-12)
    assert found["bid"] <= found["mid"] <= found["ask"]
    assert 0 < found["spread"] < 2
    assert -1 <= found["imbalance"] <= 1
    assert -1 <= found["depth_imbalance"] <= 1
    assert found["microprice_premium"] == pytest.approx(found["imbalance"] * found["spread"] / 2, abs=1e-12)
    assert found["bid_depth"] == pytest.approx(math.fsum(price * quantity for price, quantity in book[0]))


@given(books(), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_the_features_are_free_of_the_scale_of_prices_and_quantities(
    book: tuple[Levels, Levels], price_scale: float, quantity_scale: float
) -> None:
    scaled = [[(price * price_scale, quantity * quantity_scale) for price, quantity in side] for side in book]
    plain, other = one(*book), one(*scaled)
    for name in QUOTE_FEATURES:
        assert other[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-9)


@given(books())
def test_buyers_and_sellers_exchanged_change_the_signs_alone(book: tuple[Levels, Levels]) -> None:
    """Seen from the quote asset, with prices as their inverse and quantities as they are."""
    bids, asks = ([(1 / price, quantity) for price, quantity in side] for side in book)
    plain, mirrored = one(*book), one(asks, bids)
    assert mirrored["imbalance"] == pytest.approx(-plain["imbalance"], abs=1e-12)


def minute_of(*samples: Any, interval: timedelta = SECOND) -> pl.DataFrame:
    """The features of every candle, also of the newest."""
    return candle_features(tape(*samples), M1, interval, at(9_000))


def test_a_row_is_the_last_sample_that_was_known_at_the_close() -> None:
    rows = minute_of(
        sample(57, [(99, 1)]),
        sample(58, [(98, 1)]),
        sample(59.5, [(97, 1)], known=60.01),  # of before the close, known after it
        sample(60, [(96, 1)]),
    )
    assert rows["bid"].to_list() == [98.0, None]  # the next candle's last sample is a minute old
    first = rows.row(0, named=True)
    assert (first["open_time"], first["close_time"], first["known_at"]) == (at(0), at(60), at(60))
    assert (first["sample_at"], first["sample_age"], first["samples"]) == (at(58), 2.0, 2)
    assert rows.row(1, named=True)["sample_at"] == at(60)


def test_what_became_known_exactly_at_the_close_is_of_the_candle_that_closes() -> None:
    rows = minute_of(sample(60, [(98, 1)], known=60.0), sample(119, [(97, 1)]))
    assert rows["bid"].to_list() == [98.0, 97.0]
    assert rows["sample_age"].to_list() == [0.0, 1.0]


def test_an_old_sample_is_no_book_of_the_close_and_its_candle_still_counts_it() -> None:
    rows = minute_of(sample(30), sample(49.9), interval=SECOND)
    [row] = rows.rows(named=True)
    assert (row["samples"], row["expected"], row["sample_age"]) == (2, 60, pytest.approx(10.1))
    assert {row[name] for name in SAMPLE_COLUMNS} == {None}
    assert row["mean_spread"] == pytest.approx(0.02)
    assert minute_of(sample(50))["spread"].to_list() == [pytest.approx(0.02)]


def test_means_are_those_of_the_candle_s_samples() -> None:
    rows = minute_of(sample(10, [(99, 3)], [(101, 1)]), sample(20, [(99, 1)], [(101, 1)]), sample(59))
    assert rows["mean_imbalance"].to_list() == [pytest.approx((0.5 + 0 + 0) / 3)]


def test_a_candle_without_a_sample_has_no_row() -> None:
    rows = minute_of(sample(59), sample(179))
    assert rows["open_time"].to_list() == [at(0), at(120)]


def test_a_candle_that_is_not_over_yet_is_left_out() -> None:
    samples = tape(sample(30), sample(59.9, known=59.95))
    assert candle_features(samples, M1, SECOND, at(59.99)).height == 0
    assert candle_features(samples, M1, SECOND, at(60)).height == 1


def test_crossed_samples_are_counted_and_left_out() -> None:
    rows = minute_of(sample(50, [(99, 1)]), sample(59, [(101, 1)], [(101, 1)]))
    assert rows.select("crossed", "samples", "bid").rows() == [(1, 1, 99.0)] or rows["crossed"].to_list() == [
        1
    ]
    [row] = rows.rows(named=True)
    assert (row["sample_at"], row["sample_age"]) == (at(50), 10.0)


def test_no_sample_gives_an_empty_table_of_the_same_columns() -> None:
    assert candle_features(tape(), M1, SECOND, at(60)).schema == ORDER_BOOK_SCHEMA
    assert minute_of(sample(1)).schema == ORDER_BOOK_SCHEMA
    assert set(DESCRIPTIONS) == set(ORDER_BOOK_SCHEMA)


SAMPLES = st.lists(
    st.tuples(st.integers(0, 600), st.floats(0, 70), st.floats(90, 99), st.floats(0.1, 9)),
    min_size=1,
    max_size=40,
)


@given(SAMPLES, st.integers(1, 9))
def test_what_becomes_known_after_a_close_never_changes_its_row(
    drawn: list[tuple[int, float, float, float]], minute: int
) -> None:
    samples = [sample(second, [(bid, size)], known=second + late) for second, late, bid, size in drawn]
    cut = at(60 * minute)
    known_then = [each for each in samples if each[-1] <= cut]
    whole = minute_of(*samples).filter(pl.col("close_time") <= cut)
    assert whole.equals(minute_of(*known_then).filter(pl.col("close_time") <= cut))
