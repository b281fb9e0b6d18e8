from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.trading.backtest.backtest_markets import HOUR, MINUTE, START, bars, market, rules, steady
from trading.backtest import Bars, Decisions, Margin, Plan, run
from trading.candles import complete
from trading.errors import InvalidCandles, InvalidValue
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Timeframe

NAN = np.nan
OPENS = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(3)]
TICKS = Path(__file__).parents[3] / "../shared/data/ticks/kraken_BTC-USDT_trades_2023-11.parquet"


def table(**changes: object) -> pl.DataFrame:
    columns = {"open_time": OPENS, "open": [1.0] * 3, "high": [2.0] * 3, "low": [0.5] * 3, "close": [1.5] * 3}
    return complete(
        pl.DataFrame({**columns, "volume": [0.0] * 3, **changes}, strict=False), Timeframe.H1, "test"
    )


def test_bars_are_the_table_in_microseconds() -> None:
    found = Bars.of(table())
    assert found.open_time.tolist() == [int(time.timestamp()) * 1_000_000 for time in OPENS]
    assert (found.high.tolist(), found.length) == ([2.0] * 3, HOUR)
    assert len(found) == 3


def test_one_candle_knows_its_length_from_its_close() -> None:
    assert Bars.of(table().head(1)).length == HOUR


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"open_time": [OPENS[0], OPENS[2], OPENS[1]]},
            "candle 2 at 2024-01-01 01:00.*comes after 2024-01-01 02:00",
        ),
        ({"open_time": [OPENS[0], OPENS[1], OPENS[1]]}, "candle 2 at 2024-01-01 01:00.*is there twice"),
        ({"open_time": [OPENS[0], None, OPENS[1]]}, "1 of 3 candles have no open time"),
        ({"open": [1.0, NAN, 1.0]}, "candle 1 at 2024-01-01 01:00.*not a finite number.*open nan"),
        ({"close": [1.0, None, 1.0]}, "candle 1 .*not a finite number"),
        ({"high": [2.0, 2.0, np.inf]}, "candle 2 .*not a finite number.*high inf"),
        ({"low": [0.5, 0.0, 0.5]}, "candle 1 .*not above zero"),
        ({"low": [0.5, -1.0, 0.5]}, "candle 1 .*not above zero"),
        ({"high": [2.0, 1.2, 2.0]}, "candle 1 .*high is below another price"),
        ({"low": [0.5, 1.2, 0.5]}, "candle 1 .*low is above another price"),
    ],
)
def test_candles_that_cannot_be_are_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidCandles, match=message):
        Bars.of(table(**changes))


def test_no_candles_are_refused() -> None:
    with pytest.raises(InvalidCandles, match="no candles"):
        Bars.of(table().head(0))
    with pytest.raises(InvalidCandles, match="lack open, close"):
        Bars.of(table().drop("open", "close"))


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidCandles, match="one row each"):
        Bars(np.arange(3), np.ones(3), np.ones(3), np.ones(2), np.ones(3))


def test_candles_longer_than_their_distance_are_refused() -> None:
    with pytest.raises(InvalidCandles, match="cannot open"):
        replace(steady(3), length=2 * HOUR)


@given(arrays(np.float64, (4, 5), elements=st.floats(allow_nan=True, allow_infinity=True)))
@settings(deadline=None, max_examples=100)
def test_whatever_passes_the_check_is_a_market(prices: np.ndarray) -> None:
    try:
        found = Bars(np.arange(5) * HOUR, *prices)
    except InvalidCandles:
        sound = ((prices >= 1e-18) & (prices <= 1e18)).all()
        assert not (sound and (prices[1] >= prices.max(0)).all() and (prices[2] <= prices.min(0)).all())
        return
    assert (found.low >= 1e-18).all()
    assert (found.high <= 1e18).all()
    assert (found.high >= prices.max(0)).all()


@pytest.mark.parametrize("price", [5e-324, 1e-310, 1e-19, 1e19, 1e300])
def test_a_price_beyond_all_prices_is_refused_and_named(price: float) -> None:
    with pytest.raises(InvalidCandles, match="no price of anything"):
        Bars(np.arange(2) * HOUR, *np.full((4, 2), price))


def test_trades_of_one_moment_are_one_row() -> None:
    found = Bars.of_trades(np.array([5, 5, 5, 9]), np.array([3.0, 4.0, 2.0, 7.0]))
    columns = [getattr(found, name).tolist() for name in ("open_time", "open", "high", "low", "close")]
    assert columns == [[5, 9], [3.0, 7.0], [4.0, 7.0], [2.0, 7.0], [2.0, 7.0]]


@pytest.mark.parametrize("times", [[], [9, 5]])
def test_trades_that_cannot_be_are_refused(times: list[int]) -> None:
    with pytest.raises(InvalidCandles):
        Bars.of_trades(np.array(times, dtype=np.int64), np.ones(len(times)))


