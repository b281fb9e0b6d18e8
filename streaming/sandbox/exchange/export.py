"""Everything that the exchange holds to be true, for others to compare with: amounts as exact text, times as ISO 8601.

Reads the store beside the exchange that writes it; all tables are of one moment.
"""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Any

from streaming.sandbox.exchange import schema
from streaming.sandbox.exchange.rows import ENTRY_COLUMNS, EXECUTION_COLUMNS, ORDER_COLUMNS, time_of
from trading.errors import UnreadableFile, UnusableHome

INSIDE = frozenset({"priority", "place", "peak"})  # of an order: only the exchange itself needs them
ORDERS = tuple(name for name in ORDER_COLUMNS if name not in INSIDE)
POSITIONS = ("account", "place", "pair", "quantity", "entry_price", "leverage", "opened_at", "rolled")
TIMES = frozenset({"opened_at", "closed_at", "expires_at", "at"})
TRUTHS = frozenset({"post_only", "reduce_only", "triggered", "maker"})
TABLES: Mapping[str, tuple[str, tuple[str, ...], str]] = {  # stored table, columns, order
    "orders": ("orders", ORDERS, "number"),
    "fills": ("executions", ("number", *EXECUTION_COLUMNS), "number"),
    "balances": (
        "balances",
        ("account", "asset", "opening", "amount", "realised", "fees"),
        "account, asset",
    ),
    "entries": ("entries", ("number", *ENTRY_COLUMNS), "number"),
    "positions": ("positions", POSITIONS, "account, place"),
    "house": ("house", ("asset", "market_maker", "fees"), "asset"),
}


class Form(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"


def export(store: Path) -> dict[str, list[dict[str, Any]]]:
    """Tables by name, each a list of rows. UnreadableFile when there is no store of the exchange."""
    with closing(schema.read_only(Path(store))) as connection:
        return {name: list(rows) for name, _, rows in _tables(connection, store)}


def write_export(store: Path, folder: Path, form: Form = Form.JSON_LINES) -> dict[str, int]:
    """One file per table in `folder`, replaced where it exists; how many rows each has.

    UnusableHome when the folder cannot be made or written.
    """
    with closing(schema.read_only(Path(store))) as connection:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return {
                name: WRITERS[form](folder / f"{name}.{form.value}", columns, rows)
                for name, columns, rows in _tables(connection, store)
            }
        except OSError as error:
            raise UnusableHome(
                f"{error.filename or folder} cannot be written: {error.strerror}; name another folder"
            ) from error


def _tables(
    connection: sqlite3.Connection, store: Path
) -> Iterator[tuple[str, tuple[str, ...], Iterator[dict[str, Any]]]]:
    try:
        connection.execute("BEGIN")  # one moment for all of them
        for name, (table, columns, order) in TABLES.items():
            rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}")
            yield name, columns, (_readable(columns, row) for row in rows)
    except sqlite3.DatabaseError as error:
        raise UnreadableFile(f"{store} cannot be read: {error}") from error


def _readable(columns: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in zip(columns, row, strict=True)}


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in TIMES:
        return time_of(value).isoformat()
    return bool(value) if name in TRUTHS else value


def _write_json_lines(file: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
            count += 1
    return count


def _write_csv(file: Path, columns: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> int:
    count = 0
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            count += 1
    return count


WRITERS: Mapping[Form, Callable[[Path, tuple[str, ...], Iterable[dict[str, Any]]], int]] = {
    Form.JSON_LINES: _write_json_lines,
    Form.CSV: _write_csv,
}
