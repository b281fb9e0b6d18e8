"""`marketloom backtest` on a small home folder, without any server."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from assets.features import month_features
from orchestration.commands.backtest import facts, run_backtest, show
from orchestration.services import Services
from orchestration.settings import load_settings
from trading.market import Pair, month_start, next_month

PAIR = Pair("BTC", "USDT")
MONTHS = [date(2023, month, 1) for month in range(1, 7)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    variables = {"SIMULATOR__START": "2023-01-01", "SIMULATOR__END": "2023-07-01", "MARKET__TIMEFRAME": "4h"}
    for name, value in variables.items():
        monkeypatch.setenv(f"MARKETLOOM__{name}", value)
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    services = Services(load_settings(), tmp_path, dsn="")
    for month in MONTHS:
        candles = services.candle_source.candles(PAIR, month_start(month), month_start(next_month(month)))
        services.candle_store.write(PAIR, month, candles)
        universe = services.settings.market.universe
        table = month_features(services.candle_store, universe, services.costs, PAIR, month)
        services.feature_store.write(PAIR, month, table)
    return tmp_path


def test_it_needs_no_database_and_shows_costs_fees_and_trades(home: Path) -> None:
    report, page = run_backtest("technical", "BTC/USDT", "", "", "", ignore_pause=True)
    out = Console(width=160, record=True, quiet=True)
    show(report, page, out)
    text = page.read_text(encoding="utf-8")
    assert page.parent == home / "reports"
    assert "What costs take" in text
    assert "taker fee 0.26 % of the value traded, as the venue charged it at the time" in text
    at_costs = facts(report, page)["at_costs"]
    assert list(at_costs) == ["0x", "1x", "2x"]
    assert at_costs["1x"]["total_return"] == report.summary.total_return


def test_it_loads_neither_dagster_nor_a_database_client_which_take_longer_than_the_back_test() -> None:
    code = "import sys, orchestration.commands.backtest; print({'dagster', 'psycopg', 'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
