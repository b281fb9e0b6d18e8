"""The balance history: table `account_minutes`, read by anyone, written by the stream that watches the account."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading.account_minute import AccountMinute, BalanceValue, BookedAccount, PositionValue
from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Portfolio
from trading.stores.journal_rules import json_text
from trading.stores.postgres import booking, halts
from trading.stores.postgres.accounts import select_balances, select_opened_at
from trading.stores.postgres.connection import Connection, Database, insert
from trading.stores.postgres.stream import require_stream

FIGURES = (
    "equity", "realised_pnl", "unrealised_pnl", "fees", "gross_exposure", "net_exposure", "peak_equity", "drawdown",
)  # fmt: skip
PLAIN = ("account", "minute", "at", "known_at", "newest_entry", "quote", *FIGURES)
# JSON as text: psycopg parses it otherwise, and this is parsed once, here.
_SELECT = (
    f"SELECT {', '.join(PLAIN)}, balances::text, left_out::text, positions::text, prices::text, unseen::text "
    "FROM account_minutes "
)
_NEWEST_ENTRY = "SELECT coalesce(max(number), 0) AS newest FROM ledger_entries WHERE account = %s"
_LEDGER = """
SELECT asset, sum(amount) AS amount FROM ledger_entries
WHERE account = %s AND entered_at <= %s AND number <= %s GROUP BY asset ORDER BY asset
"""


class PostgresBalanceHistory:
    """Reads the minutes of all accounts."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def minutes(self, account: str, start: datetime, end: datetime) -> list[AccountMinute]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE account = %s AND minute >= %s AND minute < %s ORDER BY minute".encode(),
                (account, start, end),
            )
            return [_minute_from(row) for row in rows]

    def day_ends(self, account: str, end: datetime, days: int) -> list[AccountMinute]:
        query = (
            "SELECT newest.* FROM generate_series(%(end)s - %(days)s * interval '1 day', "
            "%(end)s - interval '1 day', interval '1 day') AS day, LATERAL ("
            f"{_SELECT} WHERE account = %(account)s AND minute >= day AND minute < day + interval '1 day' "
            "ORDER BY minute DESC LIMIT 1) AS newest ORDER BY newest.minute"
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.encode(), {"account": account, "end": end, "days": days})
            return [_minute_from(row) for row in rows]

    def ledger_balances(self, account: str, at: datetime, newest_entry: int) -> dict[str, Decimal]:
        with self._database.reading() as connection:
            rows = connection.execute(_LEDGER, (account, at, newest_entry))
            return {row["asset"]: row["amount"] for row in rows}


class PostgresMinuteWriter:
    """Writes the minutes of one account as the stream of an origin. `epoch` is that of the stream's present lease."""

    def __init__(self, dsn: str, account: str, origin: str, epoch: Callable[[], int]) -> None:
        self._database = Database(dsn)
        self._account = account
        self._origin = origin
        self._epoch = epoch
        self._entry = -1  # the ledger's newest, when the fills were read
        self._fills: Sequence[Fill] = ()
        self._folded: tuple[int, int] | None = None  # of which entry and how many fills the portfolio is
        self._portfolio = Portfolio.of({}, ())

    def booked(self, at: datetime) -> BookedAccount:
        """Return what is booked up to `at`; the fills are read and folded again only when something was booked."""
        with self._database.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # one moment for all of it
            select_opened_at(connection, self._account)
            newest = self._read_fills(connection)
            balances = select_balances(connection, self._account, at)
            peak = halts.select_peak(connection, self._account)
        known = [fill for fill in self._fills if fill.filled_at <= at]
        if self._folded != (newest, len(known)):
            self._portfolio, self._folded = Portfolio.of({}, known), (newest, len(known))
        return BookedAccount(balances, self._portfolio, peak, newest)

    def write(self, minutes: Sequence[AccountMinute]) -> None:
        with self._database.transaction() as connection:
            require_stream(connection, self._origin, self._epoch(), self._account)
            for each in minutes:
                insert(connection, "account_minutes", _row_of(each), "ON CONFLICT DO NOTHING")

    def close(self) -> None:
        self._database.close()

    def _read_fills(self, connection: Connection) -> int:
        row = connection.execute(_NEWEST_ENTRY, (self._account,)).fetchone()
        assert row is not None
        newest = int(row["newest"])
        if newest != self._entry:
            self._fills = booking.select_fills(connection, self._account, of_positions=True)
            self._entry = newest
        return newest


def _row_of(minute: AccountMinute) -> dict[str, Any]:
    values = {
        "balances": {name: [each.amount, each.value] for name, each in minute.balances.items()},
        "left_out": dict(minute.left_out),
        "positions": [_position_values(each) for each in minute.positions],
        "prices": {str(pair): price for pair, price in minute.prices.items()},
        "unseen": {str(pair): why for pair, why in minute.unseen.items()},
    }
    row = {name: getattr(minute, name) for name in (*PLAIN, "cash")}
    return row | {name: json_text(value) for name, value in values.items()}


def _position_values(position: PositionValue) -> dict[str, Any]:
    return {name: getattr(position, name) for name in PositionValue.__slots__}


def _minute_from(row: Mapping[str, Any]) -> AccountMinute:
    stored = {
        name: json.loads(row[name]) for name in ("balances", "left_out", "positions", "prices", "unseen")
    }
    times = {name: row[name].astimezone(UTC) for name in ("minute", "at", "known_at")}
    return AccountMinute(
        **{name: row[name] for name in PLAIN} | times,
        balances={
            name: BalanceValue(Decimal(amount), _decimal(value))
            for name, (amount, value) in stored["balances"].items()
        },
        left_out={name: Decimal(amount) for name, amount in stored["left_out"].items()},
        positions=tuple(_position_from(each) for each in stored["positions"]),
        prices={Pair.parse(pair): Decimal(price) for pair, price in stored["prices"].items()},
        unseen={Pair.parse(pair): why for pair, why in stored["unseen"].items()},
    )


def _position_from(values: Mapping[str, Any]) -> PositionValue:
    return PositionValue(
        pair=Pair.parse(values["pair"]),
        quantity=Decimal(values["quantity"]),
        entry_price=Decimal(values["entry_price"]),
        opened_at=datetime.fromisoformat(values["opened_at"]),
        price=_decimal(values["price"]),
        unrealised_pnl=_decimal(values["unrealised_pnl"]),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