def test_stops_follow_recorded_trades() -> None:
    """Candles and path made from the same trades: every candle is followed, and each exit is a trade's moment."""
    if not TICKS.exists():
        pytest.skip("no recorded trades here")
    ticks = pl.read_parquet(TICKS).sort("timestamp", "id")
    time, price = ticks["timestamp"].dt.epoch("us"), ticks["price"]
    candles = (
        pl.DataFrame({"minute": time // (15 * MINUTE) * (15 * MINUTE), "price": price})
        .group_by("minute", maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
        )
    )
    base = Bars(
        *(candles[name].to_numpy() for name in ("minute", "open", "high", "low", "close")), length=15 * MINUTE
    )
    path = Bars.of_trades(time.to_numpy(), price.to_numpy())
    targets = np.arange(len(base)) % 2 * 1.0
    result = run(base, Plan(targets, stop=0.001, take_profit=0.001), rules(), path=path)
    assert result.path_candles == len(base)
    protected = result.fill_records[result.fill_records["reason"] != 0]
    assert protected.size > 20
    assert np.isin(protected["time"], path.open_time).all()
    assert result.equity[-1] != run(base, Plan(targets, stop=0.001, take_profit=0.001), rules()).equity[-1]


def test_a_path_that_goes_beyond_its_candle_is_of_another_market() -> None:
    candles = bars((100, 101, 99, 100), (100, 101, 99, 100))
    path = bars((100, 102, 99, 100), (100, 101, 99, 100))
    with pytest.raises(InvalidCandles, match=r"goes from 99\.0 to 102\.0 inside the candle"):
        run(candles, Plan(np.ones(2)), rules(), path=path)


def test_a_path_where_no_candle_is_is_of_another_market() -> None:
    candles = Bars(START + np.array([0, HOUR, 3 * HOUR]), *[np.ones(3)] * 4)
    path = Bars(START + np.array([0, HOUR, 2 * HOUR]), *[np.ones(3)] * 4)
    with pytest.raises(InvalidCandles, match="where no candle is"):
        run(candles, Plan(np.ones(3)), rules(), path=path)


def test_a_candle_whose_path_lacks_something_is_taken_as_it_is() -> None:
    whole, fine = market(np.random.default_rng(5), 40, HOUR, missing=0.0)
    kept = np.delete(np.arange(len(fine)), slice(80, 81))
    columns = (getattr(fine, name)[kept] for name in ("open_time", "open", "high", "low", "close"))
    result = run(whole, Plan(np.ones(40), stop=0.01), rules(), path=Bars(*columns))
    assert result.path_candles in (39, 40)  # 40 if the row left out held neither high nor low
    before = Bars(fine.open_time + 100 * HOUR, fine.open, fine.high, fine.low, fine.close)
    assert run(whole, Plan(np.ones(40)), rules(), path=before).path_candles == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": np.ones((2, 2))}, "one exposure per candle"),
        ({"target": np.array([1.0, np.inf])}, "target of candle 1 is infinite"),
        ({"stop": 0.0}, "stop of candle 0 is 0.0"),
        ({"stop": -0.1}, "stop of candle 0 is -0.1"),
        ({"trailing": np.array([0.1, -0.2])}, "trailing of candle 1 is -0.2"),
        ({"take_profit": np.ones(3)}, "one for each of 2 candles"),
    ],
)
def test_plans_that_cannot_be_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Plan(**{"target": np.ones(2), **arguments})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "ends", "targets"),
    [([2, 1], [2, 1], [1.0, 0.0]), ([0, 1], [1, 1], [1.0, 0.0]), ([0], [3], [1.0]), ([-1], [0], [1.0]),
     ([1], [0], [1.0]), ([0], [0], [NAN]), ([0, 1], [0], [1.0])],
)  # fmt: skip
def test_runs_that_cannot_be_are_refused(rows: list[int], ends: list[int], targets: list[float]) -> None:
    with pytest.raises(InvalidValue, match="run"):
        Decisions(np.array(rows), np.array(ends), np.array(targets), 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("drawdown_pause", 0.0), ("drawdown_pause", NAN), ("daily_loss", -0.1), ("losing_streak", -1),
        ("cool_down", timedelta(minutes=-1)), ("cool_down_candles", -1),
        ("trailing_after", -1.0), ("trailing_after", np.inf),
        ("leverage", 0.0), ("leverage", 21.0), ("leverage", NAN),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidValue, match=f"{name} is .*: allowed is"):
        rules(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("opening_fee", -0.1), ("rollover_fee", 0.1), ("rollover_hours", 0.0), ("liquidation_level", 1.0)],
)
def test_margin_that_cannot_be_is_refused_by_name(name: str, value: float) -> None:
    fair = {"opening_fee": 0.0, "rollover_fee": 0.0, "rollover_hours": 4.0, "liquidation_level": 0.4}
    with pytest.raises(InvalidValue, match=f"{name} is"):
        Margin(**{**fair, name: value})


def test_no_leverage_at_which_a_fill_would_cost_half_of_the_account() -> None:
    with pytest.raises(InvalidValue, match=r"leverage is 5\.0"):
        rules(costs=Costs(0.09, 0.05, 0.05), leverage=5.0)


def test_candles_of_the_lake_are_what_bars_are_made_from() -> None:
    assert set(table().columns) == set(CANDLE_SCHEMA)
