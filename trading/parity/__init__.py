"""Why an account earned something else than its back-test on one day: the difference in parts that add up exactly.

The back-test is turned into the live day step by step, each step with one cause: the candles that nobody decided on,
the data that was restated, the votes, the language models, the rules of risk, the orders that were late, the
protection, the prices and the fees. What a step changes in the day's result is its part, so the parts add up by
construction. What no evidence stands for is not put under any cause: it is unexplained.
"""

from trading.parity.attribution import Change, attribute
from trading.parity.day import PairDay
from trading.parity.live_orders import LiveOrder, Origin, held_before
from trading.parity.report import Cause, Kind, PairParity, ParityReport
from trading.parity.walk import NOTHING, Row

__all__ = [
    "NOTHING", "Cause", "Change", "Kind", "LiveOrder", "Origin", "PairDay", "PairParity", "ParityReport", "Row",
    "attribute", "held_before",
]  # fmt: skip
