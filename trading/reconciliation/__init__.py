"""Comparison of an account's ledger with the venue's own books."""

from trading.reconciliation.comparison import Comparison, Difference, DifferenceKind, LedgerView, compare
from trading.reconciliation.reconciler import Reconciler, Reconciliation

__all__ = [
    "Comparison",
    "Difference",
    "DifferenceKind",
    "LedgerView",
    "Reconciler",
    "Reconciliation",
    "compare",
]
