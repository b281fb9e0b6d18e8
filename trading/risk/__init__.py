"""The rules that every order must pass: total, pure, and the last word before the venue; docs/risk.md lists them."""

from trading.risk.assessment import assess, pre_check
from trading.risk.limits import Limits, loosened
from trading.risk.rules import ENTRY_ONLY, PRE_CHECK, RULES
from trading.risk.values import (
    AccountState,
    Ages,
    Halt,
    HaltKind,
    LivePermit,
    MarketState,
    OtherPosition,
    Proposal,
    Resume,
    RiskAssessment,
    RuleVerdict,
)

__all__ = [
    "ENTRY_ONLY", "PRE_CHECK", "RULES", "AccountState", "Ages", "Halt", "HaltKind", "Limits", "LivePermit",
    "MarketState", "OtherPosition", "Proposal", "Resume", "RiskAssessment", "RuleVerdict", "assess", "loosened",
    "pre_check",
]  # fmt: skip
