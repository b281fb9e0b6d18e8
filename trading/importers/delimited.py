"""Reading of comma-separated text as text: each format parses its own numbers and times."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from trading.bounded_files import read_text

# Some exports end their lines with commas, which are no fields.
TRAILING_COMMAS = re.compile(rb",[, ]*(?=\r?\n|\Z)")


def read_text_columns(path: Path, skip_lines: int, columns: Sequence[str]) -> pl.DataFrame:
    """Read every row after `skip_lines` lines; absent and empty fields are null, extra ones raise."""
    return pl.read_csv(
        TRAILING_COMMAS.sub(b"", read_text(path)),
        has_header=False,
        skip_lines=skip_lines,
        schema=dict.fromkeys(columns, pl.String()),
        raise_if_empty=False,
    )


def null_if_cut(column: str, last: str) -> pl.Expr:
    """Return `column`, or null where the row's last field is absent: a row cut short may end in half a number."""
    return pl.when(pl.col(last).is_not_null()).then(pl.col(column))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
