"""Reading of files from outside with a bound on memory: a compressed table can be thousands of times its file's size.

What is too large raises UnreadableFile. Otherwise a damaged file raises what its parser raises.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import polars as pl

from trading.errors import UnreadableFile

if TYPE_CHECKING:
    import pyarrow as pa

MEGABYTE = 2**20
MAX_TEXT = 1024 * MEGABYTE  # eight years of Binance's minutes as CSV are 550 MB
MAX_TABLE = 1024 * MEGABYTE  # in memory: eight years of minutes take 200 MB
MAX_EXPANSION = 100  # memory over file size: real candles and news take 2 to 6, a dead market 50 ...
ALWAYS_ALLOWED = 32 * MEGABYTE  # ... and a year of minutes always fits: 25 MB
CELL = 8  # bytes of a number or a time


def read_text(path: Path) -> bytes:
    """Read a text file as it is."""
    _check_size(path, path.stat().st_size, MAX_TEXT)
    return path.read_bytes()


def read_parquet(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Read these columns of a Parquet file, with its pages' checksums verified."""
    # Imported here: it takes a third of a second that only these files need.
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(path)
    texts = [name for name in columns if _is_text(schema.field(name).type)]
    # A text stays in its dictionary until its length is known: repeating a long one needs next to no file.
    file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts)
    about = file.metadata
    pages = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    _check_size(path, max(about.num_rows * CELL * len(columns), pages), _allowed(path))
    return _to_polars(path, file.read(columns=list(columns)))


def read_feather(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Read these columns of a Feather file of either version."""
    import pyarrow.feather

    _check_size(path, _feather_rows(path) * CELL * len(columns), _allowed(path))
    return _to_polars(path, pyarrow.feather.read_table(path, columns=list(columns), memory_map=False))


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Name the columns of a Parquet file."""
    import pyarrow.parquet

    return tuple(pyarrow.parquet.read_schema(path).names)


def feather_columns(path: Path) -> tuple[str, ...]:
    """Name the columns of a Feather file without reading its rows."""
    import pyarrow.feather
    import pyarrow.ipc

    if _is_first_version(path):
        return tuple(pyarrow.feather.read_table(path, memory_map=False).column_names)
    return tuple(pyarrow.ipc.open_file(path).schema.names)


def _feather_rows(path: Path) -> int:
    """Count the rows; 0 for the first version, which compresses nothing: it takes no more than its file."""
    import pyarrow.ipc

    return 0 if _is_first_version(path) else int(pyarrow.ipc.open_file(path).count_rows())


def _is_first_version(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"FEA1"


def _to_polars(path: Path, table: "pa.Table") -> pl.DataFrame:
    import pyarrow as pa

    # Damage that Arrow lets pass makes Polars panic: texts that are no UTF-8, also in what describes the columns.
    table.validate(full=True)
    _check_size(path, table.nbytes + sum(map(_decoded_bytes, table.itercolumns())), _allowed(path))
    plain = pa.Table.from_arrays(table.columns, names=[str(name) for name in table.column_names])
    frame = cast(pl.DataFrame, pl.from_arrow(plain))
    return frame.with_columns(pl.col(pl.Categorical).cast(pl.String))


def _decoded_bytes(column: "pa.ChunkedArray") -> int:
    """Return how many bytes a dictionary's texts take once each row has its own."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type) or not _is_text(column.type.value_type):
        return 0
    lengths = (pc.binary_length(chunk.dictionary).take(chunk.indices) for chunk in column.chunks)
    return sum(pc.sum(each).as_py() or 0 for each in lengths)


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _allowed(path: Path) -> int:
    return min(max(path.stat().st_size * MAX_EXPANSION, ALWAYS_ALLOWED), MAX_TABLE)


def _check_size(path: Path, size: int, allowed: int) -> None:
    if size > allowed:
        raise UnreadableFile(
            f"{path} takes {size / MEGABYTE:,.0f} MB of memory, at most {allowed / MEGABYTE:,.0f} MB are allowed "
            "for a file of its size: fetch it again, or split it"
        )
