"""Accounts with real money: what a person has confirmed of each, and what was found of it last. All by one clock."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from trading.live_deployment import AccountCheck, Confirmation, Deployment
from trading.stores.postgres.connection import Database

SAVE_CHECK = """
INSERT INTO live_checks (account, problems, checked_at) VALUES (%s, %s, clock_timestamp())
ON CONFLICT (account) DO UPDATE SET problems = excluded.problems, checked_at = excluded.checked_at
"""


class PostgresLiveAccounts:
    """Nothing is overwritten but the last check: who confirmed what, and who ended it, stays readable."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def confirm(self, deployment: Deployment, by: str) -> None:
        """Store that a person lets this deployment trade real money."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO live_confirmations (account, deployment, confirmed_by) VALUES (%s, %s, %s)",
                (deployment.account, Jsonb(asdict(deployment)), by),
            )

    def confirmation(self, account: str) -> Confirmation | None:
        """Return the newest one of the account; None without one, or where that was ended."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT deployment, confirmed_by, confirmed_at, ended_at FROM live_confirmations "
                "WHERE account = %s ORDER BY number DESC LIMIT 1",
                (account,),
            ).fetchone()
        if row is None or row["ended_at"] is not None:
            return None
        return Confirmation(_deployment(row["deployment"]), row["confirmed_by"], row["confirmed_at"])

    def is_ours(self, account: str) -> bool:
        """Return whether this program has to watch it: it was confirmed, and nobody has closed it by hand since."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT closed_by_hand FROM live_confirmations WHERE account = %s ORDER BY number DESC LIMIT 1",
                (account,),
            ).fetchone()
        return row is not None and not row["closed_by_hand"]

    def is_tended(self, account: str, within: float) -> bool:
        """Return whether somebody has had the account's orders in hand in these last seconds, in whatever process.

        While something is in the market its keeper has, every few seconds, and who decides, and the guard.
        """
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM leases WHERE account = %s "
                "AND held_until > clock_timestamp() - make_interval(secs => %s)",
                (account, within),
            ).fetchone()
        return row is not None

    def end(self, account: str, by: str, *, closed_by_hand: bool = False) -> bool:
        """End every confirmation of the account; False where there was none.

        `closed_by_hand`: a person has closed all of it at the venue, so what the ledger has is not looked after any
        more. That may follow an end.
        """
        with self._database.transaction() as connection:
            ended = connection.execute(
                "UPDATE live_confirmations SET ended_by = %s, ended_at = clock_timestamp() "
                "WHERE account = %s AND ended_at IS NULL",
                (by, account),
            ).rowcount
            closed = 0
            if closed_by_hand:
                closed = connection.execute(
                    "UPDATE live_confirmations SET closed_by_hand = true WHERE account = %s AND NOT closed_by_hand",
                    (account,),
                ).rowcount
        return ended + closed > 0

    def save_check(self, account: str, problems: Sequence[str]) -> None:
        """Store what blocks the account now."""
        with self._database.transaction() as connection:
            connection.execute(SAVE_CHECK, (account, Jsonb(list(problems))))

    def check(self, account: str) -> AccountCheck | None:
        """Return the last one; None where it was never made."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT problems, extract(epoch FROM clock_timestamp() - checked_at)::float8 AS age "
                "FROM live_checks WHERE account = %s",
                (account,),
            ).fetchone()
        return None if row is None else AccountCheck(tuple(row["problems"]), row["age"])


def _deployment(stored: dict[str, Any]) -> Deployment:
    return Deployment(
        account=stored["account"],
        code=stored["code"],
        settings=stored["settings"],
        pairs=tuple(stored["pairs"]),
        limits=stored["limits"],
    )
