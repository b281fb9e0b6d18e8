"""The pairs of one run: their models are asked side by side, and they are decided on one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ml.decision.clock import ClockReading
from ml.decision.decide import DecisionRules
from ml.decision.execute import (
    BegunDecision,
    ExecutedDecision,
    Executor,
    begin_decision,
    execute_decision,
)
from ml.decision.one_strategy import AccountIsAhead
from ml.decision.reader import InputReader
from ml.decision.shadow import shadow_decision
from trading.market import Pair
from trading.ports import Journal

CLOCK_READINGS = 3
Outcome = ExecutedDecision | Exception


@dataclass(frozen=True, slots=True)
class PairsOfOneRun:
    """Decides on pairs of one account and carries out each decision before the next one is made."""

    clock: ClockReading
    reader: InputReader
    rules: DecisionRules
    journal: Journal
    executor: Executor

    def decide(self, pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Outcome]]:
        """Yield each pair's decision, or the error that it ended with, in the order of `pairs`.

        Where a pair waits for models, those of the next pairs are asked meanwhile, as many pairs at once as the models
        take. Each is decided on the account as the one before has left it. Of these, who waits for nobody goes first:
        its stop or target may have been hit.
        """
        size = self.reader.models.pairs_at_once
        for first in range(0, len(pairs), size):
            waiting: list[tuple[Pair, BegunDecision | Exception]] = []
            for pair in pairs[first : first + size]:
                begun = self._begin(pair)
                if isinstance(begun, BegunDecision) and not begun.waits_for_models:
                    yield pair, self._finish(pair, begun)
                else:
                    waiting.append((pair, begun))
            for pair, begun in waiting:
                yield pair, self._finish(pair, begun)

    def decide_in_shadow(self, pairs: Sequence[Pair], challenger: str = "") -> Iterator[tuple[Pair, Outcome]]:
        """Do the same in shadow mode, which asks no model; `challenger` is a policy's id."""
        for pair in pairs:
            shadow = partial(shadow_decision, pair, self.clock, self.reader, self.rules, self.journal)
            yield pair, _outcome(partial(shadow, challenger))

    def _begin(self, pair: Pair) -> BegunDecision | Exception:
        try:
            return begin_decision(pair, self.clock, self.reader, self.rules, self.journal, self.executor)
        except Exception as error:  # another pair's position may be waiting for its exit
            return error

    def _finish(self, pair: Pair, begun: BegunDecision | Exception) -> Outcome:
        """Decide and carry out. While this run was on its way, another one may have decided on a later candle: then it
        is later for this pair too, and the clock is read again."""
        outcome = begun if isinstance(begun, Exception) else _outcome(begun.finish)
        for _ in range(CLOCK_READINGS - 1):
            if self.clock.chosen or not isinstance(outcome, AccountIsAhead):
                break
            outcome = _outcome(partial(self._again, pair))
        return outcome

    def _again(self, pair: Pair) -> ExecutedDecision:
        clock = self.reader.read_clock()
        return execute_decision(pair, clock, self.reader, self.rules, self.journal, self.executor)


def _outcome(decide: Callable[[], ExecutedDecision]) -> Outcome:
    try:
        return decide()
    except Exception as error:
        return error
