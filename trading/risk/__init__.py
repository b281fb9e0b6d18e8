"""The rules that every order must pass: total, pure, and the last word before the venue; docs/risk.md lists them."""

from trading.risk.assessment import assess
from trading.risk.limits import Limits
from trading.risk.rules import ENTRY_ONLY, RULES
from trading.risk.values import (
    AccountState,
    Ages,
    Halt,
    HaltKind,
    MarketState,
    OtherPosition,
    Proposal,
    Resume,
    RiskAssessment,
    RuleVerdict,
)

__all__ = [
    "ENTRY_ONLY", "RULES", "AccountState", "Ages", "Halt", "HaltKind", "Limits", "MarketState", "OtherPosition",
    "Proposal", "Resume", "RiskAssessment", "RuleVerdict", "assess",
]  # fmt: skip
