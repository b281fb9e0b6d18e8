"""Which stretch of imported history a demo shows."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from orchestration.commands.demo_window import JudgedMonths, choose_window
from trading.importers.common_window import CommonWindow
from trading.market import Timeframe
from trading.ports import ARTICLE_SCHEMA

SIX = JudgedMonths(folds=6, coverage=0.95)
THREE_DAYS = timedelta(days=3)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(start: str, end: str, timeframe: Timeframe = Timeframe.H1) -> CommonWindow:
    return CommonWindow("binance", timeframe, day(start), day(end))


class News:
    """An article on each of these days, at ten past nine."""

    refused: tuple[str, ...] = ()

    def __init__(self, first: str, count: int) -> None:
        self._known = [day(first) + timedelta(days=n, hours=9, minutes=10) for n in range(count)]

    def articles(self, start: datetime, end: datetime) -> pl.DataFrame:
        inside = [time for time in self._known if start <= time < end]
        columns = {
            name: inside if kind.is_temporal() else [False if kind == pl.Boolean else "x"] * len(inside)
            for name, kind in ARTICLE_SCHEMA.items()
        }
        return pl.DataFrame(columns, schema=ARTICLE_SCHEMA)


LONG, SHORT, RECENT = (
    window("2018-05-04", "2020-02-21"),
    window("2021-02-22", "2021-05-12"),
    window("2021-06-16", "2022-05-01"),
)


def test_without_news_the_longest_window_is_shown() -> None:
    assert choose_window([SHORT, LONG, RECENT], None, SIX, THREE_DAYS) == LONG


def test_the_window_with_most_news_wins_over_a_longer_one() -> None:
    news = News("2021-10-12", 200)
    assert choose_window([SHORT, LONG, RECENT], news, SIX, THREE_DAYS) == RECENT


def test_a_window_too_short_for_the_gate_loses_whatever_its_news() -> None:
    assert choose_window([SHORT, LONG], News("2021-03-01", 60), SIX, THREE_DAYS) == LONG


def test_the_window_ends_where_its_news_end_so_that_the_analyst_votes() -> None:
    chosen = choose_window([LONG], News("2019-01-01", 140), SIX, THREE_DAYS)
    last = day("2019-01-01") + timedelta(days=139, hours=9, minutes=10)
    assert chosen.start == LONG.start
    assert last < chosen.end - Timeframe.H1.duration < last + Timeframe.H1.duration


def test_news_up_to_the_end_cut_nothing_off() -> None:
    assert choose_window([RECENT], News("2021-10-12", 199), SIX, THREE_DAYS) == RECENT


def test_a_last_month_that_ended_early_is_not_whole_and_one_that_lacks_an_hour_is() -> None:
    whole = SIX.whole(day("2018-05-04"), day("2019-05-24"))
    assert (whole[0], whole[-1]) == (date(2018, 5, 1), date(2019, 4, 1))
    assert SIX.whole(day("2021-06-16"), day("2022-05-01") - timedelta(hours=1))[-1] == date(2022, 4, 1)


@pytest.mark.parametrize(
    ("end", "months"),
    [("2019-05-24", 6), ("2020-02-21", 12), ("2019-01-01", 2), ("2018-08-01", 2)],
)
def test_a_policy_learns_from_fewer_months_where_the_gates_months_would_not_fit_in(
    end: str, months: int
) -> None:
    assert SIX.training_months(12, day("2018-05-04"), day(end)) == months
