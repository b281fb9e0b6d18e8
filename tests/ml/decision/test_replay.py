"""A decision is made again to the byte, and the first input that is another one now is named."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml.decision import replay as replays
from ml.decision.replay import Verdict
from ml.sentiment.prompts import SENTIMENT_PROMPT_HASH
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData
from tests.ml.decision.decision_world import with_market
from tests.ml.decision.replay_world import ARTICLES, CROSS, FEATURES, OTHER, ReplayWorld
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES
from trading.closed_candles import Basis, ClosedCandle
from trading.market import Timeframe
from trading.stores.live_candles import LiveCandles


@pytest.fixture
def world(tmp_path: Path) -> ReplayWorld:
    return ReplayWorld(tmp_path)


def decided(world: ReplayWorld) -> dict[str, Any]:
    """The receipt of a decision in which all three agents voted, as it comes back from a store."""
    receipt: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    assert [each["agent"] for each in receipt["opinions"] if each["action"]] == [
        "technical",
        "quant",
        "analyst",
    ]
    return receipt


def test_an_undisturbed_decision_is_identical(world: ReplayWorld) -> None:
    replay = world.replay(decided(world))
    assert (replay.verdict, replay.reproduced, replay.difference) == (Verdict.IDENTICAL, True, None)


def test_candles_that_came_later_change_nothing(tmp_path: Path) -> None:
    world = ReplayWorld(tmp_path, hidden=5)
    receipt = decided(world)
    for pair in (PAIR, CROSS, OTHER):
        for _, rows in world.all_candles.group_by(pl.col("open_time").dt.truncate("1mo")):
            world.table.write(pair, rows["open_time"][0].date().replace(day=1), rows)
    assert world.replay(receipt).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize("pair", [PAIR, CROSS])
def test_a_restated_candle_is_named_with_both_values(world: ReplayWorld, pair: Any) -> None:
    receipt = decided(world)
    before = world.table.tail(pair, world.newest, 8)
    world.restate(pair, 7, high=1e6)
    world.restate(pair, 3, high=2e6)
    replay = world.replay(receipt)
    assert (replay.verdict, replay.reproduced) == (Verdict.INPUT_DIFFERS, True)
    assert replay.difference is not None
    assert replay.difference.input == f"candle of {pair} {before['open_time'][0].isoformat()}, high"
    assert (replay.difference.recorded, replay.difference.now) == (before["high"][0], 1e6)


def test_a_candle_that_the_stream_restated_later_is_read_as_it_was_known_then(world: ReplayWorld) -> None:
    stream = MemoryMarketData(MemoryEventLog(), "test", "test-1h", Timeframe.H1)
    live = LiveCandles(world.table, stream, Timeframe.H1)
    world.reader = with_market(world.reader, candles=live)
    row = world.table.tail(PAIR, world.newest, 4).row(0, named=True)
    numbers = {name: row[name] for name in ("open_time", "open", "high", "low", "close", "volume")}
    first = ClosedCandle(
        origin="test", pair=PAIR, timeframe=Timeframe.H1, trades=5, first_trade_id=1, last_trade_id=5,
        basis=Basis.TRADES, known_at=row["close_time"], **numbers,
    )  # fmt: skip
    stream.store([first])
    receipt = decided(world)
    restated = replace(first, high=2 * first.high, known_at=world.newest + timedelta(minutes=1))
    stream.store([restated])
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
    assert (
        live.tail(PAIR, restated.known_at, 4)["high"][0] == restated.high
    )  # it is there, for whoever comes later


def test_a_candle_that_is_gone_is_named(world: ReplayWorld) -> None:
    receipt = decided(world)
    month = world.newest.date().replace(day=1)
    rows = world.table.read(PAIR, month)
    world.table.write(PAIR, month, rows.filter(pl.col("open_time") != rows["open_time"][2]))
    difference = world.replay(receipt).difference
    assert difference is not None
    assert difference.now is None
    assert rows["open_time"][2].isoformat() in difference.input


def test_another_policy_is_named_by_both_ids(world: ReplayWorld) -> None:
    receipt = decided(world)
    other = world.promote(seed=1)
    difference = world.replay(receipt).difference
    assert difference is not None
    assert (difference.input, difference.recorded, difference.now) == ("policy", world.champion, other)


def test_a_bundle_whose_weights_were_changed_is_named(world: ReplayWorld) -> None:
    receipt = decided(world)
    [weights] = world.folder.rglob("weights.npz")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    replay = world.replay(receipt)
    assert replay.verdict is Verdict.INPUT_DIFFERS
    assert "weights.npz has SHA-256" in str(replay)


def test_an_edited_prompt_is_named_by_both_hashes(world: ReplayWorld) -> None:
    receipt = decided(world)
    difference = world.replay(receipt, prompts=frozenset({"0123456789abcdef"})).difference
    assert difference is not None
    assert difference.input == "prompt of the sentiment"
    assert (difference.recorded, difference.now) == (SENTIMENT_PROMPT_HASH, "0123456789abcdef")


def test_an_article_that_was_judged_again_is_named_with_both_scores(world: ReplayWorld) -> None:
    receipt = decided(world)
    world.judge(0.4)
    difference = world.replay(receipt).difference
    assert difference is not None
    assert difference.input == f"judgement of article {min(ARTICLES)} BTC ollama/test, score"
    assert (difference.recorded, difference.now) == (0.5, 0.4)


def test_a_changed_setting_is_named_by_its_path_with_both_values(world: ReplayWorld) -> None:
    receipt = decided(world)
    rules = replace(RULES, limits=replace(LIMITS, position_cap=0.25))
    replay = world.replay(receipt, rules=rules)
    assert replay.difference is not None
    assert replay.difference.input == "settings.limits.position_cap"
    assert (replay.difference.recorded, replay.difference.now) == (0.2, 0.25)
    assert replay.reproduced


def test_of_several_differences_the_first_in_the_order_of_use_is_named(world: ReplayWorld) -> None:
    receipt = decided(world)
    world.promote(seed=1)
    world.judge(0.4)
    world.restate(OTHER, 2, low=0.5)
    assert "candle of XRP/USDT" in str(world.replay(receipt))


@pytest.mark.parametrize(
    "edit",
    [
        lambda receipt: receipt.update(action="SHORT"),
        lambda receipt: receipt.update(intent=None),
        lambda receipt: receipt["risk"].update(approved=False),
        lambda receipt: receipt["opinions"][0].update(confidence=0.99),
    ],
)
def test_an_edited_outcome_is_not_what_the_inputs_lead_to(
    world: ReplayWorld, edit: Callable[[dict[str, Any]], None]
) -> None:
    receipt = decided(world)
    edit(receipt)
    replay = world.replay(receipt)
    assert (replay.verdict, replay.reproduced) == (Verdict.DECISION_DIFFERS, False)


def test_other_code_is_named_where_it_decides_otherwise(
    world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = decided(world)
    monkeypatch.setattr(replays, "code_version", lambda: "other code")
    assert world.replay(receipt).verdict is Verdict.IDENTICAL
    receipt["why"] = "what that code would have said"
    difference = world.replay(receipt).difference
    assert difference is not None
    assert (difference.recorded, difference.now) == (receipt["code_version"], "other code")
    assert "decision.outcome" in difference.input or "decision.why" in difference.input


def test_a_lost_content_is_not_replayable_and_says_which(world: ReplayWorld) -> None:
    receipt = decided(world)
    lost = receipt["inputs"]["candles"]["sha256"]
    world.journal._state.inputs.pop(lost)
    replay = world.replay(receipt)
    assert replay.verdict is Verdict.NOT_REPLAYABLE
    assert lost[:12] in replay.reason


def test_a_feature_that_another_definition_gives_is_named(
    world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = decided(world)
    before = replays.features_of
    name = FEATURES[0]
    monkeypatch.setattr(replays, "features_of", lambda *given: before(*given) | {name: 1.0})
    assert f"feature.{name}" in str(world.replay(receipt))
