"""What a language model may have read proves nothing."""

from datetime import UTC, date, datetime

import pytest

from ml.models.specification import ModelSpec, Provider
from ml.track_record.cut_off import CutOffs, is_language_model
from tests.ml.track_record.voted import CHAT, FIRST, HOUR, RULES, table, vote

DAY = date(2024, 2, 29)


@pytest.mark.parametrize("provider", [each for each in Provider if each is not Provider.LOCAL])
def test_every_chat_model_is_known_by_its_name(provider: Provider) -> None:
    assert is_language_model(ModelSpec(provider, "some-model", base_url="https://example.org/v1").name)


@pytest.mark.parametrize(
    "model", [RULES, "minilm-lexicon/crypto-1", "vader-finance-lexicon/2", "3f9c1d20ab54e7c8", "none"]
)
def test_rules_policies_and_classifiers_have_read_nothing(model: str) -> None:
    assert CutOffs({}).knows_nothing_of(model, FIRST)
    assert CutOffs({}).in_words(model) == ""


def test_what_happened_on_the_last_day_or_before_may_have_been_read() -> None:
    cut_offs = CutOffs({CHAT: DAY})
    assert not cut_offs.knows_nothing_of(CHAT, datetime(2024, 2, 29, 23, tzinfo=UTC))
    assert cut_offs.knows_nothing_of(CHAT, datetime(2024, 3, 1, tzinfo=UTC))
    assert cut_offs.in_words(CHAT) == "2024-02-29"


def test_a_prompt_or_a_mask_behind_the_name_changes_nothing_and_a_longer_name_is_another_model() -> None:
    cut_offs = CutOffs({CHAT: DAY, f"{CHAT}-new": date(2024, 3, 2)})
    assert cut_offs.knows_nothing_of(f"{CHAT} balanced/1", FIRST)
    assert not cut_offs.knows_nothing_of(f"{CHAT}-new+masked", FIRST)
    assert not cut_offs.knows_nothing_of(f"{CHAT}-newest", FIRST)


def test_without_a_day_all_of_it_may_have_been_read_and_the_board_says_what_to_do() -> None:
    assert not CutOffs({}).knows_nothing_of(CHAT, datetime(2100, 1, 1, tzinfo=UTC))
    assert "cut_off" in CutOffs({}).in_words(CHAT)


def test_votes_are_sorted_out_by_the_candle_that_they_judged() -> None:
    votes = table(
        vote(0, "LONG"), vote(0, "LONG", model=CHAT), vote(0, "LONG", model=CHAT, closed_at=FIRST - HOUR)
    )
    assert CutOffs({CHAT: DAY}).clean(votes).to_list() == [True, True, False]


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("minilm-lexicon/1 + vader-finance-lexicon/2", True),
        ("minilm-lexicon/1 + xai/grok-4", False),
        ("anthropic/claude-x + openai/gpt-9", False),
        ("anthropic/claude-x + openai/unknown", False),
        ("anthropic/claude-x + minilm-lexicon/1", True),
    ],
)
def test_of_models_that_judged_together_the_last_day_counts(name: str, clean: bool) -> None:
    days = {
        "anthropic/claude-x": date(2026, 1, 1),
        "openai/gpt-9": date(2026, 6, 30),
        "xai/grok-4": date(2026, 6, 30),
    }
    assert CutOffs(days).knows_nothing_of(name, datetime(2026, 3, 1, tzinfo=UTC)) is clean


def test_the_desk_has_read_what_any_of_its_voters_has() -> None:
    desk = {"agent": "desk", "model": "3"}
    votes = table(
        vote(0, "LONG", **desk), vote(0, "LONG", model=CHAT, agent="trader-a"),
        vote(1, "LONG", **desk), vote(1, "LONG"), vote(1, None, model=CHAT, agent="trader-a"),
        vote(0, "LONG", **desk, pair="XRP/USDT"),
    )  # fmt: skip
    assert CutOffs({}).clean(votes).to_list() == [False, False, True, True, False, True]
