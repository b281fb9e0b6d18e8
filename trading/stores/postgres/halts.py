"""Halts and equity peaks, inside the caller's transaction."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any

from trading.ports import Message
from trading.risk import Halt, HaltKind, Resume
from trading.stores.journal_rules import not_paused_error
from trading.stores.order_rules import begun_anew
from trading.stores.postgres.connection import Connection, insert
from trading.stores.postgres.outbox import append_many


def raise_peak(connection: Connection, account: str, equity: Decimal) -> Decimal:
    """Raise the stored peak to `equity` if it is lower; processes that do so at once both get the higher one."""
    row = connection.execute(
        "INSERT INTO equity_peaks (account, equity) VALUES (%s, %s) ON CONFLICT (account) DO UPDATE "
        "SET equity = greatest(equity_peaks.equity, excluded.equity) RETURNING equity",
        (account, equity),
    ).fetchone()
    assert row is not None
    peak: Decimal = row["equity"]
    return peak


def select_peak(connection: Connection, account: str) -> Decimal | None:
    row = connection.execute("SELECT equity FROM equity_peaks WHERE account = %s", (account,)).fetchone()
    return row["equity"] if row else None


def insert_halts(connection: Connection, account: str, halts: Sequence[Halt]) -> None:
    """Insert those that are new, and publish an alert of each in the same transaction."""
    for halt in halts:
        begun = begun_anew(halt, select_halts(connection, account))
        if insert(connection, "halts", _to_row(account, begun), "ON CONFLICT DO NOTHING"):
            append_many(connection, [_alert(account, begun)])


def select_halts(connection: Connection, account: str) -> list[Halt]:
    rows = connection.execute("SELECT * FROM halts WHERE account = %s ORDER BY since", (account,))
    return [_to_halt(row) for row in rows]


def end_pauses(
    connection: Connection, account: str, resume: Resume, equity: Decimal, kinds: Collection[HaltKind] | None
) -> list[Halt]:
    """End the pauses of these kinds, and replace the peak after a drawdown, or raise NotStored."""
    ended = connection.execute(
        "UPDATE halts SET resumed_at = %s, resumed_by = %s, resume_reason = %s "
        "WHERE account = %s AND until IS NULL AND resumed_at IS NULL AND kind = ANY(%s) RETURNING *",
        (
            resume.at,
            resume.by,
            resume.reason,
            account,
            [kind.value for kind in (HaltKind if kinds is None else kinds)],
        ),
    ).fetchall()
    if not ended:
        raise not_paused_error(account, kinds)
    if any(row["kind"] == HaltKind.DRAWDOWN.value for row in ended):
        connection.execute(
            "INSERT INTO equity_peaks (account, equity) VALUES (%s, %s) "
            "ON CONFLICT (account) DO UPDATE SET equity = excluded.equity",
            (account, equity),
        )
    return sorted((_to_halt(row) for row in ended), key=lambda halt: halt.since)


def _alert(account: str, halt: Halt) -> Message:
    from trading.bus_messages import alert  # loading the graph must not import msgspec

    text = f"account {account} is halted, {halt.kind.value}: {halt.reason}"
    severity = "error" if halt.needs_resume else "warning"
    about = f"{account} {halt.kind.value} {halt.since.isoformat()}"
    return alert(f"account {account}", halt.kind.value, severity, text, halt.since, about=about)


def _to_row(account: str, halt: Halt) -> dict[str, Any]:
    ended = halt.resume
    return {
        "account": account,
        "kind": halt.kind.value,
        "since": halt.since,
        "until": halt.until,
        "reason": halt.reason,
        "resumed_at": ended and ended.at,
        "resumed_by": ended and ended.by,
        "resume_reason": ended and ended.reason,
    }


def _to_halt(row: dict[str, Any]) -> Halt:
    at = row["resumed_at"]
    ended = None if at is None else Resume(at, row["resumed_by"], row["resume_reason"])
    return Halt(HaltKind(row["kind"]), row["since"], row["until"], row["reason"], ended)
