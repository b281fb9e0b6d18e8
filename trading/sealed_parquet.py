"""Parquet files that carry the digest of their own bytes: a damaged one is refused, never read with other numbers.

The digest lies between the last column chunk and the footer. Readers find chunks by their offsets from the start and
the footer by its length at the end, so that every Parquet reader takes a sealed file as it is.
"""

import hashlib
import io

import polars as pl

from trading.polars_errors import panics_as_errors

_MAGIC = b"PAR1"
_TAIL = 8  # the footer's length in 4 bytes, and the magic number
_DIGEST = hashlib.sha256().digest_size


def sealed_parquet(table: pl.DataFrame) -> bytes:
    """Return the table as a Parquet file with its digest."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    content = buffer.getvalue()
    footer = _footer_start(content)
    return content[:footer] + hashlib.sha256(content).digest() + content[footer:]


def check_seal(content: bytes) -> None:
    """Raise ComputeError, a PolarsError, unless the bytes are those that were sealed."""
    start = _footer_start(content)
    pages, digest, footer = content[: start - _DIGEST], content[start - _DIGEST : start], content[start:]
    found = hashlib.sha256(pages)
    found.update(footer)
    if start < _DIGEST or content[-len(_MAGIC) :] != _MAGIC or found.digest() != digest:
        raise pl.exceptions.ComputeError("its bytes are not those that were written")


def scan_sealed(content: bytes) -> pl.LazyFrame:
    """Check the digest and scan the table. Raises PolarsError for damage."""
    check_seal(content)
    with panics_as_errors():
        return pl.scan_parquet(io.BytesIO(content))


def _footer_start(content: bytes) -> int:
    length = int.from_bytes(content[-_TAIL : -len(_MAGIC)], "little")
    return max(0, len(content) - _TAIL - length)
