"""The vote: opinions are weighted by their confidence; without agreement the action is HOLD."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ml.agents.opinions import Action, Opinion
from trading.errors import InvalidValue

_ROUNDING = 1e-9  # three of four equal votes are 0.75, also where the sum of their decimals is a hair below


@dataclass(frozen=True, slots=True)
class ConsensusRules:
    agreement: float  # share of the voting weight behind the winner (0.75 = 3 of 4)
    minimum_confidence: float  # of the winner's supporters
    minimum_votes: int  # agents that do not abstain

    def __post_init__(self) -> None:
        for name in ("agreement", "minimum_confidence"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise InvalidValue(f"{name} must be from 0 to 1, not {value}")
        if self.minimum_votes < 1:
            raise InvalidValue(f"minimum_votes must be 1 or more, not {self.minimum_votes}")


@dataclass(frozen=True, slots=True)
class Consensus:
    """`confidence` and `agreement` are those of the heaviest side, also where the rules turned it into HOLD.

    `confidence` is the mean confidence of that side's supporters, weighted by confidence as the vote is.
    """

    action: Action
    confidence: float  # 0 .. 1
    agreement: float  # 0 .. 1
    votes: dict[str, float]  # weight by action
    dissent: tuple[str, ...]  # who voted for something else than the side with most weight
    reasons: tuple[str, ...]  # how many voted, then why the action is what it is


def consensus(opinions: Sequence[Opinion], rules: ConsensusRules) -> Consensus:
    """Choose the action with most weight when it passes every rule, else HOLD with the rules that it fails.

    Abstentions have no weight and are not counted. The order of the opinions does not matter.
    """
    voting = sorted(
        (opinion for opinion in opinions if opinion.action is not None),
        key=lambda opinion: (opinion.agent, opinion.model, str(opinion.action), opinion.confidence),
    )
    votes = {
        action.value: math.fsum(opinion.confidence for opinion in voting if opinion.action is action)
        for action in Action
        if any(opinion.action is action for opinion in voting)
    }
    total = math.fsum(votes.values())
    turnout = f"{len(voting)} of {len(opinions)} agent{'s' * (len(opinions) != 1)} voted"
    if total == 0:
        why = (turnout, "every vote has confidence 0") if voting else ("every agent abstains",)
        return Consensus(Action.HOLD, 0.0, 0.0, votes, dissent=(), reasons=why)
    leaders = [Action(name) for name, weight in votes.items() if weight == max(votes.values())]
    leader = leaders[0] if len(leaders) == 1 else Action.HOLD
    supporters = [opinion.confidence for opinion in voting if opinion.action in leaders]
    confidence = _weighted_mean(supporters)
    agreement = min(1.0, max(votes.values()) / total)
    failures = _failures(leaders, confidence, agreement, votes=len(voting), rules=rules)
    return Consensus(
        action=Action.HOLD if failures else leader,
        confidence=confidence,
        agreement=agreement,
        votes=votes,
        dissent=tuple(
            f"{each.agent}: {each.action} {each.confidence:.2f}"
            for each in voting
            if each.action not in leaders
        ),
        reasons=(turnout, *(failures or (_describe(leader, agreement, confidence, votes=len(voting)),))),
    )


def _describe(leader: Action, agreement: float, confidence: float, votes: int) -> str:
    """Describe the winner; the share of a vote that nobody contradicts says nothing."""
    if votes > 1:
        leader_words = (
            f"{leader} has {agreement:.0%} of their weight" if agreement < 1 else f"all for {leader}"
        )
    else:
        leader_words = str(leader)
    return f"{leader_words} at confidence {confidence:.2f}"


def _failures(
    leaders: Sequence[Action], confidence: float, agreement: float, votes: int, rules: ConsensusRules
) -> tuple[str, ...]:
    sides = " and ".join(leaders)
    checks = (
        (len(leaders) == 1, f"{sides} have the same weight"),
        (
            agreement >= rules.agreement - _ROUNDING,
            f"{sides}: {agreement:.0%} of the weight, {rules.agreement:.0%} needed",
        ),
        (
            confidence >= rules.minimum_confidence,
            f"{sides}: confidence {confidence:.2f}, {rules.minimum_confidence:.2f} needed",
        ),
        (votes >= rules.minimum_votes, f"at least {rules.minimum_votes} must vote"),
    )
    return tuple(why for passes, why in checks if not passes)


def _weighted_mean(confidences: Iterable[float]) -> float:
    """Mean of the confidences weighted by themselves; never outside their range, whatever the rounding."""
    values = sorted(confidences)
    mean = math.fsum(value * value for value in values) / math.fsum(values)
    return max(values[0], min(values[-1], mean))
