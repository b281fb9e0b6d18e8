import io

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.sealed_parquet import check_seal, scan_sealed, sealed_parquet

TABLE = pl.DataFrame({"number": range(3000), "word": [f"word {number % 7}" for number in range(3000)]})
PLACE = "ohlcv/pair=BTC-USDT/month=2019-01-01"
SEALED = sealed_parquet(TABLE, PLACE)


def test_every_reader_takes_a_sealed_file_as_it_is(tmp_path: object) -> None:
    assert scan_sealed(SEALED, PLACE).collect().equals(TABLE)
    assert pl.read_parquet(io.BytesIO(SEALED)).equals(TABLE)
    assert pl.from_arrow(pq.read_table(io.BytesIO(SEALED))).equals(TABLE)  # type: ignore[union-attr]
    file = f"{tmp_path}/file.parquet"
    with open(file, "wb") as stream:
        stream.write(SEALED)
    assert duckdb.sql(f"select sum(number) from '{file}'").fetchall() == [(TABLE["number"].sum(),)]


def test_an_empty_table_is_sealed_too() -> None:
    assert scan_sealed(sealed_parquet(TABLE.clear(), PLACE), PLACE).collect().equals(TABLE.clear())


def test_a_file_without_a_seal_is_refused() -> None:
    plain = io.BytesIO()
    TABLE.write_parquet(plain)
    with pytest.raises(pl.exceptions.PolarsError, match="not those that were written"):
        check_seal(plain.getvalue(), PLACE)


@pytest.mark.parametrize(
    "place", ["ohlcv/pair=ETH-USDT/month=2019-01-01", "ohlcv/pair=BTC-USDT/month=2019-02-01", "", f"{PLACE}/"]
)
def test_a_file_of_another_place_is_refused(place: str) -> None:
    with pytest.raises(pl.exceptions.PolarsError, match="not those that were written here"):
        scan_sealed(SEALED, place)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_of_every_kind_is_noticed(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SEALED)))
    end = data.draw(st.integers(start, min(len(SEALED), start + 40)))
    damaged = SEALED[:start] + data.draw(st.binary(max_size=40)) + SEALED[end:]
    if damaged != SEALED:
        with pytest.raises(pl.exceptions.PolarsError):
            scan_sealed(damaged, PLACE).collect()
