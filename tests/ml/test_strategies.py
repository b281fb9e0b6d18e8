"""Plans of each strategy from stored candles and features, and their back-tests."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml.backtests import Backtester, BacktestRequest
from ml.decision_history import DecisionHistory
from ml.learning.evaluation import evaluate
from ml.learning.registry import PolicyRegistry
from ml.strategies import Strategy, StrategyLibrary
from tests.doubles.stores import MemoryPromotions, MemoryTable
from tests.ml.decision.trading_day import RULES
from tests.ml.learning.folds_of_candles import COSTS, NAMES, bundle, table
from trading.backtest import AccountRules
from trading.candles import complete
from trading.errors import InvalidValue, NotStored
from trading.indicators import feature_table
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_start, months_between, next_month
from trading.ports import CandleSource
from trading.reports import Resampling
from trading.signals import signal_table

PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H1, "simulated")
FREE = AccountRules(
    costs=COSTS, drawdown_pause=math.inf, daily_loss=math.inf, losing_streak=0, cool_down=timedelta(0),
    cool_down_candles=0, trailing_after=1.5, leverage=1.0, shorts=False, margin=None,
)  # fmt: skip


def candles() -> pl.DataFrame:
    """The months of tests.ml.learning.folds_of_candles as whole candles."""
    frame = (
        table()
        .select("open_time", "open", "close")
        .with_columns(
            high=pl.max_horizontal("open", "close") * 1.001,
            low=pl.min_horizontal("open", "close") * 0.999,
            volume=pl.lit(1.0),
        )
    )
    return complete(frame, Timeframe.H1, "simulated")


def stored(rows: pl.DataFrame, schema: pl.Schema | None) -> MemoryTable:
    store = MemoryTable(schema)
    for month in months_between(date(2021, 1, 1), date(2021, 3, 1)):
        inside = (pl.col("open_time") >= month_start(month)) & (
            pl.col("open_time") < month_start(next_month(month))
        )
        store.write(PAIR, month, rows.filter(inside))
    return store


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StrategyLibrary:
    policies = PolicyRegistry(tmp_path_factory.mktemp("policies"), MemoryPromotions())
    bundle(policies.folder(PAIR, date(2021, 3, 1)))
    learned = table().select("open_time", *NAMES)
    features = feature_table(candles(), Timeframe.H1).join(learned, on="open_time", maintain_order="left")
    table_of_features = stored(features, None)
    return StrategyLibrary(
        candles=stored(candles(), CANDLE_SCHEMA),
        features=table_of_features,
        policies=policies,
        decisions=DecisionHistory(table_of_features, RULES, Timeframe.H1),
    )


def finer(timeframe: Timeframe) -> CandleSource:
    raise NotStored(f"no {timeframe.value} candles were imported")


def backtester(library: StrategyLibrary, rules: AccountRules = FREE) -> Backtester:
    return Backtester(UNIVERSE, library, {PAIR: rules}, Resampling(100, 0.9, 1), finer)


def test_the_technical_plan_is_made_of_the_signals_of_the_stored_features(library: StrategyLibrary) -> None:
    made = library.backtest_inputs(Strategy.TECHNICAL, PAIR, None, None)
    signals = signal_table(made.candles, made.candles["close"].to_numpy(), RULES.signals)
    direction, sure = signals["direction"].to_numpy(), signals["strength"].to_numpy() >= 0.6
    assert made.candles.height == candles().height
    entered = np.nan_to_num(np.sign(np.asarray(made.plan.target)))
    np.testing.assert_array_equal(entered, np.where(sure, direction, 0))
    stop = signals["stop_distance"].fill_null(np.nan).to_numpy()
    np.testing.assert_array_equal(np.asarray(made.plan.stop)[entered != 0], stop[entered != 0])
    np.testing.assert_array_equal(made.plan.leaves, np.select([direction < 0, direction > 0], [1, 2], 0))


def test_a_part_of_the_history_gives_the_same_decisions_there(library: StrategyLibrary) -> None:
    start, end = datetime(2021, 2, 3, tzinfo=UTC), datetime(2021, 2, 9, 12, tzinfo=UTC)
    part = library.backtest_inputs(Strategy.TECHNICAL, PAIR, start, end)
    whole = library.backtest_inputs(Strategy.TECHNICAL, PAIR, None, None)
    inside = ((whole.candles["open_time"] >= start) & (whole.candles["open_time"] < end)).to_numpy()
    assert part.candles["open_time"][0] == start
    np.testing.assert_array_equal(part.plan.target, np.asarray(whole.plan.target)[inside])


def test_a_policy_decides_its_own_test_month_only_and_earns_what_its_evaluation_says(
    library: StrategyLibrary,
) -> None:
    report = backtester(library).run(BacktestRequest(Strategy.POLICY, PAIR))
    policy = library.policies.bundle(PAIR, date(2021, 3, 1))
    evaluation = evaluate(policy, table(), table(), COSTS)
    assert report.first_open == datetime(2021, 3, 1, tzinfo=UTC)
    assert report.candles == evaluation.candles
    assert report.summary.total_return == pytest.approx(evaluation.policy.total_return, rel=1e-9)
    assert report.holding.total_return == pytest.approx(evaluation.buy_and_hold.total_return, rel=1e-9)


def test_the_rules_of_the_account_hold_in_a_back_test_unless_the_pause_is_ignored(
    library: StrategyLibrary,
) -> None:
    strict = AccountRules(
        **{name: getattr(FREE, name) for name in FREE.__dataclass_fields__} | {"drawdown_pause": 1e-6}
    )
    asked = BacktestRequest(Strategy.POLICY, PAIR)
    paused = backtester(library, strict).run(asked)
    free = backtester(library, strict).run(BacktestRequest(Strategy.POLICY, PAIR, ignore_pause=True))
    assert paused.result.totals.paused_at is not None
    assert free.result.totals.paused_at is None
    assert free.trades.height > paused.trades.height


def test_holding_is_measured_without_the_rules_that_would_keep_it_from_holding(
    library: StrategyLibrary,
) -> None:
    strict = AccountRules(
        **{name: getattr(FREE, name) for name in FREE.__dataclass_fields__} | {"daily_loss": 1e-6}
    )
    report = backtester(library, strict).run(BacktestRequest(Strategy.TECHNICAL, PAIR))
    assert report.holding.trades == 1


def test_a_month_whose_features_were_never_computed_is_not_a_month_without_a_signal(
    library: StrategyLibrary,
) -> None:
    lacking = MemoryTable(None)
    for month in (date(2021, 1, 1), date(2021, 3, 1)):
        lacking.write(PAIR, month, library.features.read(PAIR, month))
    blind = replace(library, features=lacking)
    with pytest.raises(NotStored, match=r"no features of BTC/USDT in 2021-02"):
        blind.backtest_inputs(Strategy.TECHNICAL, PAIR, None, None)


def test_the_notes_count_the_candles_with_an_unknown_feature(library: StrategyLibrary) -> None:
    assert (
        "222 candles with an unknown feature"
        in library.backtest_inputs(Strategy.TECHNICAL, PAIR, None, None).notes[0]
    )


def test_a_policy_never_carries_a_position_through_a_month_without_a_policy(
    library: StrategyLibrary, tmp_path: Path
) -> None:
    class KeepingPolicy:
        """Opens in January and then keeps the current exposure."""

        feature_names = NAMES

        def __init__(self, month: date) -> None:
            self.month = month

        def long_probabilities(self, features: np.ndarray, exposure: float) -> np.ndarray:  # type: ignore[type-arg]
            return np.full(len(features), 1.0 if self.month.month == 1 else exposure)

    class Registry:
        def months(self, pair: Pair) -> list[date]:
            return [date(2021, 1, 1), date(2021, 3, 1)]

        def bundle(self, pair: Pair, month: date) -> KeepingPolicy:
            return KeepingPolicy(month)

    made = replace(library, policies=Registry()).backtest_inputs(Strategy.POLICY, PAIR, None, None)  # type: ignore[arg-type]
    exposures = pl.Series(np.asarray(made.plan.target))
    months = made.candles["open_time"].dt.month()
    assert exposures.filter(months == 1).to_list()[-1] == 1.0
    assert exposures.filter(months > 1).sum() == 0.0


def test_nothing_stored_and_nothing_tested_say_what_to_materialise(
    library: StrategyLibrary, tmp_path: Path
) -> None:
    with pytest.raises(NotStored, match="materialise `ohlcv`"):
        library.backtest_inputs(Strategy.TECHNICAL, Pair("XRP", "USDT"), None, None)
    empty = PolicyRegistry(tmp_path, MemoryPromotions())
    bare = replace(library, policies=empty)
    with pytest.raises(NotStored, match="ppo_policy"):
        bare.backtest_inputs(Strategy.POLICY, PAIR, None, None)


def test_a_time_without_candles_names_what_is_stored(library: StrategyLibrary) -> None:
    with pytest.raises(InvalidValue, match="stored are 2021-01 to 2021-03"):
        library.backtest_inputs(Strategy.TECHNICAL, PAIR, datetime(2022, 1, 1, tzinfo=UTC), None)


def test_impossible_requests_are_refused() -> None:
    with pytest.raises(InvalidValue, match="there are technical, policy, desk"):
        Strategy.parse("magic")
    later, earlier = datetime(2021, 2, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidValue, match="the end must come later"):
        BacktestRequest(Strategy.TECHNICAL, PAIR, later, earlier)


def test_an_unknown_pair_and_a_path_that_is_no_finer_are_refused(library: StrategyLibrary) -> None:
    with pytest.raises(InvalidValue, match=r"\[market\] pairs has BTC/USDT"):
        backtester(library).run(BacktestRequest(Strategy.TECHNICAL, Pair("ETH", "USDT")))
    with pytest.raises(InvalidValue, match="no finer"):
        backtester(library).run(BacktestRequest(Strategy.TECHNICAL, PAIR, path=Timeframe.H1))


class Halves:
    """Half-hour candles of the hours, of a part of them when `until` is given."""

    origin = "simulated"

    def __init__(self, until: datetime | None = None) -> None:
        self._until = until

    def candles(self, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        hours = candles().filter(pl.col("open_time") >= start, pl.col("open_time") < end)
        middle = (pl.col("open") + pl.col("close")) / 2
        first = hours.with_columns(close=middle)
        second = hours.with_columns(open=middle, open_time=pl.col("open_time") + timedelta(minutes=30))
        both = (
            pl.concat([first, second])
            .sort("open_time")
            .select("open_time", "open", "high", "low", "close", "volume")
        )
        return complete(
            both if self._until is None else both.filter(pl.col("open_time") < self._until),
            Timeframe.M30,
            "simulated",
        )


def with_path(library: StrategyLibrary, source: Halves) -> Backtester:
    return Backtester(UNIVERSE, library, {PAIR: FREE}, Resampling(100, 0.9, 1), lambda _: source)  # type: ignore[arg-type,return-value]


def test_stops_can_be_followed_along_finer_candles(library: StrategyLibrary) -> None:
    report = with_path(library, Halves()).run(BacktestRequest(Strategy.TECHNICAL, PAIR, path=Timeframe.M30))
    assert report.result.path_candles == report.candles
    assert f"30m candles in {report.candles} of {report.candles}" in report.notes[-1]


def test_a_path_that_does_not_cover_every_candle_is_refused(library: StrategyLibrary) -> None:
    lacking = Halves(until=datetime(2021, 3, 30, tzinfo=UTC))
    with pytest.raises(NotStored, match="first 2021-03-30 00:00 UTC"):
        with_path(library, lacking).run(BacktestRequest(Strategy.TECHNICAL, PAIR, path=Timeframe.M30))
