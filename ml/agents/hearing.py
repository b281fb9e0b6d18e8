"""Asks the agents side by side, each with a limit of its own: who is slow, dead or raises costs its vote alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import perf_counter

from ml.agents.opinions import Opinion
from ml.agents.panel import AGENTS, READS_POSITION, Agent, Question, absence


@dataclass(frozen=True, slots=True)
class Heard:
    """What the agents answered to one question."""

    question: Question
    opinions: tuple[Opinion, ...]
    absent: Mapping[str, str]  # agents that gave no answer, and why
    milliseconds: Mapping[str, float]  # until each answer; of an agent without one its limit

    def for_question(self, question: Question) -> tuple[Opinion, ...]:
        """Return the opinions, with those about the position formed again where it is another one by now."""
        if question.position == self.question.position:
            return self.opinions
        return tuple(
            AGENTS[each.agent](question)
            if each.agent in READS_POSITION and each.agent not in self.absent
            else each
            for each in self.opinions
        )


class _Answer:
    """Where one agent's thread leaves what came of it."""

    def __init__(self) -> None:
        self.given = Event()
        self.opinion: Opinion | None = None
        self.problem = ""
        self.at = 0.0


class Hearing:
    """Asks agents for the decisions of one process.

    An agent that does not answer in time keeps its thread until it does, and is not asked again meanwhile: at most one
    thread per agent hangs, and none keeps the process from ending.
    """

    def __init__(self, agents: Mapping[str, Agent] = AGENTS) -> None:
        self._agents = agents
        self._busy: dict[str, Thread] = {}
        self._lock = Lock()

    def ask(self, question: Question, seconds: Mapping[str, float]) -> Heard:
        """Ask all of them at once; returns when each has answered or its `seconds` have passed."""
        begin = perf_counter()
        answers = {name: self._start(name, agent, question) for name, agent in self._agents.items()}
        opinions, absent, spent = [], {}, {}
        for name, answer in answers.items():
            in_time = answer.given.wait(max(0.0, begin + seconds[name] - perf_counter()))
            why = answer.problem if in_time else f"gave no answer within {seconds[name]:g} s"
            if in_time and answer.opinion is not None:
                opinions.append(answer.opinion)
            else:
                absent[name] = why
                opinions.append(absence(name, why))
            spent[name] = round(((answer.at if in_time else perf_counter()) - begin) * 1e3, 3)
        return Heard(question, tuple(opinions), absent, spent)

    def _start(self, name: str, agent: Agent, question: Question) -> _Answer:
        answer = _Answer()
        with self._lock:
            if (busy := self._busy.get(name)) is not None and busy.is_alive():
                answer.problem = "is still busy with an earlier decision"
                answer.at = perf_counter()
                answer.given.set()
                return answer
            thread = Thread(
                target=_ask, args=(name, agent, question, answer), daemon=True, name=f"agent {name}"
            )
            self._busy[name] = thread
            thread.start()
        return answer


def _ask(name: str, agent: Agent, question: Question, answer: _Answer) -> None:
    try:
        opinion = agent(question)
        if isinstance(opinion, Opinion) and opinion.agent == name:
            answer.opinion = opinion
        else:
            answer.problem = f"answered with {type(opinion).__name__}, which is no opinion of its own"
    except BaseException as error:  # also what ends a thread: the decision goes on without this vote
        answer.problem = f"failed: {type(error).__name__}: {error}"
    finally:
        answer.at = perf_counter()
        answer.given.set()


HEARING = Hearing()  # of this process: it knows which agents still hang
