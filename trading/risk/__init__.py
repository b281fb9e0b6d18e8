"""The rules that every order must pass: total, pure, and the last word before the venue.

`assess` runs all of RULES, in their order; the rejection reason is the first that fails. The size is the largest
that the rules from risk per trade to balance allow, less where the pair moves with BTC, rounded down to the
venue's increment (`trading.risk.case` has the arithmetic, docs/risk.md the table). An order that closes a
position skips the rules that only guard entries and the numbers that it does not need: to be kept in a position
is never the safe side.
"""

from decimal import Decimal, localcontext
from itertools import filterfalse
from operator import attrgetter

from trading.market import Instrument
from trading.risk.case import Case, case_of
from trading.risk.exact import EXACT, ONE
from trading.risk.limits import Limits
from trading.risk.rules import ENTRY_ONLY, RULES
from trading.risk.values import (
    AccountState,
    Ages,
    MarketState,
    OtherPosition,
    Proposal,
    RiskAssessment,
    Verdict,
)

__all__ = [
    "ENTRY_ONLY", "RULES", "AccountState", "Ages", "Limits", "MarketState", "OtherPosition", "Proposal",
    "RiskAssessment", "Verdict", "assess",
]  # fmt: skip

_verdict = Verdict._make
_passes = attrgetter("passes")
_RULES = tuple(RULES.items())
_CLOSES = {
    name: Verdict(name, 0, 0, True, "guards entries only; this order closes", ()) for name in ENTRY_ONLY
}


def assess(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RiskAssessment:
    """Every rule's verdict and the size that all of them allow; never raises, whatever the numbers are."""
    with localcontext(EXACT):
        case = case_of(proposal, state, market, ages, instrument, limits)
        verdicts = tuple(_closing(case) if proposal.reduces else _entering(case))
        failed = next(filterfalse(_passes, verdicts), None)
        trailing = case.entry + case.sign * case.exact.trailing_after * case.risked
    priced = failed is None and not proposal.reduces
    return RiskAssessment(
        approved=failed is None,
        adjusted_size=case.size if failed is None else Decimal(0),
        adjusted_leverage=case.leverage if failed is None else ONE,
        stop_loss_price=case.stop if priced else None,
        take_profit_price=case.take_profit if priced else None,
        trailing_after_price=trailing if priced else None,
        trailing_distance=case.risked if priced else None,
        rejection_reason=f"{failed.rule}: {failed.note}" if failed else "",
        verdicts=verdicts,
    )


def _entering(case: Case) -> list[Verdict]:
    return [_verdict((name, *rule(case))) for name, rule in _RULES]


def _closing(case: Case) -> list[Verdict]:
    return [_CLOSES.get(name) or _verdict((name, *rule(case))) for name, rule in _RULES]
