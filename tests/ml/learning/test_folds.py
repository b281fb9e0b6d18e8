from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.learning.folds import Fold, build_fold
from ml.learning.folds import testable_months as months_with_all_training
from trading.errors import InvalidValue, NotStored
from trading.market import TIME, Timeframe, months_between

YEARS = months_between(date(2019, 1, 1), date(2021, 12, 1))
HOURS = [datetime(2019, 12, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24 * 150)]
TABLE = pl.DataFrame({"open_time": pl.Series(HOURS, dtype=TIME)}).with_columns(
    close_time=pl.col("open_time") + timedelta(hours=1)
)


@given(st.integers(1, 3), st.integers(0, 200))
@settings(deadline=None, max_examples=30)
def test_training_ends_an_embargo_before_the_test_begins(train_months: int, embargo: int) -> None:
    cut = build_fold(date(2020, 4, 1), YEARS, train_months, embargo, Timeframe.H1)
    training, testing = cut.training_rows(TABLE), cut.test_rows(TABLE)
    assert testing["open_time"][0] - training["close_time"][-1] == timedelta(hours=embargo)
    assert training["open_time"][0] == datetime(2020, 4 - train_months, 1, tzinfo=UTC)
    assert training.height + embargo == sum(
        (month.replace(month=month.month + 1) - month).days * 24 for month in cut.training_months
    )


def test_no_row_is_trained_and_tested_on() -> None:
    cut = build_fold(date(2020, 2, 1), YEARS, 2, 0, Timeframe.H1)
    assert cut.training_rows(TABLE).join(cut.test_rows(TABLE), on="open_time").is_empty()
    assert cut.test_rows(TABLE).height == 29 * 24


def test_a_month_that_is_not_stored_is_named_and_not_skipped() -> None:
    with pytest.raises(NotStored, match="missing: 2020-02"):
        build_fold(date(2020, 4, 1), [date(2020, 1, 1), date(2020, 3, 1)], 3, 24, Timeframe.H1)


def test_an_embargo_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InvalidValue, match="embargo_candles"):
        build_fold(date(2020, 4, 1), YEARS, 1, 31 * 24, Timeframe.H1)


def test_only_months_with_all_their_training_months_can_be_tested() -> None:
    months = [month for month in YEARS if month != date(2020, 6, 1)]
    assert months_with_all_training(months, 12)[:6] == [date(2020, month, 1) for month in (1, 2, 3, 4, 5)] + [
        date(2021, 7, 1)
    ]


def test_a_fold_survives_the_way_through_json() -> None:
    cut = build_fold(date(2020, 4, 1), YEARS, 3, 24, Timeframe.H1)
    assert Fold.from_json(cut.as_json()) == cut
