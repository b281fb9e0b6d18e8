"""The arithmetic of the vote, for one candle or a whole history at once: live decisions and back-tests count by it.

Flat, every action is a side of its own. With an open position there are two sides only: out (CLOSE, and the
position's other side) and stay (its own side, and HOLD). Nobody turns a position in one step.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.agents.opinions import Action
from trading.errors import InvalidValue

Array = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]

ACTIONS = tuple(Action)  # an action's code is its place here
CODE = {action: ACTIONS.index(action) for action in ACTIONS}
ABSTAINS = -1
_OUT = {
    Action.LONG: (Action.SHORT, Action.CLOSE),
    Action.SHORT: (Action.LONG, Action.CLOSE),
}
_ROUNDING = 1e-9  # three of four equal votes are 0.75, also where the sum of their decimals is a hair below


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


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """What k agents vote after each of n candles, (n, k) each; the order of the agents changes nothing."""

    actions: Codes  # places in ACTIONS, or ABSTAINS
    confidences: Array  # 0 .. 1; 0 for an abstention
    records: Array | None = (
        None  # what each agent's record multiplies its confidence by, 0: no vote; None: 1 for all
    )

    @property
    def pulls(self) -> Array:
        """Return (n, k) the weight of each vote."""
        return self.confidences if self.records is None else self.confidences * self.records

    def at(self, rows: Flags) -> "Votes":
        """Return the votes after these candles, (n,)."""
        records = None if self.records is None else self.records[rows]
        return Votes(self.actions[rows], self.confidences[rows], records)

    def by_record(self) -> "Votes":
        """Return the votes without those of agents whose record leaves them none."""
        if self.records is None:
            return self
        silent = self.records == 0
        return Votes(
            np.where(silent, np.int8(ABSTAINS), self.actions),
            np.where(silent, 0.0, self.confidences),
            self.records,
        )

    @property
    def turnout(self) -> npt.NDArray[np.int64]:
        """Return how many agents voted after each candle."""
        return np.asarray(np.count_nonzero(self.actions != ABSTAINS, axis=1))

    def weights(self) -> Array:
        """Return (n, 4) the summed weight of the votes for each action."""
        pulls = self.pulls
        return np.stack([_sum(np.where(self.actions == code, pulls, 0.0)) for code in range(4)], 1)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The outcome of each vote. `agreement` and `confidence` are those of `sides`, whatever the action became."""

    action: Codes  # (n,) what is done: never LONG or SHORT while a position is open
    sides: Flags  # (n, 4) the actions whose supporters are counted: several for a tie, for out or stay; none: no weight
    agreement: Array  # (n,)
    confidence: Array  # (n,) mean of the supporters, weighted as the vote is


def tally(votes: Votes, rules: ConsensusRules, held: Action | None) -> Tally:
    """Count the votes on a pair whose open position is `held` (LONG or SHORT), None while it is flat.

    Votes without any weight are a HOLD. Records weigh entries alone: they say how sides went, not how leaving did.
    """
    votes = votes.by_record() if held is None else replace(votes, records=None)
    weights, total = votes.weights(), _sum(votes.pulls)
    sides = _heaviest(weights) if held is None else _out_or_stay(weights, total, rules, held)
    sides &= (total > 0)[:, None]
    weight = _sum(np.where(sides, weights, 0.0))
    agreement = np.minimum(_share(weight, total), 1.0)
    confidence = _mean_confidence(votes, sides)
    if held is None:
        needed = confidence_needed(votes.turnout, rules)
        passes = (sides.sum(axis=1) == 1) & agrees(agreement, rules.agreement) & (confidence >= needed)
        action = np.where(passes, sides.argmax(axis=1), CODE[Action.HOLD])
    else:
        action = np.where(sides[:, CODE[Action.CLOSE]], CODE[Action.CLOSE], CODE[Action.HOLD])
    return Tally(action.astype(np.int8), sides, agreement, confidence)


def confidence_needed(turnout: npt.NDArray[np.int64], rules: ConsensusRules) -> Array:
    """Return what an entry's supporters need where so many agents voted."""
    return np.where(turnout >= rules.minimum_votes, rules.minimum_confidence, rules.few_votes_confidence)


def agrees(share: Array, needed: float) -> Flags:
    return share >= needed - _ROUNDING


def _heaviest(weights: Array) -> Flags:
    return np.asarray((weights == weights.max(axis=1, keepdims=True)) & (weights > 0))


def _out_or_stay(weights: Array, total: Array, rules: ConsensusRules, held: Action) -> Flags:
    out = np.isin(np.arange(4), [CODE[action] for action in _OUT[held]])
    weight = _sum(np.where(out, weights, 0.0))
    leaves = (weight > 0) & agrees(_share(weight, total), rules.exit_agreement)
    return np.where(leaves[:, None], out, ~out)


def _mean_confidence(votes: Votes, sides: Flags) -> Array:
    """Mean of the supporters' confidences, weighted as they vote; never outside their range, whatever the rounding."""
    supports = np.take_along_axis(sides, np.maximum(votes.actions, 0).astype(np.intp), axis=1)
    supports &= votes.actions != ABSTAINS
    values, pulls = (np.where(supports, each, 0.0) for each in (votes.confidences, votes.pulls))
    mean = _share(_sum(values * pulls), _sum(pulls))
    lowest = np.where(supports, votes.confidences, np.inf).min(axis=1, initial=np.inf)
    capped = np.minimum(mean, values.max(axis=1, initial=0.0))
    return np.asarray(np.maximum(capped, np.where(np.isinf(lowest), 0.0, lowest)))


def _sum(values: Array) -> Array:
    """Add up each row (n, k) from its smallest value on: the same values in another order have the same sum."""
    total = np.zeros(len(values))
    for column in np.sort(values, axis=1).T:
        total = total + column
    return total


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
