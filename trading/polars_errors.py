"""Polars' panics as ordinary errors: a panic is a BaseException, which `except Exception` lets pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import polars as pl


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise ComputeError, a PolarsError, where Polars panics: damaged bytes can do that."""
    try:
        yield
    except pl.exceptions.PanicException as panic:
        raise pl.exceptions.ComputeError(f"not readable ({str(panic).splitlines()[0]})") from None
