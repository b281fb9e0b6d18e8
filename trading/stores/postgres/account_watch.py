"""Watches an account from a stream: word of its changes, readings, and findings fenced by the stream's lease."""

import threading
from collections.abc import Callable, Sequence

from trading.portfolio import Position
from trading.ports import AccountView
from trading.risk import Halt
from trading.stores.postgres import booking, halts, order_ledger
from trading.stores.postgres.accounts import require_lock, select_balances, select_opened_at
from trading.stores.postgres.connection import Connection, Database, translate_errors
from trading.stores.postgres.stream import require_stream

CHANNEL = "account_change"  # the notification's payload is the account (version 0007)
TICK = 0.5  # seconds after which a waiting thread looks whether it is to end


class PostgresAccountWatch:
    """One account as the stream of an origin sees it. `epoch` is that of the stream's present lease."""

    def __init__(self, dsn: str, account: str, origin: str, epoch: Callable[[], int]) -> None:
        self._database = Database(dsn)
        self._account = account
        self._origin = origin
        self._epoch = epoch

    def read(self) -> AccountView:
        with self._database.transaction() as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")  # one moment for all of it
            select_opened_at(connection, self._account)
            return AccountView(
                positions=tuple(booking.select_positions(connection, self._account)),
                working=tuple(order_ledger.select_working_orders(connection, self._account)),
                balances=select_balances(connection, self._account),
                halts=tuple(halts.select_halts(connection, self._account)),
                peak=halts.select_peak(connection, self._account),
                adjustments=self._count_adjustments(connection),
            )

    def commit(self, positions: Sequence[Position], begun: Sequence[Halt]) -> None:
        with self._database.transaction() as connection:
            require_lock(connection, self._account)
            require_stream(connection, self._origin, self._epoch(), self._account)
            for position in positions:
                booking.update_protection(connection, position)
            halts.insert_halts(connection, self._account, begun)

    def wait(self, changed: Callable[[], object], stop: threading.Event) -> None:
        with translate_errors(self._database.address), self._database.connect_unshared() as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}".encode())
            changed()  # what came before nobody has told
            while not stop.is_set():
                for each in connection.notifies(timeout=TICK):
                    if each.payload == self._account:
                        changed()
                    if stop.is_set():
                        return

    def close(self) -> None:
        self._database.close()

    def _count_adjustments(self, connection: Connection) -> int:
        query = "SELECT count(*) AS number FROM adjustments WHERE account = %s"
        row = connection.execute(query, (self._account,)).fetchone()
        return int(row["number"]) if row else 0
