"""Carries committed orders out, over a journal and a venue. Nothing else submits, cancels or amends orders."""

from trading.execution.checkpoints import CHECKPOINTS, RARE_CHECKPOINTS, Checkpoint
from trading.execution.executor import OrderExecutor
from trading.execution.result import Execution
from trading.execution.rules import Candles, ExecutionRules

__all__ = [
    "CHECKPOINTS", "RARE_CHECKPOINTS", "Candles", "Checkpoint", "Execution", "ExecutionRules", "OrderExecutor",
]  # fmt: skip
