"""Agents are asked side by side: who is slow, dead or raises costs its vote, never the decision."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event, active_count
from typing import Any

import pytest

from ml.agents.analyst import AnalystRules
from ml.agents.hearing import Hearing
from ml.agents.judgements import Judgement, no_judgement
from ml.agents.opinions import Action, Opinion
from ml.agents.panel import AGENTS, ModelAgent, ModelPanel, Question, absence, ask_in_turn
from ml.agents.rules import AnswerSeconds
from ml.models.answers import Outcome
from tests.ml.decision.trading_day import PAIR
from trading.errors import InvalidValue
from trading.portfolio import Position
from trading.signals import Direction, TechnicalSignal

AT = datetime(2024, 1, 1, tzinfo=UTC)
QUESTION = Question(
    PAIR,
    AT,
    AT,
    100.0,
    TechnicalSignal(Direction.LONG, 0.8, 100.0, None, None, {}, ("rises",)),
    features={},
    policy=None,
    position=None,
    sentiment=None,
    analyst=AnalystRules(72.0, 1, 0.15),
)
LONG_ENOUGH = 60.0
SECONDS = {"technical": LONG_ENOUGH, "quant": LONG_ENOUGH, "analyst": LONG_ENOUGH}


def opinion(name: str) -> Opinion:
    return Opinion(name, "test", Action.LONG, 0.5, "rises", {})


@pytest.fixture
def released() -> Iterator[Event]:
    """An event that hung agents wait for; at the end of the test they are let go."""
    event = Event()
    yield event
    event.set()


def hearing(**agents: Any) -> Hearing:
    return Hearing({**AGENTS, **agents})


def votes(heard: Any) -> Mapping[str, Action | None]:
    return {each.agent: each.action for each in heard.opinions}


def test_what_they_answer_side_by_side_is_what_they_answer_in_turn() -> None:
    heard = Hearing().ask(QUESTION, SECONDS)
    assert heard.opinions == ask_in_turn(QUESTION, {})
    assert heard.absent == {}
    assert set(heard.milliseconds) == set(AGENTS)


def test_an_agent_that_hangs_abstains_with_its_reason_and_the_others_vote(released: Event) -> None:
    def hangs(_: Question) -> Opinion:
        released.wait()
        return opinion("analyst")

    heard = hearing(analyst=hangs).ask(QUESTION, SECONDS | {"analyst": 0.05})
    assert votes(heard) == {"technical": Action.LONG, "quant": None, "analyst": None}
    assert heard.absent == {"analyst": "gave no answer within 0.05 s"}
    assert heard.opinions == ask_in_turn(QUESTION, heard.absent)


def test_the_agents_are_asked_at_the_same_time() -> None:
    """Each waits for the other: asked one after the other, the first would never answer."""
    here, there = Event(), Event()

    def first(_: Question) -> Opinion:
        here.set()
        assert there.wait(LONG_ENOUGH)
        return opinion("quant")

    def second(_: Question) -> Opinion:
        there.set()
        assert here.wait(LONG_ENOUGH)
        return opinion("analyst")

    heard = hearing(quant=first, analyst=second).ask(QUESTION, SECONDS)
    assert heard.absent == {}
    assert votes(heard)["quant"] is votes(heard)["analyst"] is Action.LONG


def test_models_are_asked_beside_each_other_and_beside_the_agents() -> None:
    first, second, agent = Event(), Event(), Event()

    def model(name: str, mine: Event, other: Event) -> ModelAgent:
        def asks(_: Question) -> Judgement:
            mine.set()
            assert other.wait(LONG_ENOUGH)
            assert agent.wait(LONG_ENOUGH)
            return no_judgement(name, Outcome.EMPTY, "nothing")

        return asks

    def waits(_: Question) -> Opinion:
        assert first.wait(LONG_ENOUGH)
        agent.set()
        return opinion("quant")

    models = ModelPanel({"one": model("one", first, second), "two": model("two", second, first)}, LONG_ENOUGH)
    heard = hearing(quant=waits).ask(QUESTION, SECONDS, models)
    assert [each.outcome for each in heard.judgements.values()] == ["empty", "empty"]
    assert heard.absent == {}


def test_a_hung_model_is_not_asked_again_and_hangs_no_agent_of_the_same_name(released: Event) -> None:
    asked = []

    def hangs(_: Question) -> Judgement:
        asked.append(1)
        released.wait()
        return no_judgement("analyst", Outcome.EMPTY, "")

    panel, models = Hearing(), ModelPanel({"analyst": hangs}, 0.02)
    reasons = [panel.ask(QUESTION, SECONDS, models).judgements["analyst"].why for _ in range(3)]
    assert reasons[0] == "timeout: gave no answer within 0.02 s"
    assert set(reasons[1:]) == {"unreachable: is still busy with an earlier decision"}
    assert panel.ask(QUESTION, SECONDS).absent == {}
    assert len(asked) == 1
    released.set()
    panel._busy["analyst model BTC/USDT"].join(LONG_ENOUGH)


def test_a_hung_agent_is_not_asked_again_before_it_has_answered(released: Event) -> None:
    asked, answered = [], Event()

    def hangs(_: Question) -> Opinion:
        asked.append(1)
        released.wait()
        answered.set()
        return opinion("quant")

    panel, threads = hearing(quant=hangs), active_count()
    reasons = [panel.ask(QUESTION, SECONDS | {"quant": 0.02}).absent["quant"] for _ in range(20)]
    assert len(asked) == 1
    assert active_count() == threads + 1
    assert set(reasons[1:]) == {"is still busy with an earlier decision"}
    released.set()
    assert answered.wait(LONG_ENOUGH)
    panel._busy["quant BTC/USDT"].join(LONG_ENOUGH)
    assert panel.ask(QUESTION, SECONDS).absent == {}
    assert len(asked) == 2


def raises(_: Question) -> Opinion:
    raise OSError("the model's server is gone")


def exits(_: Question) -> Opinion:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("agent", "reason"),
    [
        (raises, "failed: OSError: the model's server is gone"),
        (exits, "failed: SystemExit: 3"),
        (lambda _: None, "answered with NoneType, which is no opinion of its own"),
        (lambda _: opinion("technical"), "answered with Opinion, which is no opinion of its own"),
    ],
)
def test_an_agent_that_fails_abstains_with_its_reason(agent: Any, reason: str) -> None:
    heard = hearing(quant=agent).ask(QUESTION, SECONDS)
    assert heard.absent == {"quant": reason}
    assert heard.opinions[1] == absence("quant", reason)
    assert heard.opinions[0].action is Action.LONG


def test_an_opinion_about_a_position_is_formed_again_where_the_position_is_another_one_by_now() -> None:
    heard = Hearing().ask(QUESTION, SECONDS)
    held = Position("a", PAIR, Decimal(1), Decimal(1), None, None, AT)
    again = heard.for_question(replace(QUESTION, position=held))
    assert again == ask_in_turn(replace(QUESTION, position=held), {})
    assert heard.for_question(QUESTION) is heard.opinions


HANGS_FOR_EVER = """
from threading import Event
from ml.agents.hearing import Hearing
from ml.agents.panel import AGENTS
from tests.ml.agents.test_hearing import QUESTION, SECONDS

heard = Hearing({**AGENTS, "quant": lambda _: Event().wait()}).ask(QUESTION, SECONDS | {"quant": 0.05})
print(heard.absent)
"""


def test_a_process_ends_though_an_agent_hangs_in_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS_FOR_EVER], capture_output=True, text=True, check=True, timeout=120
    )
    assert "gave no answer" in done.stdout


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 61.0])
def test_a_limit_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidValue, match="analyst"):
        AnswerSeconds(analyst=seconds)
