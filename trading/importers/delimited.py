"""Comma-separated text read as text: numbers and times are the business of each format."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl


def read_texts(path: Path, skip_lines: int, columns: Sequence[str]) -> pl.DataFrame:
    """Every row after `skip_lines` lines; absent fields are null, extra ones raise."""
    return pl.read_csv(
        path,
        has_header=False,
        skip_lines=skip_lines,
        schema=dict.fromkeys(columns, pl.String()),
        raise_if_empty=False,
    )


def unless_cut(column: str, last: str) -> pl.Expr:
    """`column`, or null where the row's last field is absent: a row cut short may end in half a number."""
    return pl.when(pl.col(last).is_not_null()).then(pl.col(column))


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
