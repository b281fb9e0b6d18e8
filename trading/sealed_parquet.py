"""Parquet files that carry the digest of their bytes and place: a damaged or moved one is refused, never believed.

The digest lies between the last column chunk and the footer. Readers find chunks by their offsets from the start and
the footer by its length at the end, so that every Parquet reader takes a sealed file as it is.
"""

import hashlib
import io

import polars as pl

from trading.polars_errors import panics_as_errors

_MAGIC = b"PAR1"
_TAIL = 8  # the footer's length in 4 bytes, and the magic number
_SIZE = hashlib.sha256().digest_size


def sealed_parquet(table: pl.DataFrame, place: str = "") -> bytes:
    """Return the table as a Parquet file with its digest, to be read in `place` alone."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    footer = _footer_start(content)
    return content[:footer] + _digest(place, content) + content[footer:]


def check_seal(content: bytes, place: str) -> None:
    """Raise ComputeError, a PolarsError, unless the bytes are those that were sealed for this place."""
    start = _footer_start(content)
    pages, digest, footer = content[: start - _SIZE], content[start - _SIZE : start], content[start:]
    if start < _SIZE or content[-len(_MAGIC) :] != _MAGIC or _digest(place, pages, footer) != digest:
        raise pl.exceptions.ComputeError("its bytes are not those that were written here")


def scan_sealed(content: bytes, place: str) -> pl.LazyFrame:
    """Check the digest and scan the table. Raises PolarsError for damage and for a file of another place."""
    check_seal(content, place)
    with panics_as_errors():
        return pl.scan_parquet(io.BytesIO(content))


def _digest(place: str, *pieces: bytes) -> bytes:
    found = hashlib.sha256(place.encode() + b"\0")
    for piece in pieces:
        found.update(piece)
    return found.digest()


def _footer_start(content: bytes) -> int:
    length = int.from_bytes(content[-_TAIL : -len(_MAGIC)], "little")
    return max(0, len(content) - _TAIL - length)
