"""The technical agent: a direction with its strength, its stop, its target and its reasons."""

from trading.signals.technical import (
    USED,
    Direction,
    SignalRules,
    TechnicalSignal,
    protective_distances,
    protective_levels,
    signal_table,
    technical_signal,
)  # fmt: skip

__all__ = [
    "USED", "Direction", "SignalRules", "TechnicalSignal", "protective_distances", "protective_levels",
    "signal_table", "technical_signal",
]  # fmt: skip
