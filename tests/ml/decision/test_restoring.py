"""What is restored from a receipt is what the decision was given, to the byte."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.decision.plain_json import canonical_bytes
from ml.decision.receipt import Scope
from ml.decision.recorded_tables import record_table, restore_table
from ml.decision.restoring import restore
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryPromotions
from tests.ml.decision.decision_world import DecisionWorld, record_fill
from tests.ml.decision.trading_day import FALLING, PAIR, RISING
from trading.errors import InvalidValue, NotStored
from trading.market import CANDLE_SCHEMA
from trading.orders import Side
from trading.ports import SENTIMENT_SCHEMA


def read_from(contents: Mapping[str, bytes]) -> Callable[[Collection[str]], Mapping[str, bytes]]:
    return lambda digests: {each: contents[each] for each in digests if each in contents}


def no_policy(*_: object) -> Any:
    raise AssertionError("no policy voted")


def assert_replays(world: DecisionWorld, receipt: Mapping[str, Any]) -> None:
    """The receipt, read back as JSON, leads to the same bytes."""
    stored = json.loads(json.dumps(receipt))
    again = restore(stored, world.journal.inputs, no_policy).decide()
    recorded = {name: stored[name] for name in again.receipt}
    assert canonical_bytes(again.receipt) == canonical_bytes(recorded)


@pytest.mark.parametrize("drift", [RISING, FALLING, 0.0])
def test_a_decision_is_made_again_from_its_receipt_to_the_byte(tmp_path: Path, drift: float) -> None:
    world = DecisionWorld(tmp_path, drift=drift)
    assert_replays(world, world.execute().receipt)


def test_one_with_other_pairs_an_open_position_and_working_orders_is_made_again(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path, hidden=3)
    world.with_pairs(PAIR, type(PAIR)("XRP", "USDT"), type(PAIR)("XRP", "BTC"))
    world.reader.account.ensure_open(world.newest)
    opened = world.newest - timedelta(hours=2)
    record_fill(world.journal, "held", PAIR, Side.BUY, quantity="0.005", price="60000", at=opened, stop="100")
    receipt = world.execute().receipt
    assert receipt["inputs"]["position"]
    assert len(receipt["inputs"]["companions"]) == 2
    assert_replays(world, receipt)


def test_the_exit_of_a_position_whose_stop_was_hit_is_made_again_though_nothing_else_could_be_read(
    tmp_path: Path,
) -> None:
    world = DecisionWorld(tmp_path)
    world.reader.account.ensure_open(world.newest)
    opened = world.newest - timedelta(hours=2)
    record_fill(
        world.journal, "held", PAIR, Side.BUY, quantity="0.001", price="60000", at=opened, stop="1", target="2"
    )  # fmt: skip
    promotions = MemoryPromotions()
    promotions.record(PAIR, "lost", True, {}, at=world.newest)
    world.reader = replace(world.reader, policies=PolicyRegistry(tmp_path, promotions))
    receipt = world.execute().receipt
    assert receipt["scope"] == Scope.EXIT
    assert receipt["inputs"]["account"]["equity"] == "nan"
    assert math.isnan(restore(receipt, world.journal.inputs, no_policy).inputs.state.equity)
    assert_replays(world, receipt)


@pytest.mark.parametrize(
    "edit",
    [
        lambda receipt: receipt["inputs"]["account"].update(equity=1e6),
        lambda receipt: receipt["rules"]["limits"].update(position_cap=0.5),
        lambda receipt: receipt["clock"].update(at="2024-01-01T00:00:00+00:00"),
    ],
)
def test_a_receipt_whose_inputs_were_edited_is_refused(
    tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    world = DecisionWorld(tmp_path)
    receipt = json.loads(json.dumps(world.execute().receipt))
    edit(receipt)
    with pytest.raises(InvalidValue, match="was edited"):
        restore(receipt, world.journal.inputs, no_policy)


def test_a_content_that_is_missing_or_changed_is_named(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    receipt = world.execute().receipt
    digest = receipt["inputs"]["candles"]["sha256"]
    contents = dict(world.journal.inputs([digest]))
    with pytest.raises(NotStored, match="is not stored"):
        restore(receipt, read_from(contents), no_policy)
    contents[digest] = contents[digest].replace(b"open", b"OPEN")
    with pytest.raises(InvalidValue, match=f"{digest[:12]} was changed"):
        restore(receipt, read_from(contents), no_policy)


def test_a_receipt_of_before_inputs_were_recorded_is_refused_by_name() -> None:
    with pytest.raises(NotStored, match="abc: its receipt does not have all of its inputs"):
        restore({"decision_id": "abc"}, read_from({}), no_policy)


def test_windows_that_end_one_candle_apart_share_every_part_but_the_ends(tmp_path: Path) -> None:
    candles = DecisionWorld(tmp_path).all_candles
    span = timedelta(hours=128)
    first, second = (
        record_table(candles[start : start + 1000], "open_time", span).contents for start in (0, 1)
    )
    assert len(set(first) - set(second)) <= 3  # the root, the oldest part and the newest


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, NUMBERS, st.integers(0, 400)), max_size=12))
def test_any_table_comes_back_as_it_was(rows: list[tuple[str, str, float, int]]) -> None:
    start = pl.datetime(2024, 1, 1, time_zone="UTC", time_unit="us")
    table = (
        pl.DataFrame(rows, {"a": pl.String, "b": pl.String, "c": pl.Float64, "d": pl.Int64}, orient="row")
        .sort("d")
        .select(
            article_id="a", asset="b", known_at=start + pl.duration(days="d"), score="c", confidence="c",
            model="a", prompt_hash="b", cost_usd=pl.lit(0.0),
        )
        .cast(dict(SENTIMENT_SCHEMA))
    )  # fmt: skip
    recorded = record_table(table, "known_at", timedelta(days=32))
    assert restore_table(recorded.digest, recorded.contents, SENTIMENT_SCHEMA).equals(table)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    recorded = record_table(DecisionWorld(tmp_path).all_candles, "open_time", timedelta(hours=128))
    assert restore_table(recorded.digest, recorded.contents, CANDLE_SCHEMA).height == 1003
    with pytest.raises(InvalidValue, match="other columns"):
        restore_table(recorded.digest, recorded.contents, SENTIMENT_SCHEMA)
