"""One question to one model: repair, record, budget, time limit, breaker, and failures of every SDK."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from ml.models.answers import Outcome
from ml.models.breaker import CircuitBreaker
from ml.models.budget import BudgetLadder, Rung
from ml.models.prices import TokenPrice, tokens_at_most
from ml.models.prompt_files import Prompt
from ml.models.specification import ModelSpec, Provider, Structure
from ml.sentiment.language_model import SentimentAnswer
from tests.doubles.stores import MemoryModelCalls

from .scripted import Script, client_of, used

PROMPT = Prompt("test", 1, "Judge.")
GOOD = '{"score": 0.5, "confidence": 0.5}'
PRICE = TokenPrice(input=10.0, output=20.0)


def test_a_wrong_answer_is_shown_with_what_is_wrong_and_repaired_once() -> None:
    script = Script('{"score": 7, "confidence": 0.5}', GOOD)
    answer = client_of(script, SentimentAnswer).ask(PROMPT, "headline")
    assert answer.value == SentimentAnswer(score=0.5, confidence=0.5)
    first, second = script.asked
    assert first == [("system", "Judge."), ("user", "headline")]
    assert second[:3] == [*first, ("assistant", '{"score": 7, "confidence": 0.5}')]
    assert "score: Input should be less than or equal to 1" in second[3][1]


def test_two_wrong_answers_are_an_abstention_and_there_is_no_third_try() -> None:
    script = Script("no", "no", GOOD)
    answer = client_of(script, SentimentAnswer).ask(PROMPT, "headline")
    assert (answer.outcome, answer.value, len(script.asked)) == (Outcome.INVALID, None, 2)


def test_the_same_question_is_answered_from_the_record_and_costs_nothing() -> None:
    calls, script = MemoryModelCalls(), Script(used("no", 100, 10), used(GOOD, 200, 20))
    client = client_of(script, SentimentAnswer, calls=calls, price=PRICE, ceiling_usd=1.0)
    first = client.ask(PROMPT, "headline")
    again = client.ask(PROMPT, "headline")
    assert (first.cost_usd, first.tokens, first.reused) == (
        pytest.approx((300 * 10 + 30 * 20) / 1e6),
        330,
        False,
    )
    assert (again.value, again.cost_usd, again.reused) == (first.value, 0.0, True)
    assert len(script.asked) == 2
    assert [row.reused for row in calls.rows] == [1, 1]


def test_an_abstention_is_answered_from_the_record_too() -> None:
    script = Script("no")
    client = client_of(script, SentimentAnswer)
    assert client.ask(PROMPT, "headline").outcome is client.ask(PROMPT, "headline").outcome is Outcome.INVALID
    assert len(script.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"spec": ModelSpec(Provider.OPENAI, "another")},
        {"spec": ModelSpec(Provider.OPENAI, "scripted", temperature=1.0)},
        {"spec": ModelSpec(Provider.OPENAI, "scripted", structure=Structure.NONE)},
        {"spec": ModelSpec(Provider.OPENAI, "scripted", max_output_tokens=512)},
        {"spec": ModelSpec(Provider.COMPATIBLE, "scripted", base_url="http://127.0.0.1:1/v1")},
    ],
)
def test_another_model_or_parameter_is_another_question(other: dict[str, Any]) -> None:
    calls, script = MemoryModelCalls(), Script(GOOD)
    for more in ({}, other):
        client_of(script, SentimentAnswer, calls=calls, **more).ask(PROMPT, "headline")
    assert len(script.asked) == 2


def test_another_prompt_or_text_is_another_question() -> None:
    calls, script = MemoryModelCalls(), Script(GOOD)
    client = client_of(script, SentimentAnswer, calls=calls)
    for prompt, text in ((PROMPT, "a"), (PROMPT, "b"), (Prompt("test", 2, "Judge well."), "a")):
        client.ask(prompt, text)
    assert len(script.asked) == 3


def test_an_empty_answer_is_recorded_and_not_used_again() -> None:
    calls = MemoryModelCalls()
    client = client_of(Script("", "", GOOD), SentimentAnswer, calls=calls)
    assert client.ask(PROMPT, "headline").outcome is Outcome.EMPTY
    assert client.ask(PROMPT, "headline").outcome is Outcome.VALID
    assert [row.response.outcome for row in calls.rows if row.response] == ["empty", "empty", "valid"]


def test_the_record_has_what_was_asked_answered_and_paid() -> None:
    calls = MemoryModelCalls()
    client_of(Script(used(GOOD, 100, 10)), SentimentAnswer, calls=calls, price=PRICE, ceiling_usd=1.0).ask(
        PROMPT, "nul \0 and half a surrogate \ud800"
    )
    (row,) = calls.rows
    assert row.call.request["messages"] == [
        ["system", "Judge."],
        ["user", "nul \ufffd and half a surrogate ?"],
    ]
    assert (row.call.prompt_hash, row.call.purpose, row.call.attempt) == (PROMPT.hash, "test", 1)
    assert row.response is not None
    assert row.response.answer == {"text": GOOD, "calls": [], "finish": ""}
    assert row.response.usd == pytest.approx((100 * 10 + 10 * 20) / 1e6)
    assert row.call.estimated_usd > row.response.usd


# --- the budget


def test_a_call_that_would_cost_more_than_the_day_has_left_is_not_made() -> None:
    calls, script = MemoryModelCalls(), Script(used(GOOD, 100, 10))
    price = TokenPrice(input=0.0, output=1000.0)  # estimated with 256 tokens of output: 0.256 USD
    client = client_of(script, SentimentAnswer, calls=calls, price=price, ceiling_usd=0.27)
    outcomes = [client.ask(PROMPT, f"headline {number}").outcome for number in range(4)]
    assert outcomes == [Outcome.VALID, Outcome.VALID, Outcome.BUDGET, Outcome.BUDGET]
    assert len(script.asked) == len(calls.rows) == 2
    assert client.ask(PROMPT, "headline 0").outcome is Outcome.VALID  # what is recorded serves on


def test_a_free_model_has_no_budget() -> None:
    assert (
        client_of(Script(GOOD), SentimentAnswer, ceiling_usd=None).ask(PROMPT, "a").outcome is Outcome.VALID
    )


def test_an_answer_of_a_paid_model_that_does_not_say_its_tokens_is_booked_with_the_estimate() -> None:
    calls = MemoryModelCalls()
    client_of(Script(GOOD), SentimentAnswer, calls=calls, price=PRICE, ceiling_usd=1.0).ask(PROMPT, "a")
    assert calls.spent_today() == calls.rows[0].call.estimated_usd > 0


@pytest.mark.parametrize(
    ("spent", "rung"),
    [
        (0.0, Rung.ALL), (5.99, Rung.ALL), (6.0, Rung.ONE), (8.99, Rung.ONE), (9.0, Rung.CACHED), (10.0, Rung.CACHED),
        (10.01, Rung.HOLD), (float("nan"), Rung.HOLD),
    ],
)  # fmt: skip
def test_the_ladder_goes_down_with_what_the_day_has_cost(spent: float, rung: Rung) -> None:
    assert BudgetLadder(10.0, one_model_from=0.6, cached_from=0.9).rung(spent) is rung


def test_on_the_second_rung_the_first_model_is_still_asked_and_the_others_are_not() -> None:
    ladder, calls = BudgetLadder(0.5, one_model_from=0.5, cached_from=0.9), MemoryModelCalls()
    price = TokenPrice(input=0.0, output=100.0)  # 0.0256 USD estimated, 0.2 USD real: 2000 tokens

    def outcome(rank: int, text: str) -> Outcome:
        script = Script(used(GOOD, 0, 2000))
        client = client_of(
            script, SentimentAnswer, calls=calls, price=price, ceiling_usd=ladder.ceiling(rank)
        )
        return client.ask(PROMPT, f"{rank} {text}").outcome

    assert (ladder.rung(calls.spent_today()), outcome(1, "a"), outcome(0, "a")) == (
        Rung.ALL,
        "valid",
        "valid",
    )
    assert (ladder.rung(calls.spent_today()), outcome(1, "b"), outcome(0, "b")) == (
        Rung.ONE,
        "budget",
        "valid",
    )
    assert (ladder.rung(calls.spent_today()), outcome(0, "c")) == (Rung.HOLD, "budget")


# --- time, places, breaker


def test_a_model_that_does_not_answer_in_time_is_given_up_and_booked_as_if_it_had() -> None:
    calls, released = MemoryModelCalls(), threading.Event()
    client = client_of(
        Script(lambda: released.wait(60)),
        SentimentAnswer,
        calls=calls,
        price=PRICE,
        ceiling_usd=1.0,
        seconds=0.05,
    )
    answer = client.ask(PROMPT, "headline")
    released.set()
    assert (answer.outcome, answer.value) == (Outcome.TIMEOUT, None)
    assert calls.spent_today() == calls.rows[0].call.estimated_usd > 0


@pytest.mark.parametrize("provider", [Provider.OLLAMA, Provider.COMPATIBLE])
@pytest.mark.parametrize("other", ["http://gpu2:11434/v1", "http://gpu1:11434/other/v1"])
def test_an_answer_of_one_address_never_serves_another(provider: Provider, other: str) -> None:
    calls, script = MemoryModelCalls(), Script(GOOD)
    for address in ("http://gpu1:11434/v1", other):
        spec = ModelSpec(provider, "qwen", base_url=address)
        client_of(script, SentimentAnswer, calls=calls, spec=spec).ask(PROMPT, "headline")
    assert len(script.asked) == 2


def test_who_gets_no_place_costs_nothing_and_opens_no_breaker() -> None:
    calls, released, begun = MemoryModelCalls(), threading.Event(), threading.Event()
    breaker = CircuitBreaker(3, 60.0)

    def hang() -> AIMessage:
        begun.set()
        released.wait(60)
        return AIMessage(content=GOOD)

    client = client_of(
        Script(hang), SentimentAnswer, calls=calls, price=PRICE, ceiling_usd=1.0, seconds=0.1, at_once=1,
        breaker=breaker,
    )  # fmt: skip
    outcomes = [client.ask(PROMPT, f"headline {number}").outcome for number in range(4)]
    assert begun.is_set()
    released.set()
    assert outcomes == [Outcome.TIMEOUT, *[Outcome.NO_PLACE] * 3]
    assert len(calls.rows) == 1
    assert calls.spent_today() == calls.rows[0].call.estimated_usd
    assert not breaker.is_open


def test_a_call_that_is_not_recorded_gives_its_place_back() -> None:
    client = client_of(Script(GOOD), SentimentAnswer, price=PRICE, ceiling_usd=0.0, at_once=1)
    assert [client.ask(PROMPT, "headline").outcome for _ in range(2)] == [Outcome.BUDGET] * 2


@pytest.mark.parametrize("text", ["\U0001242b" * 500, "比" * 500, "नमस्ते" * 100])
def test_the_estimate_is_not_below_a_token_per_byte_outside_ascii(text: str) -> None:
    assert tokens_at_most(text.encode()) == len(text.encode())
    assert tokens_at_most(b"words " * 100) == 200


class Odd:
    """A message of a vendor that keeps to nobody's types."""

    content = GOOD
    response_metadata = "none"
    tool_calls = ("x",)
    usage_metadata = "many"

    def __init__(self, **changes: Any) -> None:
        vars(self).update(changes)


