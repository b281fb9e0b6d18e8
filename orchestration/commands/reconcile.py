"""`marketloom reconcile`: compares the ledger with the venue's books, and lets a person decide about differences."""

import getpass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console

from orchestration.resources import Services
from orchestration.system import running_system
from trading.errors import InvalidValue
from trading.reconciliation import Reconciliation
from trading.risk import HaltKind, Resume
from trading.risk.halts import active_halts


class Choice(StrEnum):
    """What a person decides about differences that nobody can explain."""

    LOOK = "look"  # only compare
    RESUME = "resume"  # go on, now that the books agree again
    ADOPT = "adopt"  # the venue is right: book what it has
    FLATTEN = "flatten"  # close every position first, then adopt


def reconcile_account(choice: Choice, reason: str, by: str) -> dict[str, Any]:
    """Compare, carry out the choice, and return what was found and done. InvalidValue for a choice without a reason."""
    if choice is not Choice.LOOK and not reason.strip():
        raise InvalidValue(f"write with --reason why to {choice}: it is kept with your name")
    with running_system():
        services = Services.current()
        account, reconciler = services.account.name, services.reconciler
        at = services.input_reader.now()
        services.order_executor.carry_out(account, at)
        found = reconciler.reconcile(account, at)
        person = by or getpass.getuser()
        done: list[str] = []
        if choice is Choice.FLATTEN:
            flattened = services.order_executor.flatten(account, at, f"flattened by {person}: {reason}")
            done += [f"order {each.intent_id} {each.status.value}" for each in flattened.orders] + list(
                flattened.problems
            )
        if choice in (Choice.ADOPT, Choice.FLATTEN):
            booked = reconciler.adopt(account, at, f"adopted by {person}: {reason}")
            done += [f"booked {each.amount:f} {each.asset}: {each.cause}" for each in booked]
            found = reconciler.reconcile(account, at)
        if choice is not Choice.LOOK:
            done += _resume(services, account, found, Resume(datetime.now(UTC), person, reason))
        return _facts(services, account, at, found, done)


def _resume(services: Services, account: str, found: Reconciliation, resume: Resume) -> list[str]:
    """End the halt where the books agree. InvalidValue with the differences where they do not."""
    if found.differences:
        words = "; ".join(f"{each.kind} {each.subject}: {each.note}" for each in found.differences)
        raise InvalidValue(
            f"the books still differ, so trading stays halted: {words}. Undo it at the venue, or choose --adopt (the "
            "venue is right) or --flatten (close everything, then adopt)"
        )
    if found.undecided:
        raise InvalidValue(f"the books cannot be judged now: {found.undecided}")
    waiting = [each for each in services.journal.halts(account) if each.needs_resume]
    if not any(each.kind is HaltKind.RECONCILIATION for each in waiting):
        return []
    equity = Decimal(services.input_reader.account.snapshot(services.input_reader.now())["equity"])
    ended = services.journal.resume(account, resume, equity, {HaltKind.RECONCILIATION})
    return [f"resumed: {each.reason}" for each in ended]


def _facts(
    services: Services, account: str, at: datetime, found: Reconciliation, done: list[str]
) -> dict[str, Any]:
    return {
        "account": account,
        "at": at,
        "agrees": found.agrees,
        "undecided": found.undecided,
        "booked": [
            {"asset": each.asset, "amount": str(each.amount), "cause": each.cause} for each in found.booked
        ],
        "differences": [
            {"kind": each.kind.value, "subject": each.subject, "note": each.note}
            for each in found.differences
        ],
        "done": done,
        "halts": [each.reason for each in active_halts(services.journal.halts(account), at)],
    }


def show(facts: dict[str, Any], out: Console) -> None:
    verdict = "the venue's books agree with the ledger" if facts["agrees"] else "not reconciled"
    out.print(f"account {facts['account']}: {verdict}")
    if facts["undecided"]:
        out.print(f"  {facts['undecided']}", soft_wrap=True)
    for row in facts["booked"]:
        out.print(f"  booked {row['amount']} {row['asset']}: {row['cause']}", soft_wrap=True)
    for row in facts["differences"]:
        out.print(f"  {row['kind']} {row['subject']}: {row['note']}", soft_wrap=True)
    for line in facts["done"]:
        out.print(f"  {line}", soft_wrap=True)
    if facts["differences"]:
        out.print(
            "  trading is halted; choose with --reason: --resume (after it was undone at the venue), --adopt (the "
            "venue is right), --flatten (close every position, then adopt)",
            soft_wrap=True,
        )
