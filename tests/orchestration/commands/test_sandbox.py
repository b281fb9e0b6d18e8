"""What a sandbox shows, from the settings and its folder, before anything listens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.commands.sandbox_market import MARKET_FILE, sandbox_opening
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from streaming.sandbox.exchange.recovery import PRELOADED_TICKS
from streaming.sandbox.server import Opening
from trading.errors import InvalidSettings, InvalidValue, UnreadableFile
from trading.indicators import FEATURES
from trading.market import Pair, Timeframe
from trading.simulation.market import SimulatedMarket

BTC = Pair("BTC", "USDT")
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=4)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MARKETLOOM_HOME": str(tmp_path)})


@pytest.fixture
def candles(tmp_path: Path) -> str:
    market = SimulatedMarket((BTC,), Timeframe.H1, 1, BEGINS, ENDS)
    path = tmp_path / "kraken_BTC-USDT_1h_2024.parquet"
    rows = market.candles(BTC, BEGINS, ENDS).select("open_time", "open", "high", "low", "close", "volume")
    rows.rename({"open_time": "timestamp"}).write_parquet(path)
    return str(path)


def opened(settings: Settings, folder: Path, **changes: Any) -> Opening:
    return sandbox_opening(settings, replace(settings.sandbox, **changes), folder)


def test_a_replay_begins_when_half_of_it_is_past_where_it_is_short(
    settings: Settings, candles: str, tmp_path: Path
) -> None:
    opening = opened(settings, tmp_path, candles=candles)
    assert (opening.start, opening.resumes, list(opening.listings)) == (
        BEGINS + timedelta(days=2),
        True,
        [BTC],
    )


def test_an_account_opens_with_what_can_be_priced(settings: Settings, candles: str, tmp_path: Path) -> None:
    opening = opened(settings, tmp_path, candles=candles)
    balances = opening.balances({BTC: Decimal(40_000)})
    assert balances == {"USDT": Decimal(1000), "BTC": Decimal("0.0275")}


@pytest.mark.parametrize("start", ["2023-12-31T00:00:00", "2024-01-05T00:00:00", "2030-01-01"])
def test_a_start_outside_the_recording_names_the_recording(
    settings: Settings, candles: str, tmp_path: Path, start: str
) -> None:
    with pytest.raises(InvalidValue, match="from 2024-01-01 00:00 to 2024-01-05 00:00 UTC"):
        opened(settings, tmp_path, candles=candles, start=start)
    assert not (tmp_path / MARKET_FILE).exists()  # nothing was decided for the folder


def test_a_folder_keeps_to_its_market(settings: Settings, candles: str, tmp_path: Path) -> None:
    opened(settings, tmp_path, candles=candles)
    opened(settings, tmp_path, candles=candles, start="2024-01-03")
    with pytest.raises(
        InvalidSettings, match=r"another market \(candles .*\): start this one \(seed 1\) with --fresh"
    ):
        opened(settings, tmp_path)


def test_a_simulated_market_begins_once_and_goes_on(settings: Settings, tmp_path: Path) -> None:
    first, second = opened(settings, tmp_path), opened(settings, tmp_path, history_days=2)
    assert first.source.first() == second.source.first()
    assert not first.resumes
    with pytest.raises(InvalidSettings, match="seed 2"):
        opened(settings, tmp_path, seed=2)


def test_a_simulated_market_may_begin_at_a_chosen_time_and_stands_while_no_sandbox_runs(
    settings: Settings, tmp_path: Path
) -> None:
    chosen = "2024-03-14T11:59:30"
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    first, second = (opened(settings, folder, start=chosen) for folder in folders)
    assert (first.start.isoformat(), first.resumes) == (f"{chosen}+00:00", True)
    until = first.start + timedelta(minutes=3)
    assert first.source.history(BTC, until, 20) == second.source.history(BTC, until, 20)


def test_a_new_sandbox_remembers_enough_to_decide_on_candles_of_a_minute(
    settings: Settings, tmp_path: Path
) -> None:
    """Its trades are all that a history older than 720 candles is built from."""
    opening = opened(settings, tmp_path)
    needed = max(feature.warm_up_for(Timeframe.M1) for feature in FEATURES)
    remembered = opening.source.history(BTC, opening.start, PRELOADED_TICKS)
    assert len({Timeframe.M1.floor(tick.at) for tick in remembered}) > needed + 1440


def test_a_file_that_is_not_there_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"nowhere\.csv does not exist: name a file or folder of trades"):
        opened(settings, tmp_path, trades=str(tmp_path / "nowhere.csv"))


def test_a_level_is_worth_the_same_whatever_its_pair_is_counted_in(
    settings: Settings, tmp_path: Path
) -> None:
    opening = opened(settings, tmp_path)
    cross, direct = opening.listings[Pair("XRP", "BTC")], opening.listings[BTC]
    bitcoin = opening.source.history(BTC, opening.start, 1)[-1].price
    assert float(cross.level_value * bitcoin) == pytest.approx(float(direct.level_value), rel=0.01)
