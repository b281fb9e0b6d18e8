"""How the account stands: the halts that are due, and the portfolio after a decision."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from ml.decision.account_reader import AccountReader
from ml.decision.valuation import Valuation
from trading.portfolio import closed_trades
from trading.ports import AccountBooks, Journal
from trading.risk.halts import EquityLevels, due_halts
from trading.risk.limits import Limits


def begin_due_halts(
    account: AccountReader,
    valuation: Valuation,
    limits: Limits,
    journal: Journal,
    books: AccountBooks | None = None,
) -> AccountBooks:
    """Record what stops trading now, and return the books with it. The account is locked by the caller.

    A losing streak is found in the fills themselves, a drawdown through the stored peak, so that nothing depends on
    this having run before.
    """
    books = books or account.books(valuation.at)
    covered = valuation.covering(books.positions)
    now = account.snapshot(valuation.at, covered, books)
    peak = journal.raise_peak(account.name, now["equity"])
    trades = closed_trades(journal.fills(account.name, of_positions=True), covered.prices)
    due = due_halts(
        EquityLevels(now["equity"], peak, now["opening_equity"]),
        trades,
        books.halts,
        limits=limits,
        now=valuation.at,
        candle=account.market.universe.timeframe.duration,
        rejects=books.rejects,
    )
    if not due:
        return replace(books, peak=peak)
    journal.begin_halts(account.name, due)
    return account.books(valuation.at)


def save_snapshot(
    account: AccountReader, at: datetime, journal: Journal, valuation: Valuation | None = None
) -> tuple[dict[str, Any] | None, str]:
    """Store the portfolio at `at` and return it; without one, why there is none.

    It never raises: what was decided and ordered stands, whatever the portfolio cannot be valued for.
    """
    try:
        snapshot, _ = account.results(at, valuation)
        journal.save_snapshot(account.name, at, snapshot)
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"
    return snapshot, ""
