"""What a decision reads of the candles is what the store would say, read once."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml.decision.remembered_candles import RememberedCandles
from tests.ml.decision.decision_world import DecisionWorld
from tests.ml.decision.trading_day import PAIR
from trading.market import Pair

ROWS, HOUR = 50, timedelta(hours=1)


class Counting:
    """A store that counts how often it is read."""

    def __init__(self, inner: Any, longest: int = 10_000) -> None:
        self.inner, self.longest, self.tails = inner, longest, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def tail(self, pair: Pair, until: datetime, rows: int) -> pl.DataFrame:
        self.tails += 1
        if rows > self.longest:
            raise OSError("an older month is unreadable")
        found: pl.DataFrame = self.inner.tail(pair, until, rows)
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> DecisionWorld:
    return DecisionWorld(tmp_path_factory.mktemp("world"))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 1010)), min_size=1, max_size=8))
def test_every_window_is_that_of_the_store(world: DecisionWorld, asked: list[tuple[int, int]]) -> None:
    remembered = RememberedCandles(world.table, world.newest, ROWS)
    for hours, rows in asked:
        until = world.newest - hours * HOUR
        assert remembered.tail(PAIR, until, rows).equals(world.table.tail(PAIR, until, rows))


def test_windows_of_one_moment_are_parts_of_one_reading(world: DecisionWorld) -> None:
    store = Counting(world.table)
    remembered = RememberedCandles(store, world.newest, ROWS)
    for rows in (2, 1, ROWS, 10):
        remembered.tail(PAIR, world.newest, rows)
    assert store.tails == 1


def test_older_rows_that_cannot_be_read_stop_nobody_who_needs_the_newest_alone(world: DecisionWorld) -> None:
    remembered = RememberedCandles(Counting(world.table, longest=10), world.newest, ROWS)
    assert remembered.tail(PAIR, world.newest, 2).height == 2
    with pytest.raises(OSError, match="unreadable"):
        remembered.tail(PAIR, world.newest, ROWS)


def test_a_decision_reads_the_candles_of_its_moment_once_per_pair(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    store = Counting(world.table)
    market = world.reader.for_one_decision(world.newest).market.remembering(world.newest)
    assert market.candles is not world.table
    remembered = RememberedCandles(store, world.newest, market.feature_rows + 1)
    reader = type(market)(market.universe, remembered, market.news, market.costs, 24.0)
    reader.feature_window(PAIR, world.newest)
    reader.last_close(PAIR, world.newest)
    reader.correlation(PAIR, PAIR, world.newest)
    assert store.tails == 1
