"""Rows around an unrepaired feed gap: never trained on, never evaluated; without a gap nothing changes by a bit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.learning.env import EpisodeMarket, TradingEnv
from ml.learning.evaluation import evaluate
from ml.learning.manifest import Manifest
from ml.learning.masking import CANDLES_OF_REWARD, masked_rows, reach, stretches
from ml.learning.observation import Normaliser
from ml.learning.training import TrainingData, train
from ml.learning.training_job import build_manifest, training_data
from ml.learning.training_request import TrainingRequest
from ml.learning.vector_env import BatchedTradingEnv
from tests.ml.learning.folds_of_candles import COSTS, NAMES, TINY, data, policy, request, table
from trading.errors import InvalidValue
from trading.indicators import POLICY_FEATURES
from trading.market import TIME, Timeframe

HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1, tzinfo=UTC)


def hours(count: int, without: frozenset[int] = frozenset()) -> pl.Series:
    opens = [START + number * HOUR for number in range(count) if number not in without]
    return pl.Series("open_time", opens, dtype=TIME)


def test_the_window_of_a_row_reaches_as_far_as_its_slowest_feature() -> None:
    assert reach(["signal"], Timeframe.H1) == 0
    assert reach(["signal", "rsi_14"], Timeframe.H1) < reach(POLICY_FEATURES, Timeframe.H1) == 263


def test_rows_whose_window_or_reward_touches_a_gap_are_masked_and_no_others() -> None:
    gap = (START + 500 * HOUR + HOUR / 3, START + 500 * HOUR + HOUR / 2)
    masked = masked_rows(hours(2000), Timeframe.H1, POLICY_FEATURES, [gap])
    assert np.flatnonzero(masked).tolist() == list(range(500 - CANDLES_OF_REWARD + 1, 500 + 263 + 1))
    assert not masked_rows(hours(2000), Timeframe.H1, POLICY_FEATURES, []).any()


def test_where_candles_are_missing_a_window_of_rows_reaches_further_back() -> None:
    gap = (START + 500 * HOUR, START + 501 * HOUR)
    opens = hours(2000, frozenset(range(600, 650)))
    last = opens[int(np.flatnonzero(masked_rows(opens, Timeframe.H1, POLICY_FEATURES, [gap]))[-1])]
    assert last == START + (500 + 263 + 50) * HOUR


@given(st.lists(st.booleans(), max_size=30))
def test_stretches_are_the_runs_of_rows_that_are_left(masked: list[bool]) -> None:
    found = stretches(np.array(masked, dtype=np.bool_))
    assert [row for part in found for row in range(part.start, part.stop)] == [
        row for row, each in enumerate(masked) if not each
    ]
    assert all(part.stop == len(masked) or masked[part.stop] for part in found)
    assert all(part.start == 0 or masked[part.start - 1] for part in found)


def gapped(episode: int, *gaps: tuple[int, int]) -> tuple[EpisodeMarket, TrainingData, np.ndarray[Any, Any]]:
    """Return a market of 300 rows with feed gaps, and the numbers of the rows that are left."""
    rows = table().head(300)
    times = rows["open_time"]
    unrepaired = [(times[since] + HOUR / 4, times[until] + HOUR / 2) for since, until in gaps]
    masked = masked_rows(times, Timeframe.H1, NAMES, unrepaired)
    made = TrainingData.of(rows, NAMES, COSTS, masked)
    normaliser = Normaliser.fit(made.features, NAMES)
    market = EpisodeMarket.of(
        made.features, made.opens, made.closes, COSTS, normaliser, episode, stretch=made.stretch
    )
    return market, made, np.flatnonzero(~masked)


@pytest.mark.parametrize("episode", [1, 5, 40])
def test_no_episode_visits_a_masked_row_or_earns_across_a_gap(episode: int) -> None:
    market, made, left = gapped(episode, (60, 61), (150, 170))
    assert market.start_rows is not None
    assert made.masked_rows == 300 - len(left)
    for start in market.start_rows:
        # Rewards of an episode are marked at the row behind its last one.
        visited = left[start : start + episode + 2]
        assert np.array_equal(visited, np.arange(visited[0], visited[0] + len(visited))), start
        assert len(visited) >= episode + 1
    assert len(market.start_rows) == sum(
        1
        for start in range(len(left) - episode)
        if left[min(start + episode + 1, len(left) - 1)] - left[start]
        == min(start + episode + 1, len(left) - 1) - start
    )


def test_environments_start_only_where_an_episode_stays_before_or_behind_the_gap() -> None:
    market, _, _ = gapped(20, (60, 61), (150, 170))
    assert market.start_rows is not None
    allowed = set(market.start_rows.tolist())
    batch = BatchedTradingEnv(market, 64, 3)
    seen = set()
    for _ in range(20):
        batch.reset()
        seen |= set(batch._rows.tolist())
    single = TradingEnv(market)
    for seed in range(100):
        single.reset(seed=seed)
        seen.add(single._row)
    assert seen <= allowed
    assert len(seen) > len(allowed) / 2


def test_gaps_that_leave_no_room_for_an_episode_are_an_error_that_says_so() -> None:
    with pytest.raises(InvalidValue, match="fits between the unrepaired feed gaps"):
        gapped(200, (100, 101), (200, 201))


def test_without_a_gap_rows_digest_starts_and_weights_are_what_they_were() -> None:
    rows = request().fold.training_rows(table())
    masked = np.zeros(rows.height, dtype=np.bool_)
    made = TrainingData.of(rows, NAMES, COSTS, masked)
    assert made.stretch is None
    assert made.digest() == data().digest()
    normaliser = Normaliser.fit(made.features, NAMES)
    market = EpisodeMarket.of(made.features, made.opens, made.closes, COSTS, normaliser, 10)
    split = replace(market, start_rows=np.arange(market.starts))
    ours, theirs = BatchedTradingEnv(market, 32, 7), BatchedTradingEnv(split, 32, 7)
    for _ in range(3):
        ours.reset(), theirs.reset()
        assert np.array_equal(ours._rows, theirs._rows)


def test_a_gap_changes_the_digest_of_the_rows_and_the_policy_says_which_share_was_masked(
    tmp_path: Path,
) -> None:
    whole = written(tmp_path, request())
    rows = whole.fold.training_rows(table())
    at = rows["open_time"][rows.height // 2]
    holed = replace(whole, unrepaired=((at, at + HOUR),))
    assert TrainingRequest.from_json(holed.as_json()) == holed
    made = training_data(holed)
    assert made.masked_rows == CANDLES_OF_REWARD
    assert made.digest() != training_data(whole).digest()
    trained = train(made, TINY, lambda _: None)
    manifest = build_manifest(holed, made, trained)
    assert manifest.masked_share == made.masked_rows / rows.height
    named = replace(manifest, policy_id=manifest.identity())
    assert Manifest.from_json(named.as_json()).masked_share == manifest.masked_share


def test_the_manifest_of_a_policy_without_a_gap_has_no_word_of_it(tmp_path: Path) -> None:
    manifest = policy(tmp_path).manifest
    assert manifest.masked_share == 0.0
    assert "masked_share" not in manifest.as_json()
    assert Manifest.from_json(manifest.as_json()) == manifest


def written(folder: Path, wanted: TrainingRequest) -> TrainingRequest:
    table().write_parquet(folder / "rows.parquet")
    return replace(wanted, tables=(folder / "rows.parquet",))


def test_an_evaluation_leaves_out_what_a_gap_touches_and_begins_flat_behind_it(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    month = table().filter(pl.col("open_time").dt.month() == loaded.manifest.test_month.month)
    gap = (month["open_time"][300] + HOUR / 4, month["open_time"][310])
    whole, holed = (evaluate(loaded, table(), table(), COSTS, gaps) for gaps in ((), (gap,)))
    before, behind = 300 - CANDLES_OF_REWARD + 1, 310
    assert holed.masked == behind - before
    assert holed.candles == whole.candles - holed.masked
    assert holed.curves is not None
    assert set(holed.curves["close_time"]) == set(month["close_time"]) - set(
        month["close_time"][before:behind]
    )
    parts = [
        evaluate(loaded, table(), table().filter(inside), COSTS)
        for inside in (
            pl.col("open_time") < month["open_time"][before],
            pl.col("open_time") >= month["open_time"][behind],
        )
    ]
    for name in ("policy", "buy_and_hold", "cash"):
        growth = [1 + getattr(part, name).total_return for part in parts]
        assert getattr(holed, name).total_return == pytest.approx(growth[0] * growth[1] - 1, rel=1e-12)
        assert getattr(holed, name).trades == sum(getattr(part, name).trades for part in parts)
    assert 1 + holed.market_return == pytest.approx(
        (1 + parts[0].market_return) * (1 + parts[1].market_return)
    )
    assert holed.coverage < whole.coverage


def test_an_evaluation_without_a_gap_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    elsewhere = (datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 1, 2, tzinfo=UTC))
    plain, masked = (evaluate(loaded, table(), table(), COSTS, gaps) for gaps in ((), (elsewhere,)))
    assert plain == masked
    assert plain.as_json() == masked.as_json()


def test_a_month_that_gaps_touch_everywhere_cannot_be_tested_on(tmp_path: Path) -> None:
    loaded = policy(tmp_path)
    always = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidValue, match="nothing is left to test on"):
        evaluate(loaded, table(), table(), COSTS, (always,))
