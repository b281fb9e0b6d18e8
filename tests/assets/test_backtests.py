"""Back-tests through Dagster: a report per pair and strategy, its metadata, and the check that adds it up."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from assets.backtest_page import backtest_page, month_rows
from assets.backtests import BacktestConfig, backtest_report, backtests_add_up, parse_request
from assets.features import features
from assets.market import ohlcv_from
from ml.backtests import Backtester, BacktestRequest, parse_timeframe, parse_utc
from ml.decision_history import DecisionHistory
from ml.learning.registry import PolicyRegistry
from ml.strategies import Strategy, StrategyLibrary
from tests.assets.running import no_arrival, partition_range
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryPromotions, MemoryTable
from tests.doubles.streamed import nothing_streamed
from tests.ml.decision.trading_day import RULES
from tests.ml.test_strategies import finer
from trading.backtest import AccountRules
from trading.errors import InvalidValue, NotStored
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe
from trading.reports import Resampling
from trading.simulation.market import SimulatedMarket

ohlcv = ohlcv_from(None)
PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H4, "simulated")
MARKET = SimulatedMarket(
    (PAIR,), Timeframe.H4, 5, datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 5, 20, tzinfo=UTC)
)
COSTS = {PAIR: Costs(0.0026, 0.0001, 0.0002)}
ACCOUNT_RULES = AccountRules(
    costs=COSTS[PAIR], drawdown_pause=0.1, daily_loss=0.03, losing_streak=5, cool_down=timedelta(minutes=30),
    cool_down_candles=3, trailing_after=1.5, leverage=1.0, shorts=False, margin=None,
)  # fmt: skip
KEY = "BTC-USDT|technical"


class Harness:
    def __init__(self, folder: Path) -> None:
        self.reports = folder / "reports"
        self.instance = dg.DagsterInstance.ephemeral()
        self.instance.add_dynamic_partitions("pair", [PAIR.key])
        candles, table = MemoryTable(CANDLE_SCHEMA), MemoryTable(None)
        policies = PolicyRegistry(folder / "policies", MemoryPromotions())
        library = StrategyLibrary(candles, table, policies, DecisionHistory(table, RULES, Timeframe.H4))
        self.backtester = Backtester(UNIVERSE, library, {PAIR: ACCOUNT_RULES}, Resampling(100, 0.9, 1), finer)
        self.resources = {
            "universe": UNIVERSE, "candle_source": MARKET, "candle_store": candles, "bus": MemoryEventLog(),
            "arrival": no_arrival, "stream_coverage": nothing_streamed(), "costs": COSTS,
            "feature_store": table, "backtester": self.backtester, "report_folder": self.reports,
        }  # fmt: skip
        span = partition_range("2024-01-01|BTC-USDT", "2024-05-01|BTC-USDT")
        dg.materialize([ohlcv, features], instance=self.instance, tags=span, resources=self.resources)

    def run(self, *assets: object, **config: object) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*assets],  # type: ignore[list-item]
            instance=self.instance,
            partition_key=KEY,
            resources=self.resources,
            run_config={"ops": {"backtest_report": {"config": config}}},
        )


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    return Harness(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def result(harness: Harness) -> dg.ExecuteInProcessResult:
    return harness.run(backtest_report, backtests_add_up)


def facts(harness: Harness) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        (harness.reports / "backtest-simulated-4h-BTC-USDT-technical.json").read_text(encoding="utf-8")
    )
    return found


def test_the_page_the_trades_and_the_facts_lie_in_the_report_folder(
    harness: Harness, result: dg.ExecuteInProcessResult
) -> None:
    name = "backtest-simulated-4h-BTC-USDT-technical"
    trades = pl.read_parquet(harness.reports / f"{name}.parquet")
    assert trades.height == facts(harness)["trades"]
    page = (harness.reports / f"{name}.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for word in ("Sharpe ratio", "Monthly returns", f"Trades ({trades.height})", "buy and hold", "drawdown"):
        assert word in page


def test_the_metadata_show_numbers_plots_and_trades(result: dg.ExecuteInProcessResult) -> None:
    [event] = result.asset_materializations_for_node("backtest_report")
    assert {
        "report",
        "total_return",
        "buy_and_hold_return",
        "metrics",
        "equity",
        "drawdown",
        "newest_trades",
    } <= set(event.metadata)


def test_the_same_plan_is_shown_at_no_costs_at_its_costs_and_at_twice_its_costs(
    harness: Harness, result: dg.ExecuteInProcessResult
) -> None:
    at_costs = facts(harness)["at_costs"]
    assert isinstance(at_costs, dict)
    assert at_costs["1x"]["total_return"] == facts(harness)["total_return"]
    assert at_costs["0x"]["fees"] == 0 < at_costs["1x"]["fees"] < at_costs["2x"]["fees"]
    assert at_costs["0x"]["total_return"] > at_costs["1x"]["total_return"] > at_costs["2x"]["total_return"]
    [event] = result.asset_materializations_for_node("backtest_report")
    assert {"costs", "return_at_0x_costs", "return_at_2x_costs", "paused_days"} <= set(event.metadata)


def test_the_check_passes_on_what_was_made(result: dg.ExecuteInProcessResult) -> None:
    [evaluation] = result.get_asset_check_evaluations()
    assert evaluation.passed


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"unexplained": 0.01}, "add up"),
        ({"fees": 0.0, "trades": 3}, "without fees"),
        ({"total_return": -1.5}, "more than everything"),
        ({"backward_trades": 1}, "before it opened"),
        ({"maximum_drawdown": 1.2}, "drawdown outside"),
    ],
)
def test_the_check_names_the_fault_of_a_report_that_cannot_be(
    harness: Harness,
    result: dg.ExecuteInProcessResult,
    tmp_path: Path,
    changed: dict[str, object],
    fault: str,
) -> None:
    broken = json.dumps({**facts(harness), **changed})
    (tmp_path / "backtest-broken.json").write_text(broken, encoding="utf-8")
    verdict = backtests_add_up(report_folder=tmp_path)
    assert isinstance(verdict, dg.AssetCheckResult)
    assert not verdict.passed
    assert fault in str(verdict.metadata["faults"])


def test_a_part_of_history_and_the_ignored_pause_come_from_the_run(harness: Harness) -> None:
    harness.run(backtest_report, start="2024-02-01", end="2024-03-01", ignore_pause=True)
    name = "backtest-simulated-4h-BTC-USDT-technical-from-20240201T0000-to-20240301T0000-unpaused.json"
    found = json.loads((harness.reports / name).read_text(encoding="utf-8"))
    assert (found["from"], found["to"]) == ("2024-02-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00")
    assert facts(harness)["from"] == "2024-01-01T00:00:00+00:00"  # the whole history's report is still there


def test_a_strategy_that_has_nothing_to_show_says_what_to_materialise(harness: Harness) -> None:
    with pytest.raises(NotStored, match="ppo_policy"):
        harness.backtester.run(BacktestRequest(Strategy.POLICY, PAIR))


def test_partition_keys_and_settings_become_a_request() -> None:
    config = BacktestConfig(start="2024-01-02T03:00+02:00", end="", path="15m", ignore_pause=True)
    asked = parse_request(KEY, config)
    assert asked == BacktestRequest(
        Strategy.TECHNICAL, PAIR, datetime(2024, 1, 2, 1, tzinfo=UTC), None, Timeframe.M15, ignore_pause=True
    )


def test_words_that_are_no_time_and_no_timeframe_are_refused_with_an_example() -> None:
    with pytest.raises(InvalidValue, match="2020-01-31"):
        parse_utc("yesterday")
    with pytest.raises(InvalidValue, match="1m, 5m"):
        parse_timeframe("2h")


def test_a_year_shows_its_months_and_what_they_come_to() -> None:
    months = pl.DataFrame({"year": [2023, 2024, 2024], "month": [12, 1, 2], "return": [0.1, 0.5, -0.5]})
    [first, second] = list(month_rows(months))
    assert first[0] == "2023"
    assert first[12] == 0.1
    assert first[1] is None
    assert second[13] == pytest.approx(-0.25)


def test_a_report_without_a_trade_is_a_page_too(harness: Harness) -> None:
    never = AccountRules(
        **{name: getattr(ACCOUNT_RULES, name) for name in ACCOUNT_RULES.__dataclass_fields__}
        | {"leverage": 1e-6}
    )
    quiet = Backtester(UNIVERSE, harness.backtester.library, {PAIR: never}, Resampling(100, 0.9, 1), finer)
    report = quiet.run(BacktestRequest(Strategy.TECHNICAL, PAIR))
    assert report.trades.is_empty()
    assert math.isclose(report.summary.total_return, 0.0)
    assert "Trades (0)" in backtest_page(report)
