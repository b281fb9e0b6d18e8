import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trading.candles import quality, violations
from trading.errors import InvalidValue, NotStored
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.simulation.market import SimulatedMarket

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
PAIRS = (BTC, XRP, CROSS)
START = datetime(2022, 1, 1, tzinfo=UTC)
END = START + timedelta(days=200)


def market(
    end: datetime = END, seed: int = 7, timeframe: Timeframe = Timeframe.H1, pairs: tuple[Pair, ...] = PAIRS
) -> SimulatedMarket:
    return SimulatedMarket(pairs, timeframe, seed, START, end)


def everything(simulated: SimulatedMarket, pair: Pair) -> pl.DataFrame:
    return simulated.candles(pair, START, datetime(2030, 1, 1, tzinfo=UTC))


FINGERPRINT = """
import hashlib
from datetime import UTC, datetime, timedelta
from trading.market import Pair, Timeframe
from trading.simulation.market import SimulatedMarket
start = datetime(2022, 1, 1, tzinfo=UTC)
pairs = (Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC"))
market = SimulatedMarket(pairs, Timeframe.H1, 7, start, start + timedelta(days=200))
candles = market.candles(pairs[2], start, start + timedelta(days=200))
numbers = candles.select("open", "high", "low", "close", "volume").to_numpy()
print(hashlib.sha256(numbers.tobytes()).hexdigest())
"""


def test_another_process_gives_the_same_bytes() -> None:
    printed = subprocess.run(
        [sys.executable, "-c", FINGERPRINT], capture_output=True, text=True, check=True
    ).stdout
    numbers = everything(market(), CROSS).select("open", "high", "low", "close", "volume").to_numpy()
    assert printed.strip() == hashlib.sha256(numbers.tobytes()).hexdigest()


def test_another_seed_gives_other_prices() -> None:
    assert everything(market(), BTC)["close"][5] != everything(market(seed=8), BTC)["close"][5]


@pytest.mark.parametrize("days", [1, 86, 130])
def test_a_later_end_changes_no_earlier_candle(days: int) -> None:
    for pair in PAIRS:
        early = everything(market(end=START + timedelta(days=days)), pair)
        assert early.equals(everything(market(), pair).head(early.height))


def test_the_order_of_requests_changes_no_candle() -> None:
    asked_late_first = market()
    asked_late_first.candles(CROSS, END - timedelta(days=1), END)
    assert everything(asked_late_first, BTC).equals(everything(market(), BTC))


def test_adding_a_pair_changes_no_other_price() -> None:
    assert everything(market(pairs=(BTC,)), BTC).equals(everything(market(), BTC))


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_every_candle_satisfies_the_invariants(timeframe: Timeframe) -> None:
    simulated = market(timeframe=timeframe, end=START + 3000 * timeframe.duration)
    for pair in PAIRS:
        candles = everything(simulated, pair)
        assert candles.schema == CANDLE_SCHEMA
        assert violations(candles, timeframe).is_empty()


def test_three_prices_agree_at_every_close_within_three_basis_points() -> None:
    simulated = market()
    btc, xrp, cross = (everything(simulated, pair)["close"].to_numpy() for pair in PAIRS)
    assert np.abs(cross * btc / xrp - 1).max() < 3e-4


def test_prices_go_on_from_one_candle_to_the_next() -> None:
    candles = everything(market(), BTC).with_columns(
        before=pl.col("close").shift(), late=pl.col("open_time").diff()
    )
    steps = candles.filter(pl.col("late") == timedelta(hours=1), pl.col("volume") > 0)
    assert (steps["open"] / steps["before"]).log().abs().max() < 0.03  # type: ignore[operator]


def test_large_moves_follow_large_moves() -> None:
    sizes = everything(market(), BTC)["close"].log().diff().abs().drop_nulls().to_numpy()
    assert np.corrcoef(sizes[1:], sizes[:-1])[0, 1] > 0.1


def test_the_direction_of_a_move_does_not_predict_the_next() -> None:
    returns = everything(market(), BTC)["close"].log().diff().drop_nulls().to_numpy()
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.06


