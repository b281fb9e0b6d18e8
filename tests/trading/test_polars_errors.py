"""Polars' panics become errors that `except Exception` catches."""

import polars as pl
import pytest

from trading.polars_errors import panics_as_errors


def test_a_panic_becomes_an_ordinary_polars_error() -> None:
    with pytest.raises(pl.exceptions.PolarsError, match="index out of bounds"), panics_as_errors():
        raise pl.exceptions.PanicException("index out of bounds\nnote: run with RUST_BACKTRACE=1")


def test_any_other_error_passes_unchanged() -> None:
    with pytest.raises(KeyError), panics_as_errors():
        raise KeyError("price")
