"""The promotion gate: how often luck passes it and how often skill does, beside returns alone.

`returns alone` is the same function with the rules that the gate had before: three months in a row, better than
cash and better than holding.
"""

from collections.abc import Iterator, Sequence

from benchmarks.row import Benchmark, Row
from ml.learning.evaluation import Evaluation
from ml.learning.promotion import PromotionRules, judge_promotion
from orchestration.settings import load_settings
from tests.ml.learning.gate_markets import (
    LOOKS,
    evaluations,
    following_exposures,
    market_with_edge,
    market_without_edge,
    random_exposures,
)

MARKETS = 200
TRIES = 10
History = list[Evaluation]
RETURNS_ALONE = PromotionRules(
    minimum_folds=3,
    minimum_coverage=1e-9,
    minimum_trades=0,
    minimum_excess_return=0.0,
    minimum_deflated_sharpe=0.0,
    minimum_trials=1,
)


def gate_on_luck() -> Iterator[Row]:
    """Count the markets without an edge in which a random policy passes at least one of ten monthly looks."""
    for trades in (1, 3, 8):
        tries = [
            [evaluations(market, random_exposures(market, trades, number))]
            for number, market in enumerate(map(market_without_edge, range(MARKETS)))
        ]
        what = f"random policies that change exposure {trades} times a month, passed in one of ten looks"
        yield _row("gate_on_luck", what, tries, LOOKS, "0")


def gate_on_best_of_ten() -> Iterator[Row]:
    """Count the markets without an edge in which one of ten random policies passes at least one of ten looks."""
    for trades in (3, 8):
        tries = [
            [
                evaluations(market, random_exposures(market, trades, TRIES * MARKETS + TRIES * number + each))
                for each in range(TRIES)
            ]
            for number, market in enumerate(map(market_without_edge, range(MARKETS // TRIES)))
        ]
        what = f"any of {TRIES} random policies that change exposure {trades} times a month, passed in one of ten looks"
        yield _row("gate_on_best_of_ten", what, tries, LOOKS, "0")


def gate_on_skill() -> Iterator[Row]:
    """Count the markets with an edge in which a policy that follows it passes after so many months."""
    for edge in (0.25, 0.3, 0.4):
        markets = (market_with_edge(number, edge) for number in range(MARKETS))
        tries = [[evaluations(market, following_exposures(market, edge))] for market in markets]
        for months in (6, 12):
            what = f"policies that follow an autocorrelation of {edge}, passed after {months} months"
            yield _row("gate_on_skill", what, tries, (months,), "1 at 0.4 and 12 months")


def _row(
    identity: str, what: str, tries: Sequence[Sequence[History]], looks: Sequence[int], target: str
) -> Row:
    """Measure the share of markets in which any of its tries passes at any look."""
    return {
        "id": identity, "what": f"{what}, of {len(tries)} markets",
        "value": _share(tries, looks, load_settings().promotion), "unit": "share",
        "peer": "returns alone", "peer_value": _share(tries, looks, RETURNS_ALONE), "target": target,
    }  # fmt: skip


def _share(tries: Sequence[Sequence[History]], looks: Sequence[int], rules: PromotionRules) -> float:
    passed = [any(_passes(history, looks, rules) for history in market) for market in tries]
    return sum(passed) / len(passed)


def _passes(history: History, looks: Sequence[int], rules: PromotionRules) -> bool:
    return any(judge_promotion(history[:look], rules, ()).promoted for look in looks)


BENCHMARKS: dict[str, Benchmark] = {
    "gate_on_luck": gate_on_luck,
    "gate_on_best_of_ten": gate_on_best_of_ten,
    "gate_on_skill": gate_on_skill,
}
