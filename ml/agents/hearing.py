"""Asks the agents side by side, each with a limit of its own: who is slow, dead or raises costs its vote alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import perf_counter

from ml.agents.debate import MIN_SECONDS, who_debates
from ml.agents.judgements import Judgement, no_judgement
from ml.agents.opinions import Opinion
from ml.agents.panel import AGENTS, READS_POSITION, Agent, Debater, ModelAgent, ModelPanel, Question, absence
from ml.agents.trader import TRADER
from ml.models.answers import Outcome

NO_MODELS = ModelPanel()
MODEL = " model"  # after the agent's name, where its model is meant
DEBATE = " debate"  # the same, where its answer after the debate is meant
OF_THE_REST = 0.95  # a client gives up before nobody waits for it any more, so that its reason is recorded


@dataclass(frozen=True, slots=True)
class Heard:
    """What the agents answered to one question."""

    question: Question
    opinions: tuple[Opinion, ...]
    absent: Mapping[str, str]  # agents that gave no answer, and why
    milliseconds: Mapping[str, float]  # until each answer; of an agent without one its limit
    judgements: Mapping[str, Judgement] = field(default_factory=dict)  # of every model that was asked

    def for_question(self, question: Question) -> tuple[Opinion, ...]:
        """Return the opinions, with those about the position formed again where it is another one by now."""
        if not self._is_another_position(question):
            return self.opinions
        return tuple(
            AGENTS[each.agent](question)
            if each.agent in READS_POSITION and each.agent not in self.absent
            else each
            for each in self.opinions
        )

    def _is_another_position(self, question: Question) -> bool:
        """Return whether it was opened, enlarged or reduced meanwhile; a stop that trails leaves it what it is."""
        asked, now = self.question.position, question.position
        if asked is None or now is None:
            return asked is not now
        return (asked.opened_at, asked.quantity, asked.entry_price) != (
            now.opened_at,
            now.quantity,
            now.entry_price,
        )

    def judgements_for(self, question: Question) -> dict[str, Judgement]:
        """Return the judgements; a trader's has no vote where the position is another one by now."""
        is_outdated = self._is_another_position(question)
        return {
            name: each.as_outdated() if is_outdated and name.startswith(TRADER) else each
            for name, each in self.judgements.items()
        }


class _Answer:
    """Where one agent's thread leaves what came of it."""

    def __init__(self) -> None:
        self.given = Event()
        self.value: Opinion | Judgement | None = None
        self.problem = ""
        self.at = 0.0

    def give(self, value: Opinion | Judgement | None, problem: str = "") -> None:
        self.value, self.problem, self.at = value, problem, perf_counter()
        self.given.set()

    def wait(self, begin: float, seconds: float) -> "_Given":
        """Wait until it is given, or `seconds` have passed since `begin`."""
        if self.given.wait(max(0.0, begin + seconds - perf_counter())):
            return _Given(self.value, self.problem, _milliseconds(begin, self.at))
        why = f"gave no answer within {seconds:g} s"
        return _Given(None, why, _milliseconds(begin, perf_counter()), in_time=False)


@dataclass(frozen=True, slots=True)
class _Given:
    value: Opinion | Judgement | None
    why: str  # empty where there is a value
    milliseconds: float
    in_time: bool = True


