"""The vote in words: opinions are weighted by their confidence, and the receipt says why the action is what it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ml.agents.opinions import Action, Opinion
from ml.agents.votes import ConsensusRules, Tally, Vote, action_weights, agrees, tally

__all__ = ["Consensus", "ConsensusRules", "consensus"]


@dataclass(frozen=True, slots=True)
class Consensus:
    """`confidence` and `agreement` are those of the heaviest side, also where the rules turned it into HOLD.

    With an open position the sides are out and stay (`ml.agents.votes`), and both are those of the side that won.
    """

    action: Action
    confidence: float  # 0 .. 1
    agreement: float  # 0 .. 1
    votes: dict[str, float]  # weight by action
    dissent: tuple[str, ...]  # who voted for something else than that side
    reasons: tuple[str, ...]  # how many voted, then why the action is what it is


def consensus(opinions: Sequence[Opinion], rules: ConsensusRules, held: Action | None) -> Consensus:
    """Choose the action that passes every rule, else HOLD with the rules that it fails; `held` is the open side.

    Flat (None), an entry needs the agreement and confidence of `rules`. With a position everybody who wants out
    counts together, and CLOSE or HOLD is the answer. Abstentions have no weight and are not counted. The order of
    the opinions does not matter.
    """
    voting = sorted(
        (opinion for opinion in opinions if opinion.action is not None),
        key=lambda opinion: (opinion.agent, opinion.model, str(opinion.action), opinion.confidence),
    )
    votes: list[Vote] = [(each.action, each.confidence) for each in voting if each.action is not None]
    counted = tally(votes, rules, held)
    turnout = f"{len(voting)} of {len(opinions)} agent{'s' * (len(opinions) != 1)} voted"
    return Consensus(
        action=counted.action,
        confidence=counted.confidence,
        agreement=counted.agreement,
        votes={action.value: weight for action, weight in action_weights(votes).items()},
        dissent=tuple(
            f"{each.agent}: {each.action} {each.confidence:.2f}"
            for each in voting
            if counted.sides and each.action not in counted.sides
        ),
        reasons=tuple(_reasons(turnout, votes, counted, rules, held=held)),
    )


def _reasons(
    turnout: str, votes: Sequence[Vote], counted: Tally, rules: ConsensusRules, held: Action | None
) -> Iterator[str]:
    if not votes:
        yield "every agent abstains"
        return
    yield turnout
    if not counted.sides:
        yield "every vote has confidence 0"
    elif held is not None:
        yield _describe_exit(counted, rules, held)
    else:
        failures = tuple(_failures(counted, rules, votes=len(votes)))
        yield from failures or (_describe(counted, votes=len(votes)),)


def _describe(counted: Tally, votes: int) -> str:
    """Describe the winner; the share of a vote that nobody contradicts says nothing."""
    leader, agreement = counted.sides[0], counted.agreement
    if votes > 1:
        leader_words = (
            f"{leader} has {agreement:.0%} of their weight" if agreement < 1 else f"all for {leader}"
        )
    else:
        leader_words = str(leader)
    return f"{leader_words} at confidence {counted.confidence:.2f}"


def _describe_exit(counted: Tally, rules: ConsensusRules, held: Action) -> str:
    leaves = counted.action is Action.CLOSE
    out = counted.agreement if leaves else 1.0 - counted.agreement
    if out <= 0:
        return f"already {held}: nobody wants out"
    words = f"{out:.0%} of the weight wants out of {held}, {rules.exit_agreement:.0%} needed"
    return words if leaves else f"stays {held}: {words}"


def _failures(counted: Tally, rules: ConsensusRules, votes: int) -> Iterator[str]:
    """Describe each rule that the heaviest side fails; to hold, none is asked for."""
    if counted.sides == (Action.HOLD,):
        return
    sides, confidence = " and ".join(counted.sides), counted.confidence
    if len(counted.sides) > 1:
        yield f"{sides} have the same weight"
    if not agrees(counted.agreement, rules.agreement):
        yield f"{sides}: {counted.agreement:.0%} of the weight, {rules.agreement:.0%} needed"
    if confidence >= rules.confidence_needed(votes):
        return
    few = f"at least {rules.minimum_votes} must, with fewer " if votes < rules.minimum_votes else ""
    yield f"{sides}: confidence {confidence:.2f}, {few}{rules.confidence_needed(votes):.2f} needed"
