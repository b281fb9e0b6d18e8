"""The arithmetic of the vote, without words: the live decision and the back-test count votes by these lines.

Flat, every action is a side of its own. With an open position there are two sides only: out (CLOSE, and the
position's other side) and stay (its own side, and HOLD). Nobody turns a position in one step.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ml.agents.opinions import Action
from trading.errors import InvalidValue

Vote = tuple[Action, float]  # an action and the confidence that weighs it, 0 .. 1

_ROUNDING = 1e-9  # three of four equal votes are 0.75, also where the sum of their decimals is a hair below
_OUT = {
    Action.LONG: (Action.SHORT, Action.CLOSE),
    Action.SHORT: (Action.LONG, Action.CLOSE),
}


@dataclass(frozen=True, slots=True)
class ConsensusRules:
    """Shares and confidences are from 0 to 1. Entering asks for more than leaving: leaving takes no new risk."""

    agreement: float  # share of the voting weight behind an entry (0.75 = 3 of 4)
    minimum_confidence: float  # of an entry's supporters
    minimum_votes: int  # agents that must vote for `minimum_confidence` to be enough ...
    few_votes_confidence: float  # ... and what an entry's supporters need where fewer did
    exit_agreement: float  # share of the voting weight that closes a position; no confidence is asked for

    def __post_init__(self) -> None:
        for name in ("agreement", "minimum_confidence", "few_votes_confidence"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InvalidValue(f"{name} must be from 0 to 1, not {value}")
        if self.minimum_votes < 1:
            raise InvalidValue(f"minimum_votes must be 1 or more, not {self.minimum_votes}")
        if not self.few_votes_confidence >= self.minimum_confidence:
            raise InvalidValue(
                f"few_votes_confidence is {self.few_votes_confidence}: fewer votes cannot need less than "
                f"minimum_confidence, {self.minimum_confidence}"
            )
        if not 0 < self.exit_agreement <= 1:
            raise InvalidValue(f"exit_agreement must be above 0, up to 1, not {self.exit_agreement}")

    def confidence_needed(self, votes: int) -> float:
        """Return what an entry's supporters need where so many agents voted."""
        return self.minimum_confidence if votes >= self.minimum_votes else self.few_votes_confidence


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcome of a vote. `agreement` and `confidence` are those of `sides`, whatever the action became."""

    action: Action  # what is done: never LONG or SHORT while a position is open
    sides: tuple[
        Action, ...
    ]  # the actions whose supporters are counted: more than one for a tie, out or stay
    agreement: float
    confidence: float  # mean of the supporters, weighted by confidence as the vote is


def tally(votes: Sequence[Vote], rules: ConsensusRules, held: Action | None) -> Tally:
    """Count the votes on a pair whose open position is `held` (LONG or SHORT), None while it is flat.

    The order of the votes does not matter. Votes without any weight are a HOLD.
    """
    total = math.fsum(confidence for _, confidence in votes)
    if total == 0:
        return Tally(Action.HOLD, (), 0.0, 0.0)
    return _entry(votes, rules, total) if held is None else _exit(votes, rules, total, held)


def action_weights(votes: Sequence[Vote]) -> dict[Action, float]:
    """Sum the confidences of each action that somebody voted for."""
    return {
        action: weight_of(votes, (action,)) for action in Action if any(each is action for each, _ in votes)
    }


def weight_of(votes: Sequence[Vote], sides: Sequence[Action]) -> float:
    return math.fsum(confidence for action, confidence in votes if action in sides)


def _entry(votes: Sequence[Vote], rules: ConsensusRules, total: float) -> Tally:
    weights = action_weights(votes)
    heaviest = max(weights.values())
    leaders = tuple(action for action, weight in weights.items() if weight == heaviest)
    agreement, confidence = min(1.0, heaviest / total), _confidence(votes, leaders)
    passes = (
        len(leaders) == 1
        and agrees(agreement, rules.agreement)
        and confidence >= rules.confidence_needed(len(votes))
    )
    return Tally(leaders[0] if passes else Action.HOLD, leaders, agreement, confidence)


def _exit(votes: Sequence[Vote], rules: ConsensusRules, total: float, held: Action) -> Tally:
    out = _OUT[held]
    weight = weight_of(votes, out)
    leaves = weight > 0 and agrees(weight / total, rules.exit_agreement)
    sides = out if leaves else (held, Action.HOLD)
    agreement = min(1.0, weight_of(votes, sides) / total)
    return Tally(Action.CLOSE if leaves else Action.HOLD, sides, agreement, _confidence(votes, sides))


def agrees(share: float, needed: float) -> bool:
    return share >= needed - _ROUNDING


def _confidence(votes: Sequence[Vote], sides: Sequence[Action]) -> float:
    return _weighted_mean(confidence for action, confidence in votes if action in sides)


def _weighted_mean(confidences: Iterable[float]) -> float:
    """Mean of the confidences weighted by themselves; never outside their range, whatever the rounding; 0 for none."""
    values = sorted(confidences)
    total = math.fsum(values)
    if total == 0:
        return 0.0
    mean = math.fsum(value * value for value in values) / total
    return max(values[0], min(values[-1], mean))
