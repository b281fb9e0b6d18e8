"""Pauses between connections, and a budget that all processes share."""

import multiprocessing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.connection.attempts import INSTANT, Attempts, Budget, Ending, budget_of
from tests.streaming.session.session_fakes import RULES, FakeFeed
from trading.errors import InvalidValue, UnusableHome

TEN = replace(RULES, attempts=10, window=timedelta(seconds=100))  # 8 of which are ours
DROPPED, REFUSED = Ending(opened=True, lived=1), Ending(opened=False)
SLOW = replace(RULES, first_pause=timedelta(seconds=5))


def attempts(seed: int = 1, rules: object = RULES) -> Attempts:
    return Attempts(rules, Random(seed))  # type: ignore[arg-type]


def test_a_few_drops_are_followed_by_an_attempt_at_once() -> None:
    one = attempts()
    pauses = [one.pause(DROPPED) for _ in range(INSTANT + 1)]
    assert pauses[:INSTANT] == [0.0] * INSTANT
    assert pauses[INSTANT] > 0


def test_a_venue_that_is_not_there_is_not_asked_at_once() -> None:
    assert attempts().pause(REFUSED) > 0


def test_a_venue_that_wants_a_pause_before_each_attempt_gets_it() -> None:
    one = attempts(rules=SLOW)
    assert all(one.pause(DROPPED) >= 5 for _ in range(10))


@given(st.integers(0, 2**32), st.integers(1, 50))
def test_pauses_lie_between_nothing_and_a_bound_that_doubles_up_to_the_longest(seed: int, count: int) -> None:
    one = attempts(seed)
    for number in range(count):
        assert 0 <= one.pause(REFUSED) <= min(0.5 * 2**number, 60)


def test_pauses_of_different_processes_differ() -> None:
    assert attempts(1).pause(REFUSED) != attempts(2).pause(REFUSED)


def test_thousands_of_failures_do_not_overflow() -> None:
    one = attempts()
    assert max(one.pause(REFUSED) for _ in range(5_000)) <= 60


def test_a_connection_that_lived_for_a_while_makes_the_next_failure_the_first() -> None:
    one = attempts()
    for _ in range(20):
        one.pause(REFUSED)
    assert one.pause(Ending(opened=True, lived=61)) == 0.0


def test_maintenance_is_given_its_time_also_after_a_good_connection() -> None:
    assert attempts().pause(Ending(opened=True, lived=1_000, maintenance=True)) >= 5


def test_the_venues_own_word_on_how_long_to_wait_is_the_least() -> None:
    assert attempts().pause(Ending(opened=False, least=30)) >= 30


def test_a_fifth_of_the_budget_is_left_to_others(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "fake", TEN)
    assert [budget.take(1_000.0 + n) for n in range(8)] == [0.0] * 8
    assert budget.take(1_010.0) == 90.0


def test_an_attempt_is_free_again_when_its_window_has_passed(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "fake", TEN)
    for n in range(8):
        budget.take(1_000.0 + n)
    assert budget.take(1_100.0) == 0.0
    assert budget.take(1_100.0) == 1.0


def test_asking_costs_nothing(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "fake", TEN)
    for n in range(8):
        budget.take(1_000.0 + n)
    for _ in range(50):
        budget.take(1_050.0)
    assert budget.take(1_100.0) == 0.0


def test_a_budget_of_one_attempt_still_allows_one(tmp_path: Path) -> None:
    assert Budget(tmp_path, "fake", replace(RULES, attempts=1)).take(0.0) == 0.0


MANY = replace(RULES, attempts=250)  # 200 of which are ours


def _take_all(folder: Path, name: str) -> None:
    budget = Budget(folder, "fake", MANY)
    (folder / f"ready-{name}").touch()
    while len(list(folder.glob("ready-*"))) < 2:
        pass
    (folder / f"taken-{name}").write_text(str(sum(budget.take(1_000.0) == 0.0 for _ in range(150))))


def test_processes_that_connect_at_once_share_one_budget(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_take_all, args=(tmp_path, name), daemon=True) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sum(int(file.read_text()) for file in tmp_path.glob("taken-*")) == 200


def test_a_clock_that_is_set_back_neither_frees_nor_blocks_for_longer_than_the_window(tmp_path: Path) -> None:
    budget = Budget(tmp_path, "fake", TEN)
    for _ in range(8):
        budget.take(1_000_000.0)
    assert budget.take(1_000.0) == 100.0
    assert budget.take(1_099.0) == 1.0
    assert budget.take(1_100.0) == 0.0


@pytest.mark.parametrize("line", ["rubbish", "nan", "inf", "-inf", "\xff"])
def test_a_line_that_nobody_can_read_counts_as_an_attempt(tmp_path: Path, line: str) -> None:
    (tmp_path / "fake.attempts").write_bytes("\n".join([line] * 8).encode("latin-1"))
    budget = Budget(tmp_path, "fake", TEN)
    assert budget.take(1_000.0) == 100.0
    assert budget.take(1_100.0) == 0.0


def test_a_folder_that_cannot_be_used_is_an_error_not_an_empty_budget(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableHome, match=r"fake\.attempts counts the connections"):
        Budget(tmp_path / "file", "fake", TEN).take(0.0)


def test_a_budget_of_a_strange_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="allowed are"):
        Budget(tmp_path, "../fake", TEN)


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("wss://ws.kraken.com/v2", "fake-kraken.com.attempts"),
        ("wss://ws-auth.kraken.com/v2", "fake-kraken.com.attempts"),
        ("ws://127.0.0.1:8080/v2?api_key=secret", "fake-127.0.0.1.attempts"),
        ("ws://[::1]:8080/", "fake---1.attempts"),
    ],
)
def test_the_end_points_of_a_venue_share_a_budget_and_localhost_has_its_own(
    tmp_path: Path, address: str, file: str
) -> None:
    feed = FakeFeed()
    feed.url = address
    budget_of(feed, tmp_path).take(0.0)
    assert (tmp_path / file).exists()


def test_an_address_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    feed = FakeFeed()
    feed.url = "ws://[::1/"
    with pytest.raises(InvalidValue, match="cannot be read"):
        budget_of(feed, tmp_path)
