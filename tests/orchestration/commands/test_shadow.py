"""`marketloom shadow`: what it decides on, and what it prints of it."""

import io
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from ml.agents.opinions import Action
from ml.decision.shadow import shadow_account
from orchestration.commands import shadow as command
from orchestration.commands.shadow import ShadowReport, shadow_past, show
from tests.ml.decision.decision_world import ACCOUNT
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR, RULES
from trading.errors import InvalidValue, NotStored

HOUR = timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReplayWorld:
    made = ReplayWorld(tmp_path)
    services: Any = SimpleNamespace(input_reader=made.reader, rules=RULES, journal=made.journal)
    monkeypatch.setattr(command, "running_system", nullcontext)
    monkeypatch.setattr(command, "Services", SimpleNamespace(current=lambda: services))
    return made


def run(world: ReplayWorld, hours: int, challenger: str = "") -> ShadowReport:
    start = (world.newest - (hours - 1) * HOUR).isoformat()
    return shadow_past("BTC/USDT", start, "", challenger, Console(file=io.StringIO()))


def printed(report: ShadowReport) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=200))
    return out.getvalue()


def challenger(world: ReplayWorld) -> str:
    """A policy that wants to be out where the champion wants to be in, or the other way round."""
    champion, other = world.champion, world.promote(seed=1)
    world.promotions.record(PAIR, champion, True, {}, at=world.newest - 100 * HOUR)
    return other


def test_the_champion_alone_has_one_column_and_nobody_to_agree_with(world: ReplayWorld) -> None:
    report = run(world, 3)
    text = printed(report)
    assert "challenger" not in text
    assert "the same action" not in text
    assert "would have bought" in text
    assert report.facts()["candles"] == 3
    assert "agreed" not in report.facts()


def test_with_a_challenger_both_are_shown_side_by_side_with_their_agreement(world: ReplayWorld) -> None:
    report = run(world, 4, challenger(world))
    facts = report.facts()
    assert facts["totals"]["champion"]["decisions"] == facts["totals"]["challenger"]["decisions"] == 4
    assert facts["agreed"] == sum(
        each["champion"]["action"] == each["challenger"]["action"] for each in facts["decisions"]
    )
    assert f"the same action on {facts['agreed']} of 4 candles" in printed(report)


def test_candles_on_which_they_do_not_agree_are_listed(world: ReplayWorld) -> None:
    report = run(world, 1, challenger(world))
    [candle] = report.candles
    assert candle.challenger is not None
    other = replace(candle.challenger, action=Action.HOLD, side=None, quantity=None)
    unlike = replace(report, candles=(replace(candle, challenger=other),) * 25)
    text = printed(unlike)
    assert "the same action on 0 of 25 candles (0.0%)" in text
    assert "either wants to act on 25 candles, both the same on 0" in text
    assert text.count("challenger HOLD") == command.SHOWN
    assert "champion LONG (buy " in text
    assert "... and 5 more" in text


def test_candles_that_the_challenger_was_trained_on_are_counted_and_said(world: ReplayWorld) -> None:
    report = run(world, 4, challenger(world))
    assert report.facts()["in_sample"] == 0
    assert "in-sample" not in printed(report)
    learned = replace(report, trained_until=world.newest - 2 * HOUR)
    assert learned.facts()["in_sample"] == 2
    assert "2 of the candles are in-sample for the challenger" in printed(learned)


def test_a_challenger_without_a_bundle_is_said_before_anything_is_decided(world: ReplayWorld) -> None:
    with pytest.raises(NotStored, match="no bundle of policy lost"):
        run(world, 1, "lost")
    assert world.journal.decisions(shadow_account(ACCOUNT.name, "")) == []


def test_a_span_needs_a_beginning(world: ReplayWorld) -> None:
    with pytest.raises(InvalidValue, match="--from is empty"):
        shadow_past("BTC/USDT", "", "", "", Console(file=io.StringIO()))
