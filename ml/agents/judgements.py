"""What came of asking a language model: an input of the decision, from which its vote is made, now and in a replay."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import orjson
from pydantic import BaseModel

from ml.agents.opinions import Opinion
from ml.models.answers import Outcome, Reading, read_answer
from ml.models.client import Answer
from ml.models.prompt_files import Prompt

Schema = TypeVar("Schema", bound=BaseModel)
NO_MODEL = "none"


@dataclass(frozen=True, slots=True)
class GivenArticle:
    """An article that an analyst was given; it may cite no other."""

    article_id: str
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """One question to one model. Its vote needs nothing else: no key, no network, no record of calls."""

    agent: str
    model: str  # as results name it
    prompt: str  # name and version
    prompt_hash: str
    outcome: str  # an Outcome
    problem: str = ""  # empty where the outcome is valid
    answer: str = ""  # JSON of what the provider sent last, as `raw_answer` returns it; empty: nothing came
    articles: tuple[GivenArticle, ...] = ()
    cost_usd: float = 0.0
    tokens: int = 0
    reused: bool = False  # read again from the record of calls: nothing was paid
    debated: "Judgement | None" = (
        None  # what it said once it had been shown the others' answers; cost and tokens are in ours
    )

    @property
    def counted(self) -> "Judgement":
        """Return the answer that counts: that of the debate where it is of use, else the first."""
        second = self.debated
        both = second is not None and Outcome.VALID == self.outcome == second.outcome
        return second if second is not None and both else self

    def with_debated(self, second: "Judgement") -> "Judgement":
        """Add the answer after the debate, and what it cost."""
        return replace(
            self,
            debated=second,
            cost_usd=self.cost_usd + second.cost_usd,
            tokens=self.tokens + second.tokens,
            reused=self.reused and second.reused,
        )

    @property
    def why(self) -> str:
        return f"{self.outcome}: {self.problem}" if self.problem else self.outcome

    def as_outdated(self) -> "Judgement":
        """Return it without a vote: what it was asked about has changed since."""
        return replace(
            self, outcome=str(Outcome.INVALID), problem="the position is another one than it was asked about"
        )


def judged(
    agent: str, prompt: Prompt, answer: Answer[Schema], articles: tuple[GivenArticle, ...] = ()
) -> Judgement:
    """Make a judgement of a client's answer."""
    return Judgement(
        agent=agent,
        model=answer.model,
        prompt=f"{prompt.name}/{prompt.version}",
        prompt_hash=prompt.hash,
        outcome=str(answer.outcome),
        problem=answer.problem,
        answer="" if answer.raw is None else orjson.dumps(answer.raw, option=orjson.OPT_SORT_KEYS).decode(),
        articles=articles,
        cost_usd=answer.cost_usd,
        tokens=answer.tokens,
        reused=answer.reused,
    )


def no_judgement(agent: str, outcome: Outcome, problem: str) -> Judgement:
    """Return that of a model that could not be asked, or has not answered in time."""
    return Judgement(agent, NO_MODEL, prompt="", prompt_hash="", outcome=str(outcome), problem=problem)


def no_vote(judgement: Judgement, why: str) -> Opinion:
    """Return the abstention of a model that was asked; what asking cost stands in it."""
    return Opinion(
        agent=judgement.agent,
        model=judgement.model,
        action=None,
        confidence=0.0,
        reasoning=why,
        evidence={"prompt": judgement.prompt, "usd": judgement.cost_usd},
    )


def reading_of(judgement: Judgement, schema: type[Schema]) -> Reading[Schema]:
    """Read the answer that counts by the schema of now. It never raises, and one that was of no use stays so."""
    judgement = judgement.counted
    if judgement.outcome != Outcome.VALID:
        return Reading(Outcome.INVALID, problem=judgement.why)
    try:
        raw = orjson.loads(judgement.answer)
    except ValueError:
        return Reading(Outcome.INVALID, problem="the recorded answer is not JSON")
    return read_answer(raw, schema)
