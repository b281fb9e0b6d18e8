"""What a live demo chooses to play, and that its settings are the user's on nobody's servers but its own."""

import os
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from ml.agents.history import LONG, decided, technical_history
from orchestration.commands.live_demo_home import live_demo_home
from orchestration.commands.live_demo_market import (
    HALF_A_MINUTE,
    HISTORY_DAYS,
    MIN_SECONDS_PER_CANDLE,
    SIMULATED_DAYS,
    SIMULATED_START,
    TIMEFRAME,
    choose_market,
    demo_values,
    too_fast,
)
from orchestration.commands.toml_text import toml_text
from orchestration.settings import PROJECT, load_settings, settings_values
from orchestration.settings_schema import Settings
from trading.candles import composed
from trading.errors import InvalidSettings, UnreadableFile
from trading.indicators import feature_table
from trading.market import Pair, Timeframe, midnight
from trading.signals import signal_table
from trading.simulation.market import SimulatedMarket

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MARKETLOOM_HOME": str(tmp_path)})


def candles(folder: Path, pairs: Sequence[Pair], days: float, timeframe: Timeframe = Timeframe.M1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ends = BEGINS + timedelta(days=days)
    market = SimulatedMarket(tuple(pairs), timeframe, 3, BEGINS, ends)
    for pair in pairs:
        rows = market.candles(pair, BEGINS, ends).select(
            "open_time", "open", "high", "low", "close", "volume"
        )
        path = folder / f"kraken_{pair.key}_{timeframe.value}_2024.parquet"
        rows.rename({"open_time": "timestamp"}).write_parquet(path)


def test_without_data_the_market_is_simulated_and_says_so(settings: Settings, tmp_path: Path) -> None:
    market = choose_market(None, settings, tmp_path)
    assert "SIMULATED" in market.label
    assert (market.start, market.pairs, market.decides) == (SIMULATED_START, settings.market.pairs, True)


def test_the_simulated_market_begins_with_an_entry_by_the_rules_of_the_settings(settings: Settings) -> None:
    """As the sandbox makes this market, on the history that a live demo stores."""
    begins, ends = midnight(SIMULATED_START.date()) - timedelta(days=SIMULATED_DAYS), SIMULATED_START + MINUTE
    pairs = settings.market.pairs
    market = SimulatedMarket(pairs, Timeframe.M1, settings.sandbox.seed, begins, ends)
    rules = settings.decision_rules
    entered = {}
    for pair in pairs:
        candles = composed(market.candles(pair, ends - timedelta(days=HISTORY_DAYS), ends), TIMEFRAME)
        signals = signal_table(feature_table(candles, TIMEFRAME), candles["close"].to_numpy(), rules.signals)
        alone = (technical_history(signals),)
        entered[pair] = decided(alone, alone, alone, rules.consensus).entry[-1]
    assert candles["close_time"][-1] == SIMULATED_START + HALF_A_MINUTE
    assert LONG in entered.values()


def test_a_market_that_is_too_fast_for_a_decision_on_each_candle_is_warned_of() -> None:
    """Six seconds for a candle: Dagster's daemon returns to a sensor within five, and the evaluation takes time."""
    assert MIN_INTERVAL_LOOP_TIME < MIN_SECONDS_PER_CANDLE
    assert too_fast(240.0) == too_fast(300.0) == ""
    assert too_fast(360.0).startswith("At speed 360 a candle of 30m closes each 5.0 s")
    assert too_fast(360.0).endswith("Up to --speed 300 each can have one")


def test_candles_of_a_minute_are_played_once_there_is_history_for_a_decision(
    settings: Settings, tmp_path: Path
) -> None:
    candles(tmp_path / "data" / "ohlcv", [BTC, XRP], 14)
    candles(tmp_path / "data" / "ohlcv", [BTC, XRP, CROSS], 100, Timeframe.H1)  # longer, but too coarse
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert market.pairs == (BTC, XRP)
    assert market.start + HALF_A_MINUTE in {BEGINS + timedelta(days=days) for days in (12, 13)}
    assert market.decides
    assert market.stored_since == market.start - timedelta(days=12)
    assert "kraken candles of a minute" in market.label
    played = sorted(path.name for path in Path(market.source["candles"]).iterdir())
    assert played == ["kraken_BTC-USDT_1m_2024.parquet", "kraken_XRP-USDT_1m_2024.parquet"]


def test_of_whole_days_with_history_the_most_volatile_one_is_played(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "ohlcv"
    candles(folder, [BTC, XRP], 16.5)
    calm = BEGINS + timedelta(days=14)
    for file in folder.iterdir():  # a day before there is history, two that count, half a day at the end
        wild = [calm - timedelta(days=12), calm + timedelta(days=1), calm + timedelta(days=2)]
        table = pl.read_parquet(file)
        inside = pl.any_horizontal(pl.col("timestamp").dt.truncate("1d") == day for day in wild)
        raised = pl.when(inside & (pl.col("timestamp").dt.hour() < 6)).then(1.5).otherwise(1.0)
        names = ("open", "high", "low", "close")
        table.with_columns(pl.col(name) * raised for name in names).write_parquet(file)
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert market.start + HALF_A_MINUTE == calm + timedelta(days=1)
    assert f"{calm + timedelta(days=1):%Y-%m-%d}, the most volatile day" in market.label


def test_a_recording_with_history_and_no_whole_day_after_it_is_played_as_far_as_it_goes(
    settings: Settings, tmp_path: Path
) -> None:
    candles(tmp_path / "data", [BTC], 12.5)
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert market.start == BEGINS + timedelta(days=12, minutes=59, seconds=30)
    assert market.decides


def test_a_short_recording_is_played_from_its_middle_and_nothing_is_decided_on_it(
    settings: Settings, tmp_path: Path
) -> None:
    candles(tmp_path / "data", [BTC], 4)
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert market.start == BEGINS + timedelta(days=2) - timedelta(seconds=30)
    assert not market.decides


def test_recorded_trades_are_played_where_there_are_no_candles(settings: Settings, tmp_path: Path) -> None:
    trades = tmp_path / "data" / "trades"
    trades.mkdir(parents=True)
    start = int(BEGINS.timestamp())
    lines = (f"{start + 60 * minute},{42000 + minute},0.1" for minute in range(3000))
    (trades / "XBTUSDT.csv").write_text("\n".join(lines))
    (trades / "btcusdt-depth.csv").write_text("symbol,side,price\nBTCUSDT,b,1\n")  # a book is no trade
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert (market.pairs, market.decides) == ((BTC,), False)
    assert [path.name for path in Path(market.source["trades"]).iterdir()] == ["XBTUSDT.csv"]


def test_a_folder_with_nothing_to_play_says_what_could_be(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UnreadableFile, match=r"neither candles of a minute nor trades of BTC/USDT"):
        choose_market(tmp_path, settings, tmp_path / "files")
    with pytest.raises(UnreadableFile, match="is not a folder"):
        choose_market(tmp_path / "nowhere", settings, tmp_path / "files")


def test_the_settings_file_is_written_as_it_was_read() -> None:
    values = tomllib.loads((PROJECT / "marketloom.toml").read_text(encoding="utf-8"))
    odd = {
        **values,
        "odd": {'k"ey': 'a "quoted"\n ü \\', "day": BEGINS.date(), "moment": BEGINS, "list": [[1.5], []]},
    }
    assert tomllib.loads(toml_text(odd)) == odd


def test_servers_of_the_user_do_not_count_and_pairs_that_are_not_there_leave_the_account(
    settings: Settings, tmp_path: Path
) -> None:
    candles(tmp_path / "data", [BTC], 4)
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    asked = {
        "MARKETLOOM__BUS__KIND": "kafka", "MARKETLOOM__ANALYTICS__STORE": "clickhouse",
        "MARKETLOOM__HOT__STORE": "redis", "MARKETLOOM__RISK__POSITION_CAP": "0.1",
    }  # fmt: skip
    values = demo_values(settings_values(asked), market, {"sandbox": 8001, "dagster": 8002})
    config = tmp_path / "live-demo.toml"
    config.write_text(toml_text(values), encoding="utf-8")
    chosen = load_settings({"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM_CONFIG": str(config)})
    assert (chosen.bus.kind, chosen.analytics.store, chosen.hot.store) == ("postgres", "lake", "process")
    assert chosen.risk.position_cap == 0.1  # what the user chose otherwise holds
    assert (chosen.market.pairs, chosen.market.timeframe) == ((BTC,), TIMEFRAME)
    assert set(chosen.venue.capital.fixed) <= {"BTC", "USDT"}
    assert set(chosen.rebalancing.targets) <= {"BTC", "USDT"}
    assert (
        chosen.sandbox.tier == "pro"
    )  # calls keep up with a market that is faster than its exchange's clock
    assert (chosen.sandbox.port, chosen.dagster.port, chosen.stream.metrics_port) == (8001, 8002, 0)


def test_two_live_demos_of_one_home_do_not_mix_and_the_environment_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv("MARKETLOOM_POSTGRES", "postgresql://user@example.org/theirs")
    monkeypatch.setenv("MARKETLOOM__RISK__POSITION_CAP", "0.1")
    with live_demo_home(None) as demo:
        assert demo.home == tmp_path / "live-demo"
        assert os.environ["MARKETLOOM_HOME"] == str(demo.home)
        assert "MARKETLOOM_POSTGRES" not in os.environ
        assert "MARKETLOOM__RISK__POSITION_CAP" not in os.environ
        assert demo.settings.risk.position_cap == 0.1
        os.environ["MARKETLOOM_HOME"] = str(tmp_path)
        with pytest.raises(InvalidSettings, match="a live demo runs in"), live_demo_home(None):
            pass
    assert os.environ["MARKETLOOM_POSTGRES"] == "postgresql://user@example.org/theirs"
    assert os.environ["MARKETLOOM_HOME"] == str(tmp_path)
