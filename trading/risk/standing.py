"""Rules about how the account stands: what it lost, and the halts that this has led to.

The journal keeps halts; a loss that is over its limit closes trading here even before a halt was written.
"""

from decimal import Decimal

from trading.risk.answer import Answer
from trading.risk.case import Case
from trading.risk.exact import ZERO, quotient
from trading.risk.halts import HaltKind


def drawdown(case: Case) -> Answer:
    """Paused from a drawdown until a person resumes, however the equity recovers."""
    words = "equity {:.2%} below its peak; from {:.2%} on trading is paused until a person resumes"
    return _loss(case, HaltKind.DRAWDOWN, case.account.equity_peak, case.exact.drawdown, words)


def daily_loss(case: Case) -> Answer:
    """Closed from a lost day until the next UTC day, however the equity recovers."""
    words = "equity {:.2%} below the day's opening; from {:.2%} on no new position until the next UTC day"
    return _loss(case, HaltKind.DAILY_LOSS, case.account.day_opening_equity, case.exact.daily_loss, words)


def losing_streak(case: Case) -> Answer:
    """Closed for a while after losses in a row."""
    limit = case.limits.losing_streak
    if halted := _halted(case, HaltKind.LOSING_STREAK):
        return limit, limit, False, "{}", (halted,)
    return 0, limit, True, "no cool-down", ()


def _loss(case: Case, kind: HaltKind, before: Decimal, limit: Decimal, words: str) -> Answer:
    lost = before - case.account.equity
    measured = quotient(lost, before)
    if halted := _halted(case, kind):
        return measured, limit, False, "{}", (halted,)
    return measured, limit, before > ZERO and lost < limit * before, words, (measured, limit)


def _halted(case: Case, kind: HaltKind) -> str:
    """Why this halt holds; empty when it does not."""
    for halt in case.state.halts or ():
        if halt.kind is kind:
            end = f"until {halt.until:%Y-%m-%d %H:%M} UTC" if halt.until else "until a person resumes"
            return f"halted since {halt.since:%Y-%m-%d %H:%M} UTC {end}: {halt.reason}"
    return ""
