"""What a model named as the end of its reason closes the position that its vote helped to open, and opens none."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.agents.judgements import Judgement
from ml.agents.opinions import Action
from ml.agents.trader import invalidations_of, trader_opinion
from ml.agents.trading_decision import Indicator
from ml.decision.decide import decide
from ml.decision.explanation import explain
from ml.decision.inputs import DecisionInputs
from ml.decision.recording import record_tables
from ml.decision.replay import Replayer, Verdict
from tests.ml.agents.model_panel import answer, hold, panel
from tests.ml.decision.decision_world import DecisionWorld, write_by_month
from tests.ml.decision.trading_day import PAIR, RISING, RULES, candles, decision_inputs
from tests.ml.models.scripted import Script
from trading.candles import complete
from trading.indicators import FEATURES
from trading.invalidation import Invalidation, InvalidationKind
from trading.market import Timeframe
from trading.portfolio import Position

HOUR = timedelta(hours=1)
INPUTS = replace(decision_inputs(), tables=record_tables(decision_inputs()))
CLOSE = INPUTS.close


def judgement(said: str, name: str = "trader-a") -> Judgement:
    raw = json.dumps({"text": said, "calls": [], "finish": "stop"})
    return Judgement(name, "test", "trader-balanced/1", "hash", "valid", answer=raw)


def judged(inputs: DecisionInputs, *said: str) -> DecisionInputs:
    found = [judgement(each, f"trader-{number}") for number, each in enumerate(said)]
    return replace(inputs, judgements={each.agent: each for each in found})


def held(inputs: DecisionInputs, *invalidations: Invalidation, quantity: str = "0.01") -> DecisionInputs:
    price = Decimal(str(inputs.close))
    position = Position(
        "paper-test", PAIR, Decimal(quantity), price, None, None, inputs.decided_at - HOUR,
        invalidations=invalidations,
    )  # fmt: skip
    return replace(inputs, position=position)


def indicator(name: str, value: float, *, above: bool) -> Invalidation:
    return Invalidation(InvalidationKind.INDICATOR, "trader-a", indicator=name, above=above, value=value)


def test_the_indicators_of_an_answer_are_features() -> None:
    assert set(Indicator.__args__) <= {each.name for each in FEATURES}  # type: ignore[attr-defined]


def test_every_model_that_votes_for_the_entry_says_what_ends_it() -> None:
    with_level = answer(CLOSE, invalidation_price=CLOSE * 0.99, invalidation_hours=12.0)
    with_rsi = answer(
        CLOSE, invalidation_indicator="rsi_14", invalidation_side="below", invalidation_value=0.3
    )
    other = hold(invalidation_hours=1.0, confidence=0.1)
    made = decide(judged(INPUTS, with_level, with_rsi, other), RULES)
    assert made.intent is not None
    level, time, rsi = made.intent.invalidations
    assert (level.kind, level.by, level.level) == ("level", "trader-0", Decimal(str(CLOSE * 0.99)))
    assert (time.kind, time.at) == ("time", INPUTS.decided_at + 12 * HOUR)
    assert (rsi.kind, rsi.by, rsi.indicator, rsi.value) == ("indicator", "trader-1", "rsi_14", 0.3)


def test_what_holds_already_when_it_is_said_is_left_out() -> None:
    said = answer(
        CLOSE * 1.01, invalidation_price=CLOSE * 1.001, invalidation_indicator="rsi_14",
        invalidation_side="below", invalidation_value=1.0,
    )  # fmt: skip
    judgements = [judgement(said)]
    opinions = [trader_opinion(each, PAIR, CLOSE) for each in judgements]
    assert opinions[0].action is Action.LONG
    found = invalidations_of(
        judgements, opinions, Action.LONG, at=INPUTS.decided_at, close=CLOSE, features=INPUTS.features
    )
    assert found == ()


def test_an_indicator_beyond_its_value_closes_against_every_vote() -> None:
    rsi = INPUTS.features["rsi_14"]
    assert rsi is not None
    inputs = judged(held(INPUTS, indicator("rsi_14", rsi + 0.01, above=False)), answer(CLOSE), answer(CLOSE))
    made = decide(inputs, RULES)
    assert made.receipt["action"] == "CLOSE"
    assert made.receipt["why"].startswith("invalidated (trader-a): rsi_14 is ")
    assert made.intent is not None
    assert (made.intent.reduces, made.intent.quantity) == (True, Decimal("0.01"))


def test_an_indicator_within_its_value_or_unknown_leaves_the_vote_alone() -> None:
    rsi = INPUTS.features["rsi_14"]
    assert rsi is not None
    within = indicator("rsi_14", rsi - 0.01, above=False)
    for inputs in (
        held(INPUTS, within),
        held(
            replace(INPUTS, features={**INPUTS.features, "rsi_14": None}),
            indicator("rsi_14", 2.0, above=False),
        ),
    ):
        assert decide(inputs, RULES).receipt["action"] == "HOLD"


CONDITIONS = st.lists(
    st.one_of(
        st.builds(indicator, st.sampled_from(["rsi_14", "adx_14"]), st.floats(-2, 2), above=st.booleans()),
        st.floats(1, 1e6).map(
            lambda price: Invalidation(InvalidationKind.LEVEL, "t", level=Decimal(str(price)))
        ),
        st.integers(-48, 48).map(
            lambda hours: Invalidation(InvalidationKind.TIME, "t", at=INPUTS.decided_at + hours * HOUR)
        ),
    ),
    max_size=3,
)
SAID = st.sampled_from(
    [answer(CLOSE), hold(), hold(action="CLOSE"), answer(CLOSE, invalidation_hours=1.0), "no"]
)


@settings(max_examples=40, deadline=None)  # the first example loads the features' code
@given(conditions=CONDITIONS, said=st.lists(SAID, max_size=3), quantity=st.sampled_from(["0.01", "-0.01"]))
def test_with_a_position_nothing_but_its_close_is_ever_ordered(
    conditions: list[Invalidation], said: list[str], quantity: str
) -> None:
    made = decide(judged(held(INPUTS, *conditions, quantity=quantity), *said), RULES)
    assert made.receipt["action"] in ("CLOSE", "HOLD")
    if made.intent is not None:
        assert made.intent.reduces
        assert made.intent.quantity <= abs(Decimal(quantity))
        assert made.intent.invalidations == ()


def fallen_market() -> pl.DataFrame:
    """The rising market, and two candles after it that fall a little; no stop is near."""
    columns = ("open_time", "open", "high", "low", "close", "volume")
    rows = candles(RISING).select(columns)
    for fall in (0.9985, 0.9980):
        before = float(rows["close"][-1])
        after = CLOSE * fall
        more = {
            "open_time": [rows["open_time"][-1] + HOUR], "open": [before], "high": [before * 1.0001],
            "low": [after * 0.9999], "close": [after], "volume": [10.0],
        }  # fmt: skip
        rows = pl.concat([rows, pl.DataFrame(more, schema=rows.schema)])
    return complete(rows, Timeframe.H1, "test")


@pytest.mark.parametrize("kind", list(InvalidationKind))
def test_from_the_answer_to_the_order_that_closes_and_replayed_to_the_byte(
    tmp_path: Path, kind: InvalidationKind
) -> None:
    """On paper: the entry is filled, the next candle fulfils the condition, the decision on it closes unasked."""
    rsi = INPUTS.features["rsi_14"]
    assert rsi is not None
    conditions: dict[InvalidationKind, dict[str, Any]] = {
        InvalidationKind.LEVEL: {"invalidation_price": CLOSE * 0.999},
        InvalidationKind.TIME: {"invalidation_hours": 0.5},
        InvalidationKind.INDICATOR: {
            "invalidation_indicator": "rsi_14", "invalidation_side": "below", "invalidation_value": rsi - 1e-4,
        },
    }  # fmt: skip
    world = DecisionWorld(tmp_path, hidden=2, market=fallen_market())
    said = Script(answer(CLOSE, **conditions[kind]))
    world.reader = replace(world.reader, models=panel(a=said))
    opened = world.execute()
    [stored] = world.journal.positions("paper-test")
    assert [each.kind for each in stored.invalidations] == [kind]
    assert "; ends " in explain(json.loads(json.dumps(opened.receipt)), None)
    write_by_month(world.table, PAIR, world.all_candles.head(world.all_candles.height - 1))
    closed = world.execute()
    assert closed.receipt["why"].startswith("invalidated (trader-a): ")
    assert (closed.receipt["action"], closed.receipt["intent"]["reduces"]) == ("CLOSE", True)
    assert world.journal.positions("paper-test") == []
    assert len(said.asked) == 1
    replayer = Replayer(world.reader.market, world.reader.policies, RULES, world.journal.inputs)
    for done in (opened, closed):
        assert replayer.replay(json.loads(json.dumps(done.receipt))).verdict is Verdict.IDENTICAL
