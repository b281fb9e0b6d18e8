"""Files that are not, or not quite, recorded trades; and what Parquet may know of one."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.streaming.sandbox.trade_files import SECOND, at, csv, parquet, played
from trading.errors import UnreadableFile
from trading.orders import Side


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        f"{SECOND},100.0\n",
        f"{SECOND},100.0,1,b\n",
        f"{SECOND},NaN,1\n",
        f"{SECOND},100.0,inf\n",
        f"{SECOND},-1,1\n",
        f"{SECOND},0,1\n",
        f"{SECOND},100.0,0\n",
        f"{SECOND}000,100.0,1\n",
        "yesterday,100.0,1\n",
        "time;price;volume\n",
        "\x00\x01\n",
        "ü" * 300,
        "1" * 100_000,
        f"{SECOND + 1},100.0,1\n{SECOND},100.0,1\n",
        f"{SECOND},1E+40,1\n",
        f"{SECOND},0.01,1\n",
        f"{SECOND},100.0,1\n\x00,,\n",
    ],
)
def test_what_is_not_time_and_sales_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnreadableFile, match=r"XBTUSDT\.csv"):
        played(csv(tmp_path, text))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_played_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "XBTUSDT.csv"
    path.write_bytes(content)
    try:
        ticks = played(path)
    except UnreadableFile as error:
        ticks, said = [], str(error)
        assert "XBTUSDT.csv" in said
    assert all(tick.price > 0 and tick.quantity > 0 for tick in ticks)


def test_sides_and_types_are_read_from_parquet_that_has_them(tmp_path: Path) -> None:
    one, other = played(parquet(tmp_path, side=["sell", "BUY"], type=["market", "l"]))
    assert (one.side, one.order_type, other.side, other.order_type) == (
        Side.SELL,
        "market",
        Side.BUY,
        "limit",
    )
    assert (one.price, other.quantity) == (Decimal("100.1"), Decimal("0.00000001"))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_parquet_times_may_have_any_unit_and_no_zone(tmp_path: Path, unit: str) -> None:
    times = pl.Series([at(0), at(1)]).dt.replace_time_zone(None).dt.cast_time_unit(unit)  # type: ignore[arg-type]
    assert [tick.at for tick in played(parquet(tmp_path, timestamp=times))] == [at(0), at(1)]


@pytest.mark.parametrize(
    "columns",
    [
        {"price": [100.1, float("nan")]},
        {"price": [100.1, None]},
        {"price": [100.1, -1.0]},
        {"price": ["a", "b"]},
        {"amount": [0.0, 1.0]},
        {"amount": [1.0, float("inf")]},
        {"timestamp": [1, 2]},
        {"timestamp": [at(0), None]},
        {"timestamp": [at(1), at(0)]},
        {"side": ["buy", "up"]},
        {"side": ["buy", None]},
        {"type": ["market", "stop"]},
    ],
)
def test_parquet_that_holds_something_else_is_refused_by_its_name(
    tmp_path: Path, columns: dict[str, object]
) -> None:
    with pytest.raises(UnreadableFile, match=r"BTC-USDT\.parquet"):
        played(parquet(tmp_path, **columns))


def test_parquet_without_a_column_of_trades_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT.parquet"
    pl.DataFrame({"timestamp": [at(0)], "close": [1.0]}).write_parquet(path)
    with pytest.raises(
        UnreadableFile, match=r"BTC-USDT\.parquet lacks price, amount, it has timestamp, close"
    ):
        played(path)


def test_an_empty_or_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    content = path.read_bytes()
    for damaged in (b"", b"PAR1", content[:-20], content[:40] + bytes(40) + content[80:]):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableFile, match=r"BTC-USDT\.parquet"):
            played(path)
    parquet(tmp_path, timestamp=pl.Series([], dtype=pl.Datetime("us", "UTC")), price=[], amount=[])
    with pytest.raises(UnreadableFile, match="holds no trade"):
        played(path)