class _Round:
    """The answers after a debate, by agent, once it is known who takes part."""

    def __init__(self) -> None:
        self.begun = Event()
        self.answers: dict[str, _Answer] = {}

    def wait(self, begin: float, seconds: float) -> "dict[str, _Given]":
        """Wait until all are given, or `seconds` have passed since `begin`."""
        self.begun.wait(max(0.0, begin + seconds - perf_counter()))
        return {name: each.wait(begin, seconds) for name, each in self.answers.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """Agents and models that think about one question, each with its limit in seconds."""

    question: Question
    begin: float  # of all of them
    agents: Mapping[str, tuple[_Answer, float]]
    models: Mapping[str, tuple[_Answer, float]]
    debate: tuple[_Round, float] | None = None  # None: they do not debate

    def wait(self) -> Heard:
        """Return when each has answered or its limit has passed since the beginning."""
        given = {name: answer.wait(self.begin, limit) for name, (answer, limit) in self.agents.items()}
        judged = {name: answer.wait(self.begin, limit) for name, (answer, limit) in self.models.items()}
        spent = {name: each.milliseconds for name, each in given.items()}
        spent |= {f"{name}{MODEL}": each.milliseconds for name, each in judged.items()}
        judgements = {name: _judgement(name, each) for name, each in judged.items()}
        for name, each in self._second_answers().items():
            judgements[name] = judgements[name].with_debated(_judgement(name, each))
            spent[f"{name}{DEBATE}"] = each.milliseconds
        return Heard(
            self.question,
            tuple(_opinion(name, each) for name, each in given.items()),
            absent={name: each.why for name, each in given.items() if each.value is None},
            milliseconds=spent,
            judgements=judgements,
        )

    def _second_answers(self) -> dict[str, _Given]:
        if self.debate is None:
            return {}
        debate, seconds = self.debate
        return debate.wait(self.begin, seconds)


class Hearing:
    """Asks agents for the decisions of one process.

    An agent that does not answer in time keeps its thread until it does, and is not asked of that pair again meanwhile:
    at most one thread per agent and pair hangs, and none keeps the process from ending.
    """

    def __init__(self, agents: Mapping[str, Agent] = AGENTS) -> None:
        self._agents = agents
        self._busy: dict[str, Thread] = {}
        self._lock = Lock()

    def ask(self, question: Question, seconds: Mapping[str, float], models: ModelPanel = NO_MODELS) -> Heard:
        """Ask all of them at once; returns when each has answered or its `seconds` have passed."""
        return self.begin(question, seconds, models).wait()

    def begin(
        self, question: Question, seconds: Mapping[str, float], models: ModelPanel = NO_MODELS
    ) -> "Asked":
        """Ask all of them at once, and wait for nobody. What a model answers is a judgement, which `decide` makes a
        vote of."""
        begin = perf_counter()
        agents = {
            name: (self._start(name, name, agent, question), seconds[name])
            for name, agent in self._agents.items()
        }
        asked = {
            name: (self._start(f"{name}{MODEL}", name, agent, question), models.seconds)
            for name, agent in models.agents.items()
        }
        debate = (self._debate(question, begin, asked, models), models.seconds) if models.debaters else None
        return Asked(question, begin, agents, asked, debate)

    def _debate(
        self,
        question: Question,
        begin: float,
        asked: Mapping[str, tuple[_Answer, float]],
        models: ModelPanel,
    ) -> _Round:
        """Wait for the first answers beside the decision; where they disagree, show each debater the others'."""
        debate, debaters = _Round(), models.debaters

        def hold() -> None:
            try:
                given = {name: asked[name][0].wait(begin, models.seconds) for name in debaters}
                first = who_debates(question, {name: _judgement(name, each) for name, each in given.items()})
                left = OF_THE_REST * (begin + models.seconds - perf_counter())
                if left < MIN_SECONDS:
                    return
                debate.answers = {
                    name: self._start(
                        f"{name}{DEBATE}",
                        name,
                        _replying(debaters[name], first, left),
                        question,
                    )
                    for name in first
                }
            finally:
                debate.begun.set()

        Thread(target=hold, daemon=True, name=f"agent debate {question.pair}").start()
        return debate

    def _start(
        self, key: str, name: str, agent: Callable[[Question], Opinion | Judgement], question: Question
    ) -> _Answer:
        kind = Opinion if key == name else Judgement
        answer, key = _Answer(), f"{key} {question.pair}"
        with self._lock:
            if (busy := self._busy.get(key)) is not None and busy.is_alive():
                answer.give(None, "is still busy with an earlier decision")
                return answer
            thread = Thread(
                target=_ask,
                args=(name, agent, question, answer, kind),
                daemon=True,
                name=f"agent {key}",
            )
            self._busy[key] = thread
            thread.start()
        return answer


def _ask(
    name: str,
    agent: Callable[[Question], Opinion | Judgement],
    question: Question,
    answer: _Answer,
    kind: type[Opinion] | type[Judgement],
) -> None:
    value, problem = None, ""
    try:
        found = agent(question)
        if isinstance(found, kind) and found.agent == name:
            value = found
        else:
            problem = f"answered with {type(found).__name__}, which is no {kind.__name__.lower()} of its own"
    except BaseException as error:  # also what ends a thread: the decision goes on without this vote
        problem = f"failed: {type(error).__name__}: {error}"
    finally:
        answer.give(value, problem)


def _replying(debater: Debater, judgements: Mapping[str, Judgement], seconds: float) -> ModelAgent:
    return lambda question: debater(question, judgements, seconds)


def _opinion(name: str, given: _Given) -> Opinion:
    return given.value if isinstance(given.value, Opinion) else absence(name, given.why)


def _judgement(name: str, given: _Given) -> Judgement:
    if isinstance(given.value, Judgement):
        return given.value
    return no_judgement(name, Outcome.UNREACHABLE if given.in_time else Outcome.TIMEOUT, given.why)


def _milliseconds(begin: float, end: float) -> float:
    return round((end - begin) * 1e3, 3)


HEARING = Hearing()  # of this process: it knows which agents still hang
