"""What an account is worth and how it got there: the day's snapshot, its opening and its peak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from trading.market import Pair
from trading.portfolio import equity, rate


@dataclass(frozen=True, slots=True)
class Account:
    """Whose money: the name that decisions and fills are booked under, and what it opens with."""

    name: str
    quote: str  # what equity and limits are counted in
    total: Decimal  # opening value in `quote`
    fixed: Mapping[str, Decimal]  # opening balances that do not depend on prices
    rest: str  # the asset that takes what is missing to `total`


def opening_balances(account: Account, prices: Mapping[Pair, Decimal]) -> dict[str, Decimal]:
    """The fixed amounts, and as much of `rest` as is missing to `total`, to eight places."""
    missing = account.total - equity(account.fixed, account.quote, prices)
    amount = max(missing, Decimal(0)) / rate(account.rest, account.quote, prices)
    balances = dict(account.fixed)
    balances[account.rest] = balances.get(account.rest, Decimal(0)) + amount.quantize(Decimal("1e-8"))
    return balances


def snapshot(
    history: Sequence[Mapping[str, Any]],
    at: datetime,
    balances: Mapping[str, Decimal],
    quote: str,
    prices: Mapping[Pair, Decimal],
) -> dict[str, Any]:
    """The account at `at`, given the snapshots of earlier days and perhaps of this one.

    The day opens with the newest equity of an earlier day; the very first day opens with its own first value.
    """
    now = equity(balances, quote, prices)
    return {
        "day": at.date(),
        "at": at,
        "quote": quote,
        "equity": now,
        "opening_equity": _opening(history, at.date(), now),
        "peak_equity": max(
            [now, *(Decimal(row["peak_equity"]) for row in history if row["day"] <= at.date())]
        ),
        "balances": dict(balances),
        "allocation": {
            asset: float(amount * rate(asset, quote, prices) / now) if now else 0.0
            for asset, amount in balances.items()
        },
    }


def _opening(history: Sequence[Mapping[str, Any]], day: date, now: Decimal) -> Decimal:
    for row in history:
        if row["day"] == day:
            return Decimal(row["opening_equity"])
    earlier = [row for row in history if row["day"] < day]
    return Decimal(max(earlier, key=lambda row: row["day"])["equity"]) if earlier else now
