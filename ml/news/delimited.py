"""Rows of a semicolon-separated file in which people wrote quotation marks as they pleased.

A row that follows the rules may run over several lines. One that does not is taken as it stands, its quotation marks
part of the text, when it has the right number of fields; otherwise that row alone is left out, and its line named.
"""

import csv
from collections.abc import Iterator, Sequence

SEPARATOR = ";"
MAX_ROW_LINES = 200  # a quoted text of more lines is a quotation mark that nobody closed


def read_rows(text: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Return header, rows, and the numbers of the lines that could not be read."""
    lines = text.splitlines()
    header = [name.strip() for name in _parse(lines[:1]) or []] if lines else []
    rows: list[list[str]] = []
    damaged: list[int] = []
    for number, fields in _records(lines, len(header)):
        if fields is None:
            damaged.append(number)
        else:
            rows.append(fields)
    return header, rows, damaged


def _records(lines: Sequence[str], width: int) -> Iterator[tuple[int, list[str] | None]]:
    """Yield line number and fields of every row behind the header; None for one that cannot be read."""
    at = 1
    while at < len(lines):
        if lines[at].strip(f"{SEPARATOR} "):
            fields, count = _record(lines, at, width)
            yield at + 1, fields
            at += count
        else:
            at += 1


def _record(lines: Sequence[str], at: int, width: int) -> tuple[list[str] | None, int]:
    """Return the row that begins at this line and how many lines it takes."""
    if row := _parse_row(lines[at : at + 1], width):
        return row, 1
    if '"' in lines[at]:
        for end in range(at + 2, min(at + MAX_ROW_LINES, len(lines)) + 1):
            if row := _parse_row(lines[at:end], width):
                return row, end - at
            if _parse_row(lines[end - 1 : end], width):
                break  # a whole row: the mark before it was never meant to be closed
    literal = lines[at].split(SEPARATOR)
    return (literal if len(literal) == width else None), 1


def _parse_row(lines: Sequence[str], width: int) -> list[str] | None:
    fields = _parse(lines)
    if fields is None or any(fields[width:]):
        return None
    return fields[:width] if len(fields) >= width else None


def _parse(lines: Sequence[str]) -> list[str] | None:
    """Parse lines as one row by the rules; None when they break them or hold more than one row."""
    try:
        [fields] = csv.reader(["\n".join(lines)], delimiter=SEPARATOR, strict=True)
    except (csv.Error, ValueError):
        return None
    return fields
