"""Real money and a language model: only votes after its knowledge ends speak for it."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from ml.models.specification import ModelSpec, Provider
from ml.track_record.board import BoardMaker
from ml.track_record.cut_off import CutOffs
from orchestration.commands import doctor_live
from orchestration.commands.doctor_live import examine_record
from orchestration.commands.findings import Finding, Health
from tests.ml.track_record.test_board import COSTS, LATER, Votes, stored
from tests.ml.track_record.voted import BTC, CHAT, FRAME, RULES, table, vote


def examine(model: str, cut_off: date | None, traders: tuple[str, ...] = (), analyst: str = "") -> Finding:
    """99 votes of the chat model, 51 of them on 3 March and later, and two on one candle."""
    voted = [vote(number, "LONG", agent="analyst", model=CHAT) for number in range(98)]
    voted += [vote(97, "LONG", agent="analyst", model=CHAT, decision_id="again", shadow=True)]
    voted += [vote(97, "HOLD", agent="trader", model=CHAT), vote(97, "LONG", agent="trader", model="another")]
    votes = BoardMaker(
        Votes(table(*voted)), *stored({}), (BTC,), FRAME, COSTS, CutOffs({CHAT: cut_off} if cut_off else {})
    )
    named = ModelSpec(Provider.ANTHROPIC, "claude-haiku-4-5")
    services: Any = SimpleNamespace(
        sentiment_model=SimpleNamespace(name=model), board_maker=votes, clock=lambda: SimpleNamespace(at=LATER),
        settings=SimpleNamespace(
            agents=SimpleNamespace(traders=dict.fromkeys(traders), analyst_model=analyst),
            models=SimpleNamespace(specs={"haiku": named}),
        ),
    )  # fmt: skip
    return examine_record(services)


def test_a_classifier_or_a_lexicon_needs_no_record() -> None:
    assert examine("minilm-lexicon/crypto-1", None).health is Health.OK


@pytest.mark.parametrize(("needed", "health"), [(51, Health.OK), (52, Health.BROKEN)])
def test_votes_after_the_cut_off_count_and_no_others(
    monkeypatch: pytest.MonkeyPatch, needed: int, health: Health
) -> None:
    monkeypatch.setattr(doctor_live, "NEEDED_VOTES", needed)
    found = examine(CHAT, date(2024, 3, 2))
    assert found.health is health
    assert f"{CHAT} has 51 votes after its knowledge ends (2024-03-02)" in found.detail


@pytest.mark.parametrize("agents", [{"traders": ("haiku",)}, {"analyst": "haiku"}])
def test_models_that_vote_need_a_record_too(agents: Any) -> None:
    found = examine(RULES, date(2024, 3, 2), **agents)
    assert found.blocks
    assert f"{CHAT} has 51 votes" in found.detail


def test_without_a_cut_off_nothing_counts_and_the_setting_is_named() -> None:
    found = examine(CHAT, None)
    assert found.blocks
    assert "has 0 votes" in found.detail
    assert "cut_off of its [models.named] entry" in found.detail
