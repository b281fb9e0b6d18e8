"""Money over time, for `marketloom portfolio`: what the account is worth, why that changed, what is open and closed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ml.decision.account_reader import AccountReader
from orchestration.services import Services
from orchestration.system import running_system
from trading.account import COUNTS, FIGURES, EquityChange, equity_change, portfolio_of
from trading.market import Pair, midnight
from trading.portfolio import ClosedTrade, Holding, closed_trades, unrealised
from trading.portfolio.exact import trim_zeros
from trading.ports import BalanceHistory

SHOWN_ROWS = 10  # newest snapshots and trades that a person sees; --json has them all
Row = dict[str, Any]


def read_portfolio(since: datetime | None) -> Row:
    """Read the account at the newest candle, its trades, and the newest snapshot of each day, or all `since` a time."""
    with running_system():
        services = Services.current()
        account, at = services.input_reader.account, services.input_reader.now()
        journal = services.journal
        stored = (
            journal.snapshots(account.name) if since is None else journal.snapshots_since(account.name, since)
        )
        facts = portfolio_facts(account, at, stored)
        return {**facts, "newest_minute": newest_minute(services.balance_history, account.name, at)}


def portfolio_facts(account: AccountReader, at: datetime, stored: Sequence[Mapping[str, Any]]) -> Row:
    """Describe the account at `at`; amounts are exact, in the account's quote asset where nothing else is said."""
    now, fills = account.results(at)
    prices = account.valuation(at).prices
    holdings = portfolio_of(now["balances"], fills).holdings
    return {
        "account": account.name,
        "quote": account.quote,
        "at": at,
        **{name: now[name] for name in (*FIGURES, *COUNTS, "opened_with", "opening_equity", "peak_equity")},
        "opened_at": account.journal.opened_at(account.name),
        "since_opening": _change(equity_change(None, now)),
        "balances": now["balances"],
        "positions": [_position(account, each, prices) for each in holdings.values()],
        "trades": [_trade(each) for each in closed_trades(fills, prices)],
        "history": list(_history(stored)),
    }


def newest_minute(history: BalanceHistory, account: str, at: datetime) -> Row | None:
    """Return the newest minute that the stream's guard has written of yesterday or today; None without one."""
    found = history.day_ends(account, midnight(at.date() + timedelta(days=1)), days=2)
    if not found:
        return None
    names = ("at", "equity", "unrealised_pnl", "gross_exposure", "net_exposure", "drawdown")
    return {name: getattr(found[-1], name) for name in names}


def _position(account: AccountReader, holding: Holding, prices: Mapping[Pair, Decimal]) -> Row:
    levels = account.position(holding.pair)
    return {
        "pair": str(holding.pair),
        "quantity": trim_zeros(holding.quantity),
        "entry_price": holding.entry_price,
        "price": prices[holding.pair],
        "unrealised_pnl": trim_zeros(unrealised(holding, account.quote, prices)),
        "stop_loss": levels and levels.stop_loss,
        "take_profit": levels and levels.take_profit,
        "opened_at": holding.opened_at,
    }


def _trade(trade: ClosedTrade) -> Row:
    """Fees and profit are in the pair's own quote asset."""
    return asdict(trade) | {"pair": str(trade.pair), "quantity": trim_zeros(trade.quantity)}