@pytest.mark.parametrize("calls", [["x"], [None], [{"name": "answer", "args": {1, 2}}], [{"args": {}}]])
def test_calls_of_no_known_form_are_an_abstention(calls: list[Any]) -> None:
    answer = client_of(lambda _: Odd(tool_calls=calls), SentimentAnswer).ask(PROMPT, "headline")
    assert answer.outcome is Outcome.INVALID


def test_no_more_calls_are_under_way_than_there_are_places() -> None:
    lock, now, most = threading.Lock(), 0, 0
    two = threading.Barrier(2)

    def answer(_: Sequence[tuple[str, str]]) -> AIMessage:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        two.wait(30)  # passes only when two are here together
        with lock:
            now -= 1
        return AIMessage(content=GOOD)

    answers = client_of(answer, SentimentAnswer, at_once=2).ask_all(
        PROMPT, [f"headline {n}" for n in range(8)]
    )
    assert [each.outcome for each in answers] == [Outcome.VALID] * 8
    assert most == 2


def test_after_failures_in_a_row_nobody_is_asked_until_the_pause_is_over() -> None:
    seconds = [0.0]
    breaker = CircuitBreaker(2, 60.0, lambda: seconds[0])
    script = Script(ConnectionError("down"), ConnectionError("down"), ConnectionError("down"), GOOD)
    client = client_of(script, SentimentAnswer, breaker=breaker)

    def outcome() -> Outcome:
        return client.ask(PROMPT, f"headline {len(script.asked)} {seconds}").outcome

    assert [outcome() for _ in range(4)] == [
        "unreachable",
        "unreachable",
        "circuit breaker",
        "circuit breaker",
    ]
    seconds[0] = 60.0
    assert [outcome(), outcome()] == ["unreachable", "circuit breaker"]  # one trial, and it failed
    seconds[0] = 120.0
    assert [outcome(), outcome()] == ["valid", "valid"]
    assert len(script.asked) == 5


