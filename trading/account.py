"""An account: what it opens with, and the day's snapshot with its value, peak and results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from trading.market import Pair
from trading.orders import Fill
from trading.portfolio import Portfolio, allocation, cash_flows, closed_trades, drawdown, equity, priced, rate
from trading.portfolio.exact import exactly, trim_zeros

# Of equity, since the account opened.
PARTS = ("realised_pnl", "unrealised_pnl", "revaluation", "transfers", "fees")
FIGURES = ("equity", "drawdown", *PARTS, "net_pnl")
COUNTS = ("open_positions", "closed_trades", "winning_trades")


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of balances: the name that decisions and fills are booked under, and what it opens with."""

    name: str
    quote: str  # what equity and limits are counted in
    total: Decimal  # opening value in `quote`
    fixed: Mapping[str, Decimal]  # opening balances that do not depend on prices
    rest: str  # the asset that takes what is missing to `total`


def opening_balances(account: Account, prices: Mapping[Pair, Decimal]) -> dict[str, Decimal]:
    """Return the fixed amounts, and as much of `rest` as is missing to `total`, to eight places."""
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
    midnight: Decimal | None,
    transfers: Decimal = Decimal(0),
) -> dict[str, Any]:
    """Describe the account at `at`, given the snapshots of earlier days and perhaps of this one.

    An asset that no pair prices is no part of its equity: `left_out` names it.
    The day opens with `midnight`, the equity with which it began. Where that is None, as on the day of the first
    decision, it opens with its own first value, or with the newest equity of an earlier day.
    `transfers` is what was paid in less what was taken out since the account opened: peak and opening move with it, so
    that it is neither a gain nor a loss.
    """
    history = [_moved(row, transfers) for row in history]
    valued, left_out = priced(balances, quote, prices)
    now = equity(valued, quote, prices)
    return {
        "day": at.date(),
        "at": at,
        "quote": quote,
        "equity": now,
        "opening_equity": _opening(history, at.date(), now) if midnight is None else midnight,
        "peak_equity": max(
            [now, *(Decimal(row["peak_equity"]) for row in history if row["day"] <= at.date())]
        ),
        "transfers": transfers,
        "balances": dict(balances),
        "left_out": {asset: str(amount) for asset, amount in left_out.items()},
        "allocation": {asset: float(share) for asset, share in allocation(valued, quote, prices).items()},
    }


def portfolio_of(balances: Mapping[str, Decimal], fills: Iterable[Fill]) -> Portfolio:
    """Rebuild the portfolio whose fills led to `balances`; what it opened with is what they did not bring.

    Raises InvalidValue for a fill that is there twice.
    """
    fills = list(fills)
    opening = dict(balances)
    with exactly():
        for fill in fills:
            for asset, amount in cash_flows(fill).items():
                opening[asset] = opening.get(asset, Decimal(0)) - amount
    return Portfolio.of(opening, fills)


def with_results(
    snapshot: Mapping[str, Any],
    fills: Iterable[Fill],
    prices: Mapping[Pair, Decimal],
    opened_with: Decimal,
    transfers: Decimal = Decimal(0),
) -> dict[str, Any]:
    """Add to a snapshot what the account's trading had gained by then, at that moment's `prices`.

    `fills` are those of positions; later ones are left out. Profits and fees are sums since the account opened, in the
    snapshot's quote. `transfers` is what was paid in less what was taken out, each at its moment's prices. The
    revaluation is what all that no position brought gained by itself over that and over `opened_with`, the opening
    balances' value at the opening. Exactly:
    equity = opened_with + transfers + revaluation + realised + unrealised - fees.
    """
    known = [fill for fill in fills if fill.filled_at <= snapshot["at"]]
    account = portfolio_of(snapshot["balances"], known)
    profit = account.profit(snapshot["quote"], prices)
    trades = closed_trades(known, prices)
    with exactly():
        opening, _ = priced(account.opening, snapshot["quote"], prices)
        revaluation = equity(opening, snapshot["quote"], prices) - opened_with - transfers
    return {
        **snapshot,
        "opened_with": opened_with,
        "revaluation": trim_zeros(revaluation),
        "transfers": trim_zeros(transfers),
        "drawdown": drawdown(snapshot["equity"], snapshot["peak_equity"]),
        "realised_pnl": trim_zeros(profit.realised),
        "unrealised_pnl": trim_zeros(profit.unrealised),
        "fees": trim_zeros(profit.fees),
        "net_pnl": trim_zeros(profit.net),
        "fees_by_asset": dict(account.fees),
        "open_positions": len(account.holdings),
        "closed_trades": len(trades),
        "winning_trades": sum(trade.pnl > 0 for trade in trades),
    }


def figures(snapshot: Mapping[str, Any]) -> dict[str, float | int]:
    """Return the numbers of a snapshot with results that are drawn over time."""
    return {name: float(snapshot[name]) for name in FIGURES} | {name: int(snapshot[name]) for name in COUNTS}


@dataclass(frozen=True, slots=True)
class EquityChange:
    """Why equity moved between two moments, in the quote asset. The parts add up to `equity` exactly."""

    equity: Decimal
    realised: Decimal  # of what was closed, before fees
    unrealised: Decimal  # of what is open
    revaluation: Decimal  # of the balances that no position brought
    transfers: Decimal  # paid in, less what was taken out
    fees: Decimal  # below zero when fees were paid

    @property
    def unexplained(self) -> Decimal:
        """Return what the parts leave over: exactly 0 between snapshots as they were stored."""
        with exactly():
            parts = (self.realised, self.unrealised, self.revaluation, self.transfers, self.fees)
            return self.equity - sum(parts, Decimal(0))


def equity_change(earlier: Mapping[str, Any] | None, later: Mapping[str, Any]) -> EquityChange | None:
    """Explain the change from one snapshot to another, or from the account's opening (`earlier` None).

    None when a snapshot was stored before its parts were.
    """
    opening = {"equity": later.get("opened_with")} | dict.fromkeys(PARTS, Decimal(0))
    rows = [{"transfers": Decimal(0), **row} for row in (opening if earlier is None else earlier, later)]
    if any(row.get(part) is None for row in rows for part in ("equity", *PARTS)):
        return None
    before, after = rows
    with exactly():
        realised, unrealised, revaluation, transfers, fees = (after[part] - before[part] for part in PARTS)
        moved = after["equity"] - before["equity"]
        return EquityChange(moved, realised, unrealised, revaluation, transfers, -fees)


def _moved(row: Mapping[str, Any], transfers: Decimal) -> dict[str, Any]:
    """Return an earlier snapshot with its values moved by what was paid in or taken out after it.

    Counted by what it knew itself: what came before and was booked later moves it too.
    """
    with exactly():
        later = transfers - Decimal(row.get("transfers", 0))
        values = {name: Decimal(row[name]) + later for name in ("equity", "opening_equity", "peak_equity")}
    return {**row, **values}


def _opening(history: Sequence[Mapping[str, Any]], day: date, now: Decimal) -> Decimal:
    for row in history:
        if row["day"] == day:
            return Decimal(row["opening_equity"])
    earlier = [row for row in history if row["day"] < day]
    return Decimal(max(earlier, key=lambda row: row["day"])["equity"]) if earlier else now
