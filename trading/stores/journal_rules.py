"""The rules that every journal enforces, whatever it is stored in."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from trading.errors import InvalidValue, LeaseLost, NotStored
from trading.market import Pair
from trading.orders import Fill, OrderIntent
from trading.ports import Adjustment, Lease
from trading.risk import HaltKind, Resume
from trading.stores.order_rules import check_intent

MIN_PREFIX = 8
OPINION_FIELDS = ("agent", "model", "action", "confidence", "reasoning", "evidence")
RECEIPT_FIELDS = ("decision_id", "account", "pair", "decided_at", "action", "confidence", "opinions")
SNAPSHOT_AMOUNTS = (
    "equity", "opening_equity", "peak_equity", "opened_with", "drawdown",
    "realised_pnl", "unrealised_pnl", "revaluation", "transfers", "fees", "net_pnl",
)  # fmt: skip


def json_text(values: Any) -> str:
    """Encode as JSON; decimals and pairs as text, times as ISO 8601. InvalidValue for what JSON has not, as NaN."""
    try:
        return json.dumps(values, default=_encode, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"cannot be stored as JSON: {error}") from None


def _encode(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal | Pair):
        return str(value)
    raise TypeError(f"{value!r} is not a JSON value")


def check_opening(account: str, balances: Mapping[str, Decimal]) -> None:
    """Raise InvalidValue for an opening balance that is negative or no number."""
    for asset, amount in balances.items():
        if not (amount.is_finite() and amount >= 0):
            raise InvalidValue(f"account {account}: an opening balance of {amount} {asset} must be 0 or more")


def check_decision(receipt: Mapping[str, Any], intent: OrderIntent | None) -> None:
    """Raise InvalidValue when the receipt lacks a field, or the intent is of another decision or impossible."""
    if missing := [name for name in RECEIPT_FIELDS if name not in receipt]:
        raise InvalidValue(f"the receipt lacks {', '.join(missing)}")
    if intent is None:
        return
    for name in ("decision_id", "account"):
        if getattr(intent, name) != receipt[name]:
            raise InvalidValue(f"{name} of intent {intent.intent_id} is not the receipt's {receipt[name]}")
    check_intent(intent)


def check_opinions(receipt: Mapping[str, Any]) -> None:
    for number, opinion in enumerate(receipt["opinions"]):
        if missing := [name for name in OPINION_FIELDS if name not in opinion]:
            raise InvalidValue(
                f"opinion {number} of decision {receipt['decision_id']} lacks {', '.join(missing)}"
            )


def decided_at(receipt: Mapping[str, Any]) -> datetime:
    value = receipt["decided_at"]
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidValue(f"decided_at is {value!r}: a UTC time is wanted") from None
    if time.tzinfo is None:
        raise InvalidValue(f"decided_at is {value!r}, which names no time zone")
    return time.astimezone(UTC)


def only_match(prefix: str, found: Sequence[str]) -> str:
    """Return the one decision id that a person meant. NotStored when there is none or more than one."""
    if len(found) == 1:
        return found[0]
    if found:
        raise NotStored(f"{prefix} begins the ids of {len(found)} or more decisions: write more characters")
    raise NotStored(f"no decision {prefix}: `marketloom status` lists the newest ones")


def check_fills(intent: OrderIntent, fills: Sequence[Fill]) -> None:
    """Raise InvalidValue when a fill is of another order or holds an amount that no venue could report."""
    for fill in fills:
        for name in ("intent_id", "account", "pair", "side"):
            if getattr(fill, name) != getattr(intent, name):
                raise InvalidValue(f"fill {fill.fill_id}: {name} is not the one of intent {intent.intent_id}")
        for name in ("price", "quantity", "fee"):
            amount = getattr(fill, name)
            if not (amount.is_finite() and (amount > 0 or (name == "fee" and amount == 0))):
                raise InvalidValue(f"fill {fill.fill_id}: {name} is {amount}")


def check_equity(account: str, equity: Decimal) -> None:
    if not equity.is_finite():
        raise InvalidValue(f"account {account}: equity is {equity}, which is no number")


def check_adjustment(adjustment: Adjustment) -> None:
    """Raise InvalidValue for an amount that is no number, and one that nobody could find again."""
    if not (adjustment.amount.is_finite() and adjustment.amount):
        raise InvalidValue(f"adjustment {adjustment.reference}: {adjustment.amount} is no amount to book")
    if adjustment.value is not None and not adjustment.value.is_finite():
        raise InvalidValue(f"adjustment {adjustment.reference}: its value is {adjustment.value}")
    for name in ("reference", "asset", "cause"):
        if not getattr(adjustment, name).strip():
            raise InvalidValue(f"an adjustment of account {adjustment.account} has no {name}")


def check_lease(holder: str, seconds: float) -> None:
    if not (holder and 0 < seconds < math.inf):
        raise InvalidValue(f"a lease of {seconds} seconds for {holder or 'nobody'} cannot be held")


def check_resume(resume: Resume) -> None:
    """Raise InvalidValue unless the resume names who resumed and why."""
    for name in ("by", "reason"):
        if not getattr(resume, name).strip():
            raise InvalidValue(f"{name} is empty: write who resumes trading, and why")


def utc_day(at: datetime) -> date:
    """Return the UTC day that holds `at`."""
    return at.astimezone(UTC).date()


def unknown_account_error(account: str) -> NotStored:
    return NotStored(f"no account {account}: its first decision opens it")


def not_paused_error(account: str, kinds: Collection[HaltKind] | None = None) -> NotStored:
    named = f" by {' or '.join(sorted(kinds))}" if kinds and len(kinds) < 3 else ""
    return NotStored(
        f"account {account} is not paused{named}, there is nothing to resume: `marketloom status` lists what holds it; "
        "not every halt waits for a person, and differences of the books are ended by `marketloom reconcile`"
    )


def unknown_intent_error(intent_id: str) -> NotStored:
    return NotStored(f"no intent {intent_id}: record the decision with its intent first")


def lease_lost_error(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"{lease.holder} sends for account {lease.account} no more: its lease, number {lease.fence}, is not the newest"
    )


def other_account_error(intent_id: str, account: str) -> InvalidValue:
    return InvalidValue(f"order {intent_id} is not one of account {account}: it cannot cancel it")


def second_exit_error(intent: OrderIntent) -> InvalidValue:
    return InvalidValue(
        f"intent {intent.intent_id}: an exit of {intent.pair} is under way on account {intent.account}; there is "
        "never a second one"
    )


def parse_snapshot(day: date, text: str) -> dict[str, Any]:
    """Parse a stored snapshot, with its times and amounts as they were saved."""
    snapshot: dict[str, Any] = json.loads(text) | {"day": day}
    snapshot |= {name: Decimal(snapshot[name]) for name in SNAPSHOT_AMOUNTS if name in snapshot}
    snapshot["balances"] = {asset: Decimal(amount) for asset, amount in snapshot["balances"].items()}
    if "at" in snapshot:
        snapshot["at"] = datetime.fromisoformat(snapshot["at"])
    return snapshot


def snapshot_json(snapshot: Mapping[str, Any]) -> str:
    """Encode a snapshot. InvalidValue when equity or balances are missing."""
    for name in ("equity", "balances"):
        if name not in snapshot:
            raise InvalidValue(f"the portfolio snapshot lacks {name}")
    return json_text(dict(snapshot))
