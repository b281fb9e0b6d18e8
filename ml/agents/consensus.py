"""The vote in words: opinions weigh by confidence and record, and the receipt says why the action is what it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml.agents.analyst import TONES
from ml.agents.news_hold import NEWS, OTHER, held_by_news
from ml.agents.opinions import Action, Opinion
from ml.agents.vote_weights import VoteWeight, VoteWeights
from ml.agents.votes import (
    ACTIONS,
    CODE,
    ConsensusRules,
    Votes,
    agrees,
    confidence_needed,
    tally,
)

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
    records: tuple[VoteWeight, ...] = ()  # of those who wanted to vote, where one is long enough to count

    @property
    def without_a_vote(self) -> frozenset[str]:
        """Return the agents whose record left them no vote."""
        return frozenset(each.agent for each in self.records if each.weight == 0)


def not_asked(why: str) -> Consensus:
    """Return the consensus of a decision that asked nobody, and why it did not."""
    return Consensus(Action.HOLD, 0.0, 0.0, votes={}, dissent=(), reasons=(f"nobody was asked: {why}",))


def consensus(
    opinions: Sequence[Opinion],
    rules: ConsensusRules,
    held: Action | None,
    weights: VoteWeights | None = None,
    regime: str | None = None,
) -> Consensus:
    """Choose the action that passes every rule, else HOLD with the rules that it fails; `held` is the open side.

    Flat (None), an entry needs the agreement and confidence of `rules`. With a position everybody who wants out
    counts together, and CLOSE or HOLD is the answer. Abstentions have no weight and are not counted. The order of
    the opinions does not matter. News may hold an entry by themselves, and never make one; an opinion of TONES has
    no vote and can do nothing else. Flat, a vote weighs by its agent's record too: in `weights`, None without any, for
    the `regime` of the market.
    """
    warnings = [each for each in opinions if each.agent == TONES and each.action is not None]
    opinions = [each for each in opinions if each.agent != TONES]
    judged = [
        (each, weights.of(each.agent, each.model, regime) if weights and held is None else None)
        for each in sorted(
            opinions, key=lambda each: (each.agent, each.model, str(each.action), each.confidence)
        )
        if each.action is not None
    ]
    silent = [(each, record) for each, record in judged if record is not None and record.weight == 0]
    voting = [each for each, record in judged if record is None or record.weight > 0]
    pulls = [(each, 1.0 if record is None else record.weight) for each, record in judged]
    votes = _votes(pulls)
    counted, by_action = tally(votes, rules, held), votes.weights()[0].tolist()
    outcome = _Outcome(
        action=ACTIONS[counted.action[0]],
        sides=tuple(action for action in ACTIONS if counted.sides[0, CODE[action]]),
        agreement=float(counted.agreement[0]),
        confidence=float(counted.confidence[0]),
        votes=len(voting),
        asked=len(opinions),
    )
    actions = {each.action for each in voting}
    counted_as = Consensus(
        action=outcome.action,
        confidence=outcome.confidence,
        agreement=outcome.agreement,
        votes={action.value: by_action[CODE[action]] for action in ACTIONS if action in actions},
        dissent=tuple(
            f"{each.agent}: {each.action} {each.confidence:.2f}"
            for each in voting
            if outcome.sides and each.action not in outcome.sides
        ),
        reasons=(
            *_reasons(outcome, rules, held),
            *(f"{each.agent} has no vote, no better than the base rate: {record}" for each, record in silent),
        ),
        records=tuple(record for _, record in judged if record is not None),
    )
    heard = [*pulls, *((each, 0.0) for each in warnings)]
    why = "" if held is not None else _held_by_news(outcome.action, heard, rules)
    return replace(counted_as, action=Action.HOLD, reasons=(*counted_as.reasons, why)) if why else counted_as


def _votes(opinions: Sequence[tuple[Opinion, float]]) -> Votes:
    """Return the votes of one candle, each with what multiplies its confidence."""
    return Votes(
        np.array([[CODE[each.action] for each, _ in opinions if each.action]], np.int8),
        np.array([[each.confidence for each, _ in opinions]], np.float64),
        np.array([[pull for _, pull in opinions]], np.float64),
    )


def _held_by_news(action: Action, opinions: Sequence[tuple[Opinion, float]], rules: ConsensusRules) -> str:
    """Return why the news keep an entry from being made; empty where they do not."""
    if action not in (Action.LONG, Action.SHORT):
        return ""
    news = [each for each, _ in opinions if each.agent in NEWS]
    is_news = np.array([each.agent in NEWS for each, _ in opinions])
    alone, against = (bool(each[0]) for each in held_by_news(_votes(opinions), is_news, rules, action))
    if alone:
        return f"held: nothing but the news is for {action}"
    if against:
        surest = max(
            (each for each in news if each.action is OTHER[action]), key=lambda each: each.confidence
        )
        return f"held: the news say {surest.action} ({surest.agent}, confidence {surest.confidence:.2f})"
    return ""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One vote, as it is put in words."""

    action: Action
    sides: tuple[Action, ...]
    agreement: float
    confidence: float
    votes: int
    asked: int


def _reasons(outcome: _Outcome, rules: ConsensusRules, held: Action | None) -> Iterator[str]:
    if not outcome.votes:
        yield "every agent abstains"
        return
    yield f"{outcome.votes} of {outcome.asked} agent{'s' * (outcome.asked != 1)} voted"
    if not outcome.sides:
        yield "every vote has confidence 0"
    elif held is not None:
        yield _describe_exit(outcome, rules, held)
    else:
        yield from tuple(_failures(outcome, rules)) or (_describe(outcome),)


def _describe(outcome: _Outcome) -> str:
    """Describe the winner; the share of a vote that nobody contradicts says nothing."""
    leader, agreement = outcome.sides[0], outcome.agreement
    if outcome.votes > 1:
        leader_words = (
            f"{leader} has {agreement:.0%} of their weight" if agreement < 1 else f"all for {leader}"
        )
    else:
        leader_words = str(leader)
    return f"{leader_words} at confidence {outcome.confidence:.2f}"


def _describe_exit(outcome: _Outcome, rules: ConsensusRules, held: Action) -> str:
    leaves = outcome.action is Action.CLOSE
    out = outcome.agreement if leaves else 1.0 - outcome.agreement
    if out <= 0:
        return f"already {held}: nobody wants out"
    words = f"{out:.0%} of the weight wants out of {held}, {rules.exit_agreement:.0%} needed"
    return words if leaves else f"stays {held}: {words}"


def _failures(outcome: _Outcome, rules: ConsensusRules) -> Iterator[str]:
    """Describe each rule that the heaviest side fails; to hold, none is asked for."""
    if outcome.sides == (Action.HOLD,):
        return
    sides, confidence = " and ".join(outcome.sides), outcome.confidence
    if len(outcome.sides) > 1:
        yield f"{sides} have the same weight"
    if not agrees(np.array([outcome.agreement]), rules.agreement)[0]:
        yield f"{sides}: {outcome.agreement:.0%} of the weight, {rules.agreement:.0%} needed"
    needed = float(confidence_needed(np.array([outcome.votes]), rules)[0])
    if confidence >= needed:
        return
    few = (
        f" where fewer than {rules.minimum_votes} agents vote" if outcome.votes < rules.minimum_votes else ""
    )
    yield f"{sides}: confidence {confidence:.2f}, {needed:.2f} needed{few}"
