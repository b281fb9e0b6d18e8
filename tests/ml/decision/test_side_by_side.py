"""The pairs of one run ask their models side by side, and are decided on and carried out one after the other."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest

from ml.agents.judgements import Judgement
from ml.agents.panel import ModelPanel, Question
from ml.decision.clock import ClockReading
from ml.decision.execute import ExecutedDecision, execute_decision
from ml.decision.reader import InputReader
from ml.decision.side_by_side import PairsOfOneRun
from tests.ml.agents.model_panel import answer, trader
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld, write_by_month
from tests.ml.decision.test_execute import open_position
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES
from tests.ml.models.scripted import Script
from trading.errors import NotStored
from trading.market import Pair

PAIRS = (PAIR, Pair("XRP", "USDT"), Pair("ETH", "USDT"))
HOUR = timedelta(hours=1)
SECONDS = 20.0  # that a broken test waits for


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    world = DecisionWorld(tmp_path)
    world.with_pairs(*PAIRS)
    world.reader.account.ensure_open(world.newest - 2 * HOUR)
    return world


def says_long(question: Question) -> Judgement:
    return trader("one", Script(answer(question.close, symbol=str(question.pair))))(question)


def run(
    world: DecisionWorld,
    at_once: int,
    first: Callable[[Question], object] = lambda question: None,
    reader: InputReader | None = None,
    pairs: Sequence[Pair] = PAIRS,
) -> dict[Pair, Any]:
    """Decide on all pairs with a model that does `first`, then votes LONG."""

    def asks(question: Question) -> Judgement:
        first(question)
        return says_long(question)

    models = ModelPanel({"trader-one": asks}, SECONDS, at_once)
    reader = replace(reader or world.reader, models=models)
    run = PairsOfOneRun(reader.read_clock(), reader, RULES, world.journal, world.executor)
    return dict(run.decide(pairs))


def answered(done: ExecutedDecision) -> str:
    return str(done.receipt["inputs"]["judgements"]["trader-one"]["outcome"])


def test_the_models_of_all_pairs_are_asked_at_the_same_time(world: DecisionWorld) -> None:
    """Each waits for the others: asked one after the other, none would answer."""
    together = Barrier(len(PAIRS))
    outcomes = run(world, len(PAIRS), lambda question: together.wait(SECONDS))
    assert [answered(each) for each in outcomes.values()] == ["valid"] * len(PAIRS)


def test_each_pair_is_decided_on_the_account_as_the_one_before_has_left_it(world: DecisionWorld) -> None:
    outcomes = run(world, len(PAIRS))
    assert tuple(outcomes) == PAIRS
    exposures = [float(each.receipt["inputs"]["account"]["exposure_value"]) for each in outcomes.values()]
    assert exposures[0] == 0 < exposures[1] < exposures[2]
    assert len(world.journal.positions(ACCOUNT.name)) == LIMITS.correlated_positions
    assert "correlated positions" in outcomes[PAIRS[-1]].receipt["outcome"]
    assert [each["pair"] for each in world.journal.decisions(ACCOUNT.name)] == [*map(str, reversed(PAIRS))]


def test_models_that_answer_one_by_one_are_asked_in_turn(world: DecisionWorld) -> None:
    before: list[int] = []
    run(world, 1, lambda question: before.append(len(world.journal.decisions(ACCOUNT.name))))
    assert before == [0, 1, 2]


def test_an_exit_at_the_head_waits_for_no_pair_s_model(world: DecisionWorld) -> None:
    open_position(world)
    seen: list[Any] = []
    run(world, len(PAIRS), lambda question: seen.append(world.journal.decisions(ACCOUNT.name)[0]["action"]))
    assert seen == ["CLOSE"] * 2  # decided on before the models of the others were asked


def test_an_exit_behind_others_waits_for_none_of_their_models(world: DecisionWorld) -> None:
    """The models of the others answer once it is decided on, and would be too late if it were not."""
    open_position(world)
    closed = Event()
    record = world.journal.record_decision

    def recorded(receipt: Any, *rest: Any) -> Any:
        done = record(receipt, *rest)
        if receipt["action"] == "CLOSE":
            closed.set()
        return done

    world.journal.record_decision = recorded
    outcomes = run(world, len(PAIRS), lambda question: closed.wait(2 * SECONDS), pairs=PAIRS[::-1])
    assert closed.is_set()
    assert tuple(outcomes) == (PAIRS[0], *PAIRS[:0:-1])
    assert [answered(outcomes[each]) for each in PAIRS[1:]] == ["valid", "valid"]


def test_a_pair_that_cannot_be_decided_on_leaves_the_others_and_waits_for_none(world: DecisionWorld) -> None:
    class WithoutXrp(InputReader):
        def market_inputs(self, pair: Pair, *rest: Any) -> Any:
            if pair == PAIRS[1]:
                raise NotStored("no candles")
            return super().market_inputs(pair, *rest)

    own = {name: getattr(world.reader, name) for name in InputReader.__dataclass_fields__}
    outcomes = run(world, len(PAIRS), reader=WithoutXrp(**own))
    assert tuple(outcomes) == (PAIRS[1], PAIRS[0], PAIRS[2])
    assert isinstance(outcomes[PAIRS[1]], NotStored)
    assert [answered(outcomes[each]) for each in (PAIRS[0], PAIRS[2])] == ["valid", "valid"]


def test_a_pair_that_was_overtaken_while_its_model_thought_is_decided_on_the_later_candle(
    tmp_path: Path,
) -> None:
    world = DecisionWorld(tmp_path, hidden=2)
    world.with_pairs(*PAIRS)
    reader = replace(world.reader, clock=lambda: ClockReading(world.newest, "the venue"))
    begun, begins = Barrier(len(PAIRS)), world.newest

    def overtakes(question: Question) -> None:
        if question.at > begins:
            return
        begun.wait(SECONDS)  # all have read their candles
        if question.pair == PAIR:
            for pair in PAIRS:
                write_by_month(world.table, pair, world.all_candles.head(world.all_candles.height - 1))
            execute_decision(PAIRS[2], reader.read_clock(), reader, RULES, world.journal, world.executor)

    outcomes = run(world, len(PAIRS), overtakes, reader)
    assert world.newest > begins
    closes = {each.receipt["candle_close_time"] for each in outcomes.values()}
    assert closes == {world.newest.isoformat()}
    assert answered(outcomes[PAIR]) == answered(outcomes[PAIRS[1]]) == "valid"
    assert outcomes[PAIRS[2]].repeated
