"""What a rule is: a function from a case to what it measured, the limit, and whether the order may pass."""

from collections.abc import Callable

from trading.risk.case import Case
from trading.risk.values import Amount

Answer = tuple[
    Amount, Amount, bool, str, tuple[object, ...]
]  # measured, limit, passes; words and their parts
Rule = Callable[[Case], Answer]
