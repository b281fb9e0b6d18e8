"""`marketloom replay`: the verdicts of many decisions, their rate, and the exit code of the worst."""

import io
import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from rich.console import Console

from ml.decision.replay import Replay, Replayer, Verdict
from orchestration.commands import replay as command
from orchestration.commands.replay import (
    EXIT_CODES,
    CachedContents,
    ReplayReport,
    replay_all,
    replay_decisions,
    show,
)
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import RULES
from trading.errors import InvalidValue


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> ReplayWorld:
    made = ReplayWorld(tmp_path_factory.mktemp("world"))
    made.execute()
    return made


def receipt(world: ReplayWorld) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    return stored


def report(world: ReplayWorld, *receipts: Mapping[str, Any]) -> ReplayReport:
    replayer = Replayer(world.reader.market, world.policies, RULES, CachedContents(world.journal.inputs))
    return replay_all(replayer, iter(receipts))


def printed(shown: ReplayReport) -> list[str]:
    out = io.StringIO()
    show(shown, Console(file=out, width=400))
    return out.getvalue().splitlines()


def test_identical_decisions_end_with_zero_and_a_rate(world: ReplayWorld) -> None:
    found = report(world, receipt(world), receipt(world))
    assert (found.worst, found.exit_code) == (Verdict.IDENTICAL, 0)
    assert found.facts()["counts"]["identical"] == 2
    assert found.facts()["decisions_per_second"] > 0
    assert printed(found)[-1].startswith("2 decisions, ")


def test_the_exit_code_is_that_of_the_worst_and_every_other_decision_is_named(world: ReplayWorld) -> None:
    edited, old = receipt(world) | {"action": "SHORT"}, {"decision_id": "old"}
    found = report(world, receipt(world), old, edited)
    assert (found.worst, found.exit_code) == (Verdict.DECISION_DIFFERS, 4)
    lines = printed(found)
    assert lines[0].startswith("old not replayable: ")
    assert "decision differs: decision.action: SHORT recorded, LONG now" in lines[1]
    assert "1 identical, 1 not replayable, 0 input differs, 1 decision differs" in lines[-1]


def test_of_one_decision_its_verdict_is_one_line(world: ReplayWorld) -> None:
    identity = receipt(world)["decision_id"]
    assert printed(report(world, receipt(world))) == [f"{identity} identical"]


def test_every_verdict_has_an_exit_code_of_its_own_that_no_failure_has() -> None:
    assert set(EXIT_CODES) == set(Verdict)
    assert len(set(EXIT_CODES.values())) == len(Verdict)
    assert not {1, 2} & set(EXIT_CODES.values())


def test_only_the_first_of_many_are_printed_and_all_are_counted() -> None:
    many = [Replay(f"id-{number}", Verdict.NOT_REPLAYABLE, None, reason="lost") for number in range(30)]
    lines = printed(ReplayReport(many, 1.0))
    assert len(lines) == command.SHOWN + 2
    assert lines[-2] == "... and 10 more: --json lists all"


@pytest.mark.parametrize("question", [("", None), ("1f0c2ab7", "a time")])
def test_one_decision_or_a_time_is_asked_for_and_never_both(question: Any) -> None:
    with pytest.raises(InvalidValue, match="--since"):
        replay_decisions(*question)


def test_contents_that_decisions_share_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def read(digests: Collection[str]) -> Mapping[str, bytes]:
        asked.append(set(digests))
        return {each: each.encode() for each in digests if each != "lost"}

    cached = CachedContents(read)
    assert cached(["a", "b"]) == {"a": b"a", "b": b"b"}
    assert cached(["b", "c", "lost"]) == {"b": b"b", "c": b"c"}
    assert asked == [{"a", "b"}, {"c", "lost"}]
    monkeypatch.setattr(command, "MAX_CACHED", 2)
    assert cached(["a"]) == {"a": b"a"}
    assert asked[-1] == {"a"}