def test_assets_move_together_and_volume_rises_with_the_size_of_a_move() -> None:
    simulated = market()
    btc, xrp = (everything(simulated, pair) for pair in (BTC, XRP))
    moves = [frame["close"].log().diff().drop_nulls().to_numpy() for frame in (btc, xrp)]
    assert np.corrcoef(moves[0], moves[1])[0, 1] > 0.5
    assert np.corrcoef(btc["volume"].to_numpy()[1:], np.abs(moves[0]))[0, 1] > 0.3


def test_some_candles_have_no_volume_and_some_are_missing() -> None:
    counts = quality(everything(market(), XRP), Timeframe.H1, "simulated")
    assert 0 < counts.zero_volume < 0.01 * counts.rows
    assert 0 < counts.missing < 0.01 * counts.rows


def test_a_candle_without_volume_repeats_the_last_price() -> None:
    candles = everything(market(), CROSS).with_columns(before=pl.col("close").shift())
    idle = candles.filter(
        pl.col("volume") == 0, pl.col("open_time").diff().fill_null(timedelta()) == timedelta(hours=1)
    )
    assert idle.height
    for name in ("open", "high", "low", "close"):
        assert idle[name].equals(idle["before"], check_names=False)


def test_start_prices_are_near_those_of_the_real_assets() -> None:
    simulated = market()
    assert 25_000 < everything(simulated, BTC)["open"][0] < 35_000
    assert 0.4 < everything(simulated, XRP)["open"][0] < 0.6


def test_no_candle_closes_after_the_end() -> None:
    end = START + timedelta(hours=100, minutes=30)
    simulated = market(end=end)
    last = everything(simulated, BTC)["close_time"].max()
    assert last == simulated.span(BTC)[1] == START + timedelta(hours=100)


def test_the_venue_sees_the_price_after_the_end() -> None:
    quote = market(end=START + timedelta(days=10)).quote_after(BTC, START + timedelta(days=10))
    later = everything(market(), BTC).filter(pl.col("open_time") >= START + timedelta(days=10))
    assert quote is not None
    assert (quote.price, quote.time) == (later["open"][0], later["open_time"][0])


def test_a_window_is_half_open_and_outside_the_span_it_is_empty() -> None:
    simulated = market()
    window = simulated.candles(BTC, START + timedelta(hours=2), START + timedelta(hours=5))
    assert window["open_time"].to_list() == [START + timedelta(hours=hour) for hour in (2, 3, 4)]
    assert simulated.candles(BTC, START - timedelta(days=9), START).is_empty()
    century = datetime(2100, 1, 1, tzinfo=UTC)
    assert simulated.candles(BTC, century, century + timedelta(days=365)).is_empty()


def test_forty_years_later_prices_are_still_possible() -> None:
    simulated = market(timeframe=Timeframe.D1, end=START + timedelta(days=365 * 40))
    for pair in PAIRS:
        candles = simulated.candles(pair, START, START + timedelta(days=365 * 40))
        assert violations(candles, Timeframe.D1).is_empty()


def test_any_assets_can_be_paired() -> None:
    pair = Pair("SOL", "EUR")
    candles = everything(market(pairs=(pair,)), pair)
    assert violations(candles, Timeframe.H1).is_empty()


def test_an_unknown_pair_is_an_error() -> None:
    with pytest.raises(NotStored, match="ETH/BTC is not simulated"):
        market().span(Pair("ETH", "BTC"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pairs": ()}, "pairs is empty"),
        ({"seed": -1}, "seed is -1"),
        ({"end": START}, "end is"),
        ({"end": datetime(2022, 5, 1)}, "time zone"),  # noqa: DTZ001
    ],
)
def test_impossible_arguments_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        market(**changed)  # type: ignore[arg-type]


def test_a_start_off_the_grid_is_refused() -> None:
    with pytest.raises(InvalidValue, match="must open a candle"):
        SimulatedMarket(PAIRS, Timeframe.H1, 1, START + timedelta(minutes=5), END)
