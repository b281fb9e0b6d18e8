"""What a provider sent becomes a value, or one of the reasons why not."""

from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field

from ml.models.answers import Outcome, raw_answer, read_answer, storable, without_thinking


class Opinion(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    score: Annotated[float, Field(ge=-1, le=1)]
    reasoning: str


GOOD = '{"score": 0.5, "reasoning": "The ledger grows."}'


def outcome(content: Any, **metadata: Any) -> Outcome:
    message = AIMessage(content=content, response_metadata=metadata)
    return read_answer(raw_answer(message), Opinion).outcome


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        f"<think>\nGood for the ledger.\n</think>\n\n{GOOD}",
        f"Good for the ledger.\n</think>\n{GOOD}",  # templates that open the block themselves
        f"<THINK>first</THINK><reasoning>second</reasoning>{GOOD}",
        f"```json\n{GOOD}\n```",
        f"  \n{GOOD}\n",
    ],
)
def test_thinking_fences_and_space_around_the_answer_are_cut_off(content: str) -> None:
    assert outcome(content) is Outcome.VALID


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a <think>b", "a"),
        ("<think>a<think>b</think>c", "c"),
        ("a</think>b<think>c", "b"),
        ("<think>", ""),
        ("<thinker>a", "<thinker>a"),
    ],
)
def test_what_follows_the_last_block_of_thinking_is_left(text: str, rest: str) -> None:
    assert without_thinking(text) == rest


def test_blocks_of_thinking_are_no_text() -> None:
    blocks = [
        {"type": "thinking", "thinking": '{"score": 1, "reasoning": "x"}'},
        {"type": "text", "text": GOOD},
    ]
    assert outcome(blocks) is Outcome.VALID
    assert outcome(blocks[:1]) is Outcome.EMPTY


def test_the_argument_of_the_function_is_the_answer_and_text_beside_it_is_not_read() -> None:
    call = {"name": "answer", "args": {"score": 0.5, "reasoning": "The ledger grows."}, "id": "1"}
    message = AIMessage(content="I will call a function.", tool_calls=[call])
    assert read_answer(raw_answer(message), Opinion).value == Opinion(
        score=0.5, reasoning="The ledger grows."
    )


@pytest.mark.parametrize(
    "metadata", [{"finish_reason": "length"}, {"done_reason": "length"}, {"stop_reason": "max_tokens"}]
)
@pytest.mark.parametrize("content", ["", GOOD[:20], f"<think>{GOOD}"])
def test_an_answer_that_was_cut_off_is_told_apart_from_a_wrong_one(
    content: str, metadata: dict[str, str]
) -> None:
    assert outcome(content, **metadata) is Outcome.TRUNCATED
    assert outcome(content) in (Outcome.INVALID, Outcome.EMPTY)


def test_an_answer_that_is_whole_counts_although_the_limit_came_right_after_it() -> None:
    assert outcome(GOOD, finish_reason="length") is Outcome.VALID


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        ("Курс растёт, новости хорошие.", Outcome.WRONG_LANGUAGE),
        ("账本很好，价格会上涨。", Outcome.WRONG_LANGUAGE),
        ("The word 比特币 stands for Bitcoin in this headline.", Outcome.VALID),
        ("Café prices, naïve traders: +3 % (2021).", Outcome.VALID),
        ("42", Outcome.VALID),
    ],
)
def test_prose_in_another_script_is_the_wrong_language(reasoning: str, expected: Outcome) -> None:
    content = Opinion(score=0.5, reasoning=reasoning).model_dump_json()
    assert outcome(content) is expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"score": 2, "reasoning": "a"}', "score: Input should be less than or equal to 1"),
        ('{"score": 0.5, "score": -0.5, "reasoning": "a"}', "a key is there twice"),
        ('{"score": NaN, "reasoning": "a"}', "NaN is no number"),
        ("[1]", "another value"),
    ],
)
def test_the_problem_is_said_so_that_it_can_be_repaired(content: str, words: str) -> None:
    reading = read_answer(raw_answer(AIMessage(content=content)), Opinion)
    assert (reading.outcome, reading.value) == (Outcome.INVALID, None)
    assert words in reading.problem


def test_what_is_stored_can_be_stored() -> None:
    assert storable("a\0b\ud800c") == "a\ufffdb?c"
    assert len(storable("x" * 10**6)) == 65_537


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_an_answer_that_is_thought_about_on_and_on_is_none(finish: str) -> None:
    expected = Outcome.TRUNCATED if finish == "length" else Outcome.INVALID
    assert outcome(f"{GOOD}<think>wait, HOLD", finish_reason=finish) is expected
    assert outcome(f"{GOOD}<think>wait, HOLD</think>", finish_reason=finish).is_abstention


def test_a_call_of_another_function_is_no_answer() -> None:
    call = {"name": "transfer", "args": {"score": 0.5, "reasoning": "The ledger grows."}, "id": "1"}
    message = AIMessage(content=GOOD, tool_calls=[call])
    assert read_answer(raw_answer(message), Opinion).outcome is Outcome.INVALID
