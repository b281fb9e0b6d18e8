"""`marketloom reconcile`: compares the ledger with the venue's books, and lets a person decide about differences."""

import getpass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from rich.console import Console

from orchestration.services import Services
from orchestration.system import running_system
from trading.errors import InvalidValue
from trading.execution.exits import FLATTENED
from trading.portfolio.exact import trim_zeros
from trading.ports import Adjustment
from trading.reconciliation import Difference, DifferenceKind, Reconciliation
from trading.risk import HaltKind, Resume
from trading.risk.halts import active_halts

CHOICES = (
    "choose with --reason: --resume (after it was undone at the venue), --adopt (the venue is right: book what it "
    "has), --flatten (close every position, then adopt)"
)
CANCEL = "an order that this ledger does not know is cancelled by a person, at the venue; then --resume"


class Choice(StrEnum):
    """What a person decides about differences that nobody can explain."""

    LOOK = "look"  # only compare
    RESUME = "resume"  # go on, now that the books agree again
    ADOPT = "adopt"  # the venue is right: book what it has
    FLATTEN = "flatten"  # close every position first, then adopt


def reconcile_account(choice: Choice, reason: str, by: str) -> dict[str, Any]:
    """Compare, carry out the choice, and return what was found and done.

    InvalidValue for a choice without a reason, and for adopting while orders have no outcome. NotStored before the
    account has opened.
    """
    if choice is not Choice.LOOK and not reason.strip():
        raise InvalidValue(f"write with --reason why to {choice}: it is kept with your name")
    with running_system():
        services = Services.current()
        account, reconciler = services.account.name, services.reconciler
        services.journal.opened_at(account)  # NotStored before anything is asked
        at, person, done = services.clock().at, by or getpass.getuser(), list[str]()
        problems = list(services.order_executor.carry_out(account, at).problems)
        found = reconciler.reconcile(account, at)
        done += [f"booked {_amount(each)}: {each.cause}" for each in found.booked]
        if choice is Choice.FLATTEN:
            flattened = services.order_executor.flatten(account, at, f"{FLATTENED} {person}: {reason}")
            done += [f"order {each.intent_id} is {each.status.value}" for each in flattened.orders]
            problems += flattened.problems
        if choice in (Choice.ADOPT, Choice.FLATTEN):
            booked = reconciler.adopt(account, at, f"adopted by {person}: {reason}")
            done += [f"booked {_amount(each)}: {each.cause}" for each in booked]
            found = reconciler.reconcile(account, at)
        if choice is not Choice.LOOK and found.agrees:
            done += _resume(services, account, Resume(datetime.now(UTC), person, reason))
        facts = {"account": account, "at": at, "choice": choice.value, "done": done, "problems": problems}
        return facts | _facts(services, account, at, found)


def _resume(services: Services, account: str, resume: Resume) -> list[str]:
    """End the halt, now that the books agree; other halts stay."""
    if HaltKind.RECONCILIATION not in {
        each.kind for each in services.journal.halts(account) if each.needs_resume
    }:
        return ["the account was not halted by its books"]
    peak = services.journal.peak(account) or Decimal(0)  # which only the end of a drawdown would change
    ended = services.journal.resume(account, resume, peak, {HaltKind.RECONCILIATION})
    return [f"resumed by {resume.by}, it was halted because {each.reason}" for each in ended]


def _facts(services: Services, account: str, at: datetime, found: Reconciliation) -> dict[str, Any]:
    balances = services.journal.balances(account)
    return {
        "agrees": found.agrees,
        "undecided": found.undecided,
        "differences": [
            {"kind": each.kind.value, "subject": each.subject, "note": each.note, "advice": _advice(each)}
            for each in found.differences
        ],
        "uncovered": [
            f"{trim_zeros(each.quantity):f} {each.pair} is open, and only "
            f"{trim_zeros(balances.get(each.pair.base, Decimal(0))):f} "
            f"{each.pair.base} is there: the rest cannot be sold"
            for each in services.journal.positions(account)
            if each.quantity > balances.get(each.pair.base, Decimal(0))
        ],
        "halts": [
            {"kind": each.kind.value, "reason": each.reason}
            for each in active_halts(services.journal.halts(account), at)
        ],
    }


def _amount(each: Adjustment) -> str:
    worth = "" if each.value is None else f", worth {trim_zeros(each.value):f}"
    return f"{trim_zeros(each.amount):f} {each.asset}{worth}"


def _advice(difference: Difference) -> str:
    if difference.kind is DifferenceKind.FOREIGN_ORDER:
        return CANCEL
    if difference.kind is DifferenceKind.FOREIGN_TRADE:
        return "another program or a person trades with this key: stop it or give it a key of its own, then --adopt"
    return "find out what it was, then --adopt; or --resume once it is gone"


def show(facts: dict[str, Any], out: Console) -> None:
    verdict = "the venue's books agree with the ledger" if facts["agrees"] else "not reconciled"
    out.print(f"account {facts['account']}: {verdict}", soft_wrap=True)
    lines = [facts["undecided"], *facts["done"], *(f"problem: {each}" for each in facts["problems"])]
    for line in [*lines, *facts["uncovered"]]:
        if line:
            out.print(f"  {line}", soft_wrap=True, markup=False)
    for row in facts["differences"]:
        out.print(f"  {row['kind']} {row['subject']}: {row['note']}", soft_wrap=True, markup=False)
        out.print(f"    {row['advice']}", soft_wrap=True, markup=False)
    for halt in facts["halts"]:
        out.print(f"  halted, {halt['kind']}: {halt['reason']}", soft_wrap=True, markup=False)
    if facts["differences"]:
        out.print(f"  {CHOICES}", soft_wrap=True, markup=False)
    elif HaltKind.RECONCILIATION.value in {each["kind"] for each in facts["halts"]} and facts["agrees"]:
        out.print("  the books agree again: `marketloom reconcile --resume --reason ...` ends the halt")
