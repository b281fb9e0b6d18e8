"""Tables that a decision read, kept by the digest of their content: the same rows are stored once, whoever read them.

A table is cut into parts at fixed times, so that the windows of two decisions share every part but the newest and the
oldest. The root is JSON: the columns, the number of rows and the digests of the parts. A part is one line of JSON, the
number of rows and of the bytes of each column, and then the columns one after the other: times as microseconds since
1970 UTC (int64), numbers as float64, both little-endian, and texts as a JSON list in UTF-8.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from ml.learning.manifest import sha256_hex
from trading.errors import InvalidValue, NotStored

MAX_ROWS = 1_000_000  # that a recorded table may claim to have
_MICROSECOND = timedelta(microseconds=1)
_TIME, _NUMBER = np.dtype("<i8"), np.dtype("<f8")
Column = npt.NDArray[Any] | list[str]


@dataclass(frozen=True, slots=True)
class RecordedTable:
    """`digest` is the SHA-256 of the root; `contents` has the root and every part by their SHA-256."""

    digest: str
    contents: Mapping[str, bytes]


def record_table(rows: pl.DataFrame, time: str, span: timedelta) -> RecordedTable:
    """Record rows of times, texts and numbers without nulls, sorted by `time`, cut at the multiples of `span`."""
    columns = [_values(column) for column in rows.get_columns()]
    parts = [_encode([each[first:end] for each in columns]) for first, end in _cuts(rows[time], span)]
    digests = [sha256_hex(part) for part in parts]
    root = orjson.dumps(
        {
            "columns": {name: str(kind) for name, kind in rows.schema.items()},
            "rows": rows.height,
            "parts": digests,
        }
    )
    digest = sha256_hex(root)
    return RecordedTable(digest, {digest: root, **dict(zip(digests, parts, strict=True))})


def _values(column: pl.Series) -> Column:
    if column.dtype == pl.String:
        texts: list[str] = column.to_list()
        return texts
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("us").to_numpy().astype(_TIME)
    return column.to_numpy().astype(_NUMBER)


def _encode(columns: list[Column]) -> bytes:
    pieces = [orjson.dumps(each) if isinstance(each, list) else each.tobytes() for each in columns]
    head = {"rows": len(columns[0]), "bytes": [len(piece) for piece in pieces]}
    return b"".join([orjson.dumps(head), b"\n", *pieces])


def _cuts(times: pl.Series, span: timedelta) -> Iterator[tuple[int, int]]:
    part = times.dt.epoch("us") // (span // _MICROSECOND)
    firsts = (part != part.shift(1)).fill_null(value=True).arg_true().to_list()
    return pairwise([*firsts, times.len()])


def part_digests(root: bytes) -> list[str]:
    """Return the digests of the parts that a root lists. InvalidValue for what is no root."""
    try:
        return [str(each) for each in orjson.loads(root)["parts"]]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InvalidValue(f"the root of a recorded table cannot be read: {error}") from None


def restore_table(digest: str, contents: Mapping[str, bytes], schema: pl.Schema) -> pl.DataFrame:
    """Return the table whose root has this digest, checked against it and against `schema`.

    NotStored where a part is missing, InvalidValue where one is not what its digest says or cannot be read.
    """
    root = _content(digest, contents)
    parts = [_content(each, contents) for each in part_digests(root)]
    described = orjson.loads(root)
    if described.get("columns") != {name: str(kind) for name, kind in schema.items()}:
        raise InvalidValue(f"recorded table {digest[:12]} has other columns than {', '.join(schema)}")
    try:
        table = _decode(parts, schema) if parts else schema.to_frame()
    except (ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise InvalidValue(f"recorded table {digest[:12]} cannot be read: {error}") from None
    if table.height != described.get("rows"):
        raise InvalidValue(
            f"recorded table {digest[:12]} has {table.height} rows, not {described.get('rows')}"
        )
    return table


def _decode(parts: Sequence[bytes], schema: pl.Schema) -> pl.DataFrame:
    pieces = [_pieces(part, len(schema)) for part in parts]
    columns = [
        _column(name, kind, [piece[place] for piece in pieces])
        for place, (name, kind) in enumerate(schema.items())
    ]
    return pl.DataFrame(columns)


def _pieces(part: bytes, columns: int) -> list[bytes]:
    """Return the bytes of each column."""
    first_line, _, body = part.partition(b"\n")
    head = orjson.loads(first_line)
    rows, sizes = head["rows"], head["bytes"]
    if not 0 < rows <= MAX_ROWS or len(sizes) != columns or min(sizes) < 0 or sum(sizes) != len(body):
        raise ValueError("its first line does not describe what follows")
    ends = [*accumulate(sizes)]
    return [body[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _column(name: str, kind: pl.DataType, pieces: Sequence[bytes]) -> pl.Series:
    if kind == pl.String:
        texts = [text for piece in pieces for text in orjson.loads(piece)]
        return pl.Series(name, texts, dtype=pl.String, strict=True)
    values = np.frombuffer(b"".join(pieces), _TIME if isinstance(kind, pl.Datetime) else _NUMBER)
    return pl.Series(name, values).cast(kind)


def _content(digest: str, contents: Mapping[str, bytes]) -> bytes:
    if (content := contents.get(digest)) is None:
        raise NotStored(f"the recorded input {digest[:12]} is not stored")
    if sha256_hex(content) != digest:
        raise InvalidValue(f"the recorded input {digest[:12]} was changed: it is not what its digest says")
    return content