def _history(stored: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield each snapshot with the change since the one before it; the first has none."""
    before: Sequence[Mapping[str, Any] | None] = [None, *stored]
    for earlier, later in pairwise(before):
        assert later is not None
        change = equity_change(earlier, later) if earlier is not None else None
        yield {"at": later.get("at", later["day"]), "equity": later["equity"], "change": _change(change)}


def _change(change: EquityChange | None) -> Row | None:
    """None: the snapshots were stored before their parts were."""
    return None if change is None else {name: trim_zeros(amount) for name, amount in asdict(change).items()}


def show(facts: Row, out: Console) -> None:
    """Print the account for a person: the value and why it moved, positions, trades, and the newest snapshots."""
    quote = facts["quote"]
    value = (f"{facts['equity']:.2f} {quote}", "bold")
    below = f", {float(facts['drawdown']):.1%} below its peak"
    times = f" at {facts['at']:%Y-%m-%d %H:%M} UTC: "
    out.print(Text.assemble("account ", (facts["account"], "bold"), times, value, below))
    if facts.get("newest_minute"):
        out.print(_minute_text(facts["newest_minute"], quote))
    out.print(f"opened with {facts['opened_with']:.2f} {quote} on {facts['opened_at']:%Y-%m-%d}; since then")
    out.print(_parts_table(facts))
    out.print(_positions_table(facts["positions"], quote) if facts["positions"] else "no open position")
    out.print(_trades_table(facts["trades"][-SHOWN_ROWS:]) if facts["trades"] else "no closed trade")
    if facts["history"]:
        out.print(_history_table(facts["history"][-SHOWN_ROWS:], quote))


def _minute_text(minute: Row, quote: str) -> str:
    def money(name: str, form: str) -> str:
        return "unknown" if minute[name] is None else f"{minute[name]:{form}} {quote}"

    return (
        f"on the stream's prices at {minute['at']:%Y-%m-%d %H:%M} UTC: {money('equity', '.2f')}, of it "
        f"{money('unrealised_pnl', '+.2f')} unrealised, exposed with {money('gross_exposure', '.2f')}"
    )


def _parts_table(facts: Row) -> Table:
    change = facts["since_opening"]
    meanings = {
        "realised": f"profit of what was closed, before fees ({facts['closed_trades']} closed, "
        f"{facts['winning_trades']} with a gain)",
        "unrealised": "profit of what is open",
        "fees": "paid",
        "revaluation": "what the balances of the opening gained or lost by themselves",
        "transfers": "paid in, less what was taken out",
        "equity": "all of it",
    }
    table = Table("part", f"{facts['quote']}", "what it is")
    table.columns[1].justify = "right"
    for name, meaning in meanings.items():
        if name == "transfers" and not change[name]:
            continue
        table.add_row(name, f"{change[name]:+.2f}", meaning, style="bold" if name == "equity" else None)
    return table


def _positions_table(rows: Sequence[Row], quote: str) -> Table:
    table = Table(
        "open", "quantity", "entry", "price", f"unrealised {quote}", "stop", "target", "open since (UTC)"
    )
    for row in rows:
        prices = [_price(row[name]) for name in ("entry_price", "price")]
        levels = [_price(row[name]) for name in ("stop_loss", "take_profit")]
        quantity, gain = f"{row['quantity']:f}", f"{row['unrealised_pnl']:+.2f}"
        table.add_row(row["pair"], quantity, *prices, gain, *levels, f"{row['opened_at']:%Y-%m-%d %H:%M}")
    return table


def _trades_table(rows: Sequence[Row]) -> Table:
    table = Table("closed (UTC)", "pair", "quantity", "entry", "exit", "fees", "profit after fees")
    for row in reversed(rows):
        coin = row["pair"].partition("/")[2]
        prices = [_price(row[name]) for name in ("entry_price", "exit_price")]
        amounts = [f"{row['fees']:.8g} {coin}", f"{float(row['pnl']):+.8g} {coin}"]
        table.add_row(
            f"{row['closed_at']:%Y-%m-%d %H:%M}", row["pair"], f"{row['quantity']:f}", *prices, *amounts
        )
    return table


def _history_table(rows: Sequence[Row], quote: str) -> Table:
    names = ["equity", "realised", "unrealised", "revaluation", "fees"]
    if any((row["change"] or {}).get("transfers") for row in rows):
        names.insert(4, "transfers")
    table = Table(
        "snapshot (UTC)", f"equity {quote}", *("change" if name == "equity" else name for name in names)
    )
    for row in reversed(rows):
        change = row["change"] or {}
        cells = [f"{change[name]:+.2f}" if name in change else "-" for name in names]
        table.add_row(f"{row['at']:%Y-%m-%d %H:%M}", f"{row['equity']:.2f}", *cells)
    return table


def _price(price: Decimal | None) -> str:
    return "-" if price is None else f"{float(price):.8g}"
