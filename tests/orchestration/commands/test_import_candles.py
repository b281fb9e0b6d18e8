"""What `marketloom import` shows of files that need a word."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestration.commands.import_candles import import_files, show
from tests.trading.importers.candle_files import Row, kraken, parquet, rows


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path / "home"))


def shown(path: Path, **flags: str) -> str:
    text = StringIO()
    show(
        import_files(path, flags.get("venue"), flags.get("pair"), flags.get("timeframe")),
        Console(file=text, width=400),
    )
    return text.getvalue()


def dead(count: int) -> list[Row]:
    return [(row[0], 7.0, 7.0, 7.0, 7.0, 0.0) for row in rows(count)]


def test_a_dead_market_is_warned_of_by_the_whole_name_of_its_file(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_BTC-USDT_1h_[old].parquet", dead(720))
    assert "_[old].parquet: 720 of 720 candles have no volume" in shown(
        tmp_path / "binance_BTC-USDT_1h_[old].parquet"
    )


def test_krakens_name_of_bitcoin_in_a_flag_makes_no_second_market(tmp_path: Path) -> None:
    kraken(tmp_path / "hourly.csv", rows(4))
    [report] = import_files(tmp_path / "hourly.csv", None, "XBT/USD", "1h")
    assert report["pair"] == "BTC/USD"
    assert [path.name for path in (tmp_path / "home/landing/kraken/1h").iterdir()] == ["BTC-USD"]


def test_a_price_that_contradicts_what_is_stored_is_a_refusal_in_the_report(tmp_path: Path) -> None:
    parquet(tmp_path / "binance_XRP-BTC_1h.parquet", rows(5))
    import_files(tmp_path / "binance_XRP-BTC_1h.parquet", None, None, None)
    late = [
        (row[0], *(1 / number for number in (row[1], row[3], row[2], row[4])), row[5]) for row in rows(9)[5:]
    ]
    parquet(tmp_path / "binance_XRP-BTC_1h.parquet", late)  # type: ignore[arg-type]  # six fields, as in a Row
    [report] = import_files(tmp_path / "binance_XRP-BTC_1h.parquet", None, None, None)
    assert (report["rows_stored"], "not inverted" in report["refused_reason"]) == (0, True)
