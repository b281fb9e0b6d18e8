"""Export of the exchange's accounts, orders and fills: amounts as exact text, times as ISO 8601.

Reads the store beside the exchange that writes it; all tables are of one moment.
"""

import csv
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

import msgspec

from streaming.sandbox.exchange import records, schema
from streaming.sandbox.model import BalanceChanged, CloseOrder, ExchangeFill, PriceTerm
from trading.errors import UnreadableFile, UnusableHome
from trading.margin.terms import MarginPosition
from trading.market import Pair

Rows = Iterator[dict[str, Any]]
ZERO = Decimal(0)


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


ORDERS = (
    "number", "order_id", "account", "pair", "side", "order_type", "quantity", "limit_term", "trigger_term",
    "time_in_force", "expires_at", "post_only", "reduce_only", "leverage", "client_order_id", "user_reference",
    "close_order", "limit_price", "trigger_price", "state", "reason", "triggered", "opened_at", "closed_at",
    "entered", "filled", "cost", "fee", "parent_id",
)  # fmt: skip
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "orders": ORDERS,
    "fills": ("number", *_names(ExchangeFill)),
    "balances": ("account", "asset", "opening", "amount", "realised", "fees"),
    "entries": ("number", *_names(BalanceChanged)),
    "positions": ("account", "place", *_names(MarginPosition)),
    "house": ("asset", "market_maker", "fees"),
}


class Form(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"


def export(store: Path) -> dict[str, list[dict[str, Any]]]:
    """Return tables by name, each a list of rows. UnreadableFile when there is no store of the exchange."""
    with closing(schema.open_read_only(Path(store))) as connection:
        return {name: list(rows) for name, _, rows in _tables(connection, store)}


def fills_after(store: Path, account: str, after: int, count: int) -> list[dict[str, Any]]:
    """Return the account's oldest fills with a number above `after`, ascending, as rows of the export."""
    found = "SELECT number, body FROM executions WHERE account = ? AND number > ? ORDER BY number LIMIT ?"
    with closing(schema.open_read_only(Path(store))) as connection:
        rows = connection.execute(found, (account, after, count))
        fills = ({"number": number, **_values(records.read_fill(body))} for number, body in rows)
        return list(_plain_rows(fills, COLUMNS["fills"], store))


def plain_row(value: Any) -> dict[str, Any]:
    """Return a dataclass as a row of the export: amounts as exact text, times as ISO 8601."""
    return {name: _plain(each) for name, each in _values(value).items()}


def write_export(store: Path, folder: Path, form: Form = Form.JSON_LINES) -> dict[str, int]:
    """Write one file per table in `folder`, replaced where it exists; return how many rows each has.

    UnusableHome when the folder cannot be made or written.
    """
    with closing(schema.open_read_only(Path(store))) as connection:
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


def _tables(connection: sqlite3.Connection, store: Path) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    connection.execute("BEGIN")  # one moment for all of them
    for name, columns in COLUMNS.items():
        yield name, columns, _plain_rows(READERS[name](connection), columns, store)


def _plain_rows(rows: Rows, columns: tuple[str, ...], store: Path) -> Rows:
    try:
        for row in rows:
            yield {column: _plain(row[column]) for column in columns}
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        raise UnreadableFile(f"{store} cannot be read: {error}") from error


def _orders(connection: sqlite3.Connection) -> Rows:
    for (body,) in connection.execute("SELECT body FROM orders ORDER BY number"):
        working = records.read_order(body)
        request = working.order.request
        yield (
            _values(request)
            | _values(working.order)
            | {
                "number": working.number,
                "limit_term": _term(request.limit),
                "trigger_term": _term(request.trigger),
                "close_order": _close(request.close),
            }
        )


def _fills(connection: sqlite3.Connection) -> Rows:
    for number, body in connection.execute("SELECT number, body FROM executions ORDER BY number"):
        yield {"number": number, **_values(records.read_fill(body))}


def _entries(connection: sqlite3.Connection) -> Rows:
    for number, body in connection.execute("SELECT number, body FROM entries ORDER BY number"):
        yield {"number": number, **_values(records.read_entry(body))}


def _balances(connection: sqlite3.Connection) -> Rows:
    for account, body in connection.execute("SELECT account, body FROM accounts ORDER BY account"):
        record = records.read_account(body)
        for asset in sorted({**record.balances, **record.fees}):
            yield {
                "account": account,
                "asset": asset,
                "opening": record.opening.get(asset, ZERO),
                "amount": record.balances.get(asset, ZERO),
                "realised": record.realised.get(asset, ZERO),
                "fees": record.fees.get(asset, ZERO),
            }


def _positions(connection: sqlite3.Connection) -> Rows:
    for account, body in connection.execute("SELECT account, body FROM accounts ORDER BY account"):
        for place, position in enumerate(records.read_account(body).positions):
            yield {"account": account, "place": place, **_values(position)}


def _house(connection: sqlite3.Connection) -> Rows:
    for (body,) in connection.execute("SELECT body FROM exchange"):
        record = records.read_exchange(body)
        for asset in sorted({**record.market_maker, **record.fees}):
            yield {
                "asset": asset,
                "market_maker": record.market_maker.get(asset, ZERO),
                "fees": record.fees.get(asset, ZERO),
            }


READERS: Mapping[str, Callable[[sqlite3.Connection], Rows]] = {
    "orders": _orders,
    "fills": _fills,
    "balances": _balances,
    "entries": _entries,
    "positions": _positions,
    "house": _house,
}


def _values(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _names(type(value))}


def _term(term: PriceTerm | None) -> str | None:
    return f"{term.unit.value} {records.text(term.value)}" if term else None


def _close(close: CloseOrder | None) -> str | None:
    if close is None:
        return None
    return "|".join((close.order_type.value, _term(close.limit) or "", _term(close.trigger) or ""))


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return records.text(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Pair():
            return value.key
        case Enum():
            return value.value
        case _:
            return value


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