def test_while_the_breaker_is_open_what_is_recorded_still_serves() -> None:
    breaker, script = CircuitBreaker(1, 60.0), Script(GOOD, ConnectionError("down"))
    client = client_of(script, SentimentAnswer, breaker=breaker)
    assert [client.ask(PROMPT, text).outcome for text in ("a", "b", "a", "b")] == [
        "valid", "unreachable", "valid", "circuit breaker",
    ]  # fmt: skip


# --- whatever an SDK raises


class StatusError(Exception):
    def __init__(self, status_code: int) -> None:
        super().__init__(f"Error {status_code}: incorrect key sk-secret-1 provided")
        self.status_code = status_code


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StatusError(401), Outcome.REFUSED),
        (StatusError(404), Outcome.REFUSED),
        (StatusError(429), Outcome.UNREACHABLE),
        (StatusError(503), Outcome.UNREACHABLE),
        (TimeoutError("slow"), Outcome.TIMEOUT),
        (ConnectionError("reset"), Outcome.UNREACHABLE),
        (KeyError("choices"), Outcome.UNREACHABLE),
        (RecursionError("deep"), Outcome.UNREACHABLE),
    ],
)
def test_whatever_a_client_raises_is_an_outcome_and_never_an_exception(
    error: Exception, outcome: Outcome
) -> None:
    calls = MemoryModelCalls()
    client = client_of(Script(error), SentimentAnswer, calls=calls, secret="sk-secret-1")
    answer = client.ask(PROMPT, "headline")
    assert (answer.outcome, answer.value) == (outcome, None)
    assert len(calls.rows) == 1  # what failed is not tried again by itself
    assert "sk-secret-1" not in answer.problem


def test_no_repair_is_tried_when_the_time_of_the_question_is_nearly_over() -> None:
    script = Script("no", GOOD)
    answer = client_of(script, SentimentAnswer, seconds=0.15).ask(PROMPT, "a")
    assert answer.outcome in (Outcome.INVALID, Outcome.TIMEOUT)
    assert len(script.asked) == 1
