"""After a warm-up nothing is left to be loaded by the first decision."""

import subprocess
import sys

FIRST_FEATURES = """
import sys
from tests.ml.decision.trading_day import PAIR, RULES, candles, decision_inputs
from ml.decision.decide import decide
from ml.decision.warm_up import warm_up
from trading.market import Pair, Timeframe, Universe

if sys.argv[1] == "warm":
    warm_up(Universe((PAIR, Pair("XRP", "USDT"), Pair("XRP", "BTC")), "USDT", Timeframe.H1, "test"))
before = set(sys.modules)
decide(decision_inputs(), RULES)
print(len(set(sys.modules) - before))
"""


def modules_loaded_by_the_first_decision(state: str) -> int:

    done = subprocess.run(
        [sys.executable, "-c", FIRST_FEATURES, state], capture_output=True, text=True, check=True, timeout=300
    )
    return int(done.stdout)


def test_the_first_decision_after_a_warm_up_loads_nothing_and_without_it_hundreds_of_modules() -> None:
    assert modules_loaded_by_the_first_decision("warm") == 0
    assert modules_loaded_by_the_first_decision("cold") > 100
