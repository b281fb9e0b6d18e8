"""Language models vote in a decision; their recorded answers are inputs of it, and it is made again without them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from ml.agents.hearing import Hearing
from ml.agents.panel import AGENTS, ModelPanel, Question
from ml.agents.prompts import Variant
from ml.decision.decision_bundle import PolicyFiles, verify_bundle, write_bundle
from ml.decision.execute import execute_decision
from ml.decision.replay import Replayer, Verdict
from tests.doubles.stores import MemoryModelCalls
from tests.ml.agents.model_panel import answer, hold, panel, trader
from tests.ml.decision.decision_world import DecisionWorld, record_fill
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR, RULES
from tests.ml.models.scripted import Script
from trading.orders import Side
from trading.ports import ARTICLE_SCHEMA
from trading.stores.postgres import PostgresJournal


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


@pytest.fixture
def released() -> Iterator[Event]:
    event = Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith("agent "):
            thread.join(60)


def decided(world: ReplayWorld, models: ModelPanel, **agents: Any) -> dict[str, Any]:
    done = execute_decision(
        PAIR,
        world.reader.read_clock(),
        replace(world.reader, models=models),
        RULES,
        world.journal,
        world.executor,
        Hearing({**AGENTS, **agents}),
    )
    stored: dict[str, Any] = json.loads(json.dumps(done.receipt))
    return stored


def close_of(world: DecisionWorld) -> float:
    return float(world.table.tail(PAIR, world.newest, 1)["close"][0])


def votes(receipt: dict[str, Any]) -> dict[str, str | None]:
    return {each["agent"]: each["action"] for each in receipt["opinions"]}


def test_several_models_vote_beside_the_agents_and_the_decision_is_replayed_without_them(
    world: ReplayWorld,
) -> None:
    close = close_of(world)
    models = panel(one=answer(close), two=hold(confidence=0.1))
    receipt = decided(world, models)
    assert votes(receipt) | {"technical": "LONG"} == votes(receipt)
    assert (votes(receipt)["trader-one"], votes(receipt)["trader-two"]) == ("LONG", "HOLD")
    assert receipt["intent"]
    assert receipt["inputs"]["judgements"].keys() == {"trader-one", "trader-two"}
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_without_a_model_receipts_say_nothing_of_models(world: ReplayWorld) -> None:
    receipt = decided(world, ModelPanel())
    assert "judgements" not in receipt["inputs"]
    assert "invalidations" not in receipt["intent"]
    assert set(votes(receipt)) == set(AGENTS)


def test_models_that_disagree_keep_an_entry_from_being_made(world: ReplayWorld) -> None:
    models = panel(one=hold(confidence=1.0), two=hold(confidence=1.0))
    receipt = decided(world, models)
    assert (receipt["action"], receipt["intent"]) == ("HOLD", None)
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("I would buy here.", "invalid: "),
        ("", "empty: "),
        (OSError("no route to host"), "unreachable: "),
        (TimeoutError("slow"), "timeout: "),
        (hold(symbol="XRP/USDT"), "it answered for XRP/USDT, asked was BTC/USDT"),
        (answer(1.0), "its entry price 1 is 100% from the market's"),
    ],
)
def test_an_answer_of_no_use_costs_its_vote_and_is_recorded_with_its_reason(
    world: ReplayWorld, said: Any, why: str
) -> None:
    receipt = decided(world, panel(one=Script(said)))
    opinion = next(each for each in receipt["opinions"] if each["agent"] == "trader-one")
    assert (opinion["action"], opinion["confidence"]) == (None, 0.0)
    assert opinion["reasoning"].startswith(why)
    assert receipt["intent"]  # the others still buy
    assert receipt["inputs"]["absent"] == {}  # and the account is not halted for a model
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_a_model_that_hangs_costs_its_vote_and_nobody_waits_longer(
    world: ReplayWorld, released: Event
) -> None:
    def hangs(_: Question) -> Any:
        released.wait()

    def broken(_: Question) -> Any:
        raise KeyError("no such model")

    models = ModelPanel({"trader-slow": hangs, "trader-dead": broken}, seconds=0.05)
    receipt = decided(world, models)
    reasons = {each["agent"]: each["reasoning"] for each in receipt["opinions"]}
    assert reasons["trader-slow"] == "timeout: gave no answer within 0.05 s"
    assert reasons["trader-dead"] == "unreachable: failed: KeyError: 'no such model'"
    assert receipt["intent"]
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_an_edited_answer_is_found(world: ReplayWorld) -> None:
    receipt = decided(world, panel(one=answer(close_of(world))))
    judgement = receipt["inputs"]["judgements"]["trader-one"]
    judgement["answer"] = judgement["answer"].replace("LONG", "HOLD")
    assert world.replay(receipt).verdict is Verdict.INPUT_DIFFERS


def test_an_edited_prompt_is_named(world: ReplayWorld) -> None:
    receipt = decided(world, panel(one=answer(close_of(world))))
    replay = world.replay(receipt, agent_prompts=frozenset())
    assert replay.verdict is Verdict.INPUT_DIFFERS
    assert replay.difference is not None
    assert replay.difference.input == "prompt of trader-one"
    assert replay.reproduced


def test_a_bundle_with_answers_is_verified_from_itself(world: ReplayWorld, tmp_path: Path) -> None:
    receipt = decided(world, panel(one=answer(close_of(world))))
    folder = world.policies.folder(PAIR, world.policies.months(PAIR)[-1]) / world.champion
    files = PolicyFiles((folder / "manifest.json").read_bytes(), next(folder.glob("*.npz")).read_bytes())
    path = tmp_path / "decision.jsonl"
    write_bundle(path, receipt, world.journal.inputs, files, ARTICLE_SCHEMA.to_frame())
    assert verify_bundle(path)[0].verdict is Verdict.IDENTICAL


def test_a_model_is_told_numbers_in_its_own_variant_and_asked_once_for_the_same_moment(
    world: ReplayWorld,
) -> None:
    said, calls = Script(answer(close_of(world))), MemoryModelCalls()
    models = ModelPanel({"trader-one": trader("one", said, Variant.CONSERVATIVE, calls=calls)}, 60.0)
    decided(world, models)
    (_, system), (_, told) = said.asked[0]
    assert "strong, agreeing evidence" in system
    message = json.loads(told)
    assert (message["pair"], message["position"]) == (str(PAIR), None)
    assert message["close"] == close_of(world)
    assert message["news"]["articles"] == 2
    assert "rises" not in told  # no headline
    other = ReplayWorld(world.folder / "again")
    decided(other, models)  # the same moment in another process: the recorded answer serves
    assert len(said.asked) == 1


def test_a_vote_about_another_position_does_not_count(world: ReplayWorld) -> None:
    """The position is opened while the model thinks about a flat account."""
    world.reader.account.ensure_open(world.newest - timedelta(hours=1))

    def opens(_: Question) -> Any:
        record_fill(
            world.journal, "other", PAIR, Side.BUY, quantity="0.001", price="50000",
            at=world.newest - timedelta(minutes=30), stop="1", target="999999",
        )  # fmt: skip
        return trader("one", Script(hold(action="CLOSE", confidence=1.0)))(_)

    receipt = decided(world, ModelPanel({"trader-one": opens}, 60.0))
    opinion = next(each for each in receipt["opinions"] if each["agent"] == "trader-one")
    assert opinion["action"] is None
    assert "the position is another one" in opinion["reasoning"]
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_a_stop_that_trails_while_the_model_thinks_leaves_its_vote(world: ReplayWorld) -> None:
    world.reader.account.ensure_open(world.newest - timedelta(hours=1))
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="50000",
        at=world.newest - timedelta(minutes=30), stop="1", target="999999",
    )  # fmt: skip

    def trails(question: Question) -> Any:
        [held] = world.journal.positions(world.reader.account.name)
        moved = replace(held, stop_loss=Decimal(2), best_price=held.entry_price * 2)
        assert world.journal.update_protection(moved)
        return trader("one", Script(hold(action="CLOSE", confidence=1.0)))(question)

    receipt = decided(world, ModelPanel({"trader-one": trails}, 60.0))
    assert next(each for each in receipt["opinions"] if each["agent"] == "trader-one")["action"] == "CLOSE"
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_traders_in_any_order_of_the_settings_are_replayed(world: ReplayWorld) -> None:
    close = close_of(world)
    said = {
        name: answer(close, invalidation_price=close * share, confidence=1.0)
        for name, share in (("zeta", 0.99), ("alpha", 0.995))
    }
    receipt = decided(world, panel(**said))
    assert [each["by"] for each in receipt["intent"]["invalidations"]] == ["trader-alpha", "trader-zeta"]
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


def test_in_shadow_mode_no_model_is_asked(world: ReplayWorld) -> None:
    from ml.decision.shadow import shadow_decision

    said = Script(answer(close_of(world)))
    reader = replace(world.reader, models=panel(one=said))
    shadow_decision(PAIR, world.reader.read_clock(), reader, RULES, world.journal)
    assert said.asked == []


def test_of_the_models_that_vote_for_an_entry_the_one_that_asks_for_least_makes_it_smaller(
    tmp_path: Path,
) -> None:
    worlds = [ReplayWorld(tmp_path / name) for name in ("plain", "asked")]
    close = close_of(worlds[0])
    plain = decided(worlds[0], panel(one=answer(close, position_size_pct=20.0)))
    other = hold(confidence=0.1, position_size_pct=0.0)
    asked = decided(
        worlds[1],
        panel(
            one=answer(close, position_size_pct=20.0), two=answer(close, position_size_pct=1.0), three=other
        ),
    )
    equity = float(asked["inputs"]["account"]["equity"])
    increment = 0.00001 * close
    assert 0.01 * equity - increment < float(asked["intent"]["quantity"]) * close <= 0.01 * equity
    assert float(plain["intent"]["quantity"]) > 5 * float(asked["intent"]["quantity"])
    assert worlds[1].replay(asked).verdict is Verdict.IDENTICAL


def test_a_run_of_the_same_candle_a_little_later_reads_the_recorded_answer(world: ReplayWorld) -> None:
    said = Script(answer(close_of(world)))
    model = trader("one", said)
    later = ReplayWorld(world.folder / "later")
    clock = world.reader.read_clock()
    decided(world, ModelPanel({"trader-one": model}, 60.0))
    later.reader = replace(later.reader, clock=lambda: replace(clock, at=clock.at + timedelta(seconds=20)))
    receipt = decided(later, ModelPanel({"trader-one": model}, 60.0))
    assert len(said.asked) == 1
    assert receipt["inputs"]["judgements"]["trader-one"]["reused"]


def test_in_postgresql_answers_votes_and_invalidations_are_stored_whole(dsn: str, tmp_path: Path) -> None:
    """The receipt as the database returns it is replayed to the byte, and the position has what ends it."""
    world = DecisionWorld(tmp_path, journal=PostgresJournal(dsn))
    close = close_of(world)
    said = "<think>1e999 nan \u0000</think>" + answer(
        close, invalidation_price=close * 0.99, confidence=0.7 + 0.2
    )
    world.reader = replace(world.reader, models=panel(one=said, two="no"))
    done = world.execute()
    receipt = world.journal.decision(done.receipt["decision_id"])
    [position] = world.journal.positions(receipt["account"])
    assert [each.level for each in position.invalidations] == [Decimal(str(close * 0.99))]
    replayer = Replayer(world.reader.market, world.reader.policies, RULES, world.journal.inputs)
    assert replayer.replay(receipt).verdict is Verdict.IDENTICAL
    with psycopg.connect(dsn) as connection:
        votes = connection.execute(
            "SELECT agent, action, confidence, outcome, raw_response ->> 'finish' FROM agent_opinions "
            "WHERE agent ^@ 'trader' ORDER BY number"
        ).fetchall()
        log = connection.execute("SELECT agent, level FROM agent_logs ORDER BY number").fetchall()
    assert votes == [("trader-one", "LONG", 0.7 + 0.2, "valid", ""), ("trader-two", None, 0.0, "invalid", "")]
    assert log == [("trader-one", "info"), ("trader-two", "warning")]
