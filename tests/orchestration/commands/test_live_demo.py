"""What a live demo chooses to play, and that its settings are the user's on nobody's servers but its own."""

import os
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ml.agents.history import LONG, decided, technical_history
from orchestration.commands.live_demo_home import live_demo_home
from orchestration.commands.live_demo_market import (
    HALF_A_MINUTE,
    HISTORY_DAYS,
    SIMULATED_START,
    choose_market,
    demo_values,
)
from orchestration.commands.toml_text import toml_text
from orchestration.settings import PROJECT, load_settings, settings_values
from orchestration.settings_schema import Settings
from trading.errors import InvalidSettings, UnreadableFile
from trading.indicators import feature_table
from trading.market import Pair, Timeframe
from trading.signals import signal_table
from trading.simulation.market import SimulatedMarket

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)


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


def test_the_simulated_market_begins_where_the_rules_of_the_settings_enter_for_ten_minutes(
    settings: Settings,
) -> None:
    """As the sandbox makes this market; a day of it is enough for all that the technical agent reads."""
    midnight = SIMULATED_START.replace(hour=0, minute=0, second=0)
    begins, ends = midnight - timedelta(days=HISTORY_DAYS), SIMULATED_START + timedelta(minutes=10)
    market = SimulatedMarket(settings.market.pairs, Timeframe.M1, settings.sandbox.seed, begins, ends)
    candles = market.candles(XRP, ends - timedelta(days=1), ends)
    rules = settings.decision_rules
    signals = signal_table(feature_table(candles, Timeframe.M1), candles["close"].to_numpy(), rules.signals)
    alone = (technical_history(signals),)
    since = candles["close_time"].search_sorted(SIMULATED_START - HALF_A_MINUTE)
    entered = decided(alone, alone, alone, rules.consensus).entry[since:]
    assert entered.tolist() == [LONG] * 11


def test_candles_of_a_minute_are_played_once_there_is_history_for_a_decision(
    settings: Settings, tmp_path: Path
) -> None:
    candles(tmp_path / "data" / "ohlcv", [BTC, XRP], 14)
    candles(tmp_path / "data" / "ohlcv", [BTC, XRP, CROSS], 100, Timeframe.H1)  # longer, but too coarse
    market = choose_market(tmp_path / "data", settings, tmp_path / "files")
    assert market.pairs == (BTC, XRP)
    assert market.start == BEGINS + timedelta(days=12, minutes=59, seconds=30)
    assert market.decides
    assert "kraken candles of a minute" in market.label
    played = sorted(path.name for path in Path(market.source["candles"]).iterdir())
    assert played == ["kraken_BTC-USDT_1m_2024.parquet", "kraken_XRP-USDT_1m_2024.parquet"]


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
    assert (chosen.market.pairs, chosen.market.timeframe) == ((BTC,), Timeframe.M1)
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
