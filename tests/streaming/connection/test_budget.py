"""The connection budget that all processes share."""

import multiprocessing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from streaming.connection.budget import ConnectionBudget, budget_for
from tests.streaming.session.session_fakes import RULES, FakeFeed
from trading.errors import InvalidValue, UnusableHome

TEN = replace(RULES, max_attempts=10, window=timedelta(seconds=100))  # 8 of which are ours


def test_a_fifth_of_the_budget_is_left_to_others(tmp_path: Path) -> None:
    budget = ConnectionBudget(tmp_path, "fake", TEN)
    assert [budget.take(1_000.0 + n) for n in range(8)] == [0.0] * 8
    assert budget.take(1_010.0) == 90.0


def test_an_attempt_is_free_again_when_its_window_has_passed(tmp_path: Path) -> None:
    budget = ConnectionBudget(tmp_path, "fake", TEN)
    for n in range(8):
        budget.take(1_000.0 + n)
    assert budget.take(1_100.0) == 0.0
    assert budget.take(1_100.0) == 1.0


def test_asking_while_the_budget_is_used_up_costs_nothing(tmp_path: Path) -> None:
    budget = ConnectionBudget(tmp_path, "fake", TEN)
    for n in range(8):
        budget.take(1_000.0 + n)
    for _ in range(50):
        budget.take(1_050.0)
    assert budget.take(1_100.0) == 0.0


def test_a_budget_of_one_attempt_still_allows_one(tmp_path: Path) -> None:
    assert ConnectionBudget(tmp_path, "fake", replace(RULES, max_attempts=1)).take(0.0) == 0.0


MANY = replace(RULES, max_attempts=250)  # 200 of which are ours


def _take_all(folder: Path, name: str) -> None:
    budget = ConnectionBudget(folder, "fake", MANY)
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
    budget = ConnectionBudget(tmp_path, "fake", TEN)
    for _ in range(8):
        budget.take(1_000_000.0)
    assert budget.take(1_000.0) == 100.0
    assert budget.take(1_099.0) == 1.0
    assert budget.take(1_100.0) == 0.0


@pytest.mark.parametrize("line", ["rubbish", "nan", "inf", "-inf", "\xff"])
def test_an_unreadable_line_counts_as_an_attempt(tmp_path: Path, line: str) -> None:
    (tmp_path / "fake.attempts").write_bytes("\n".join([line] * 8).encode("latin-1"))
    budget = ConnectionBudget(tmp_path, "fake", TEN)
    assert budget.take(1_000.0) == 100.0
    assert budget.take(1_100.0) == 0.0


def test_a_folder_that_cannot_be_used_is_an_error_not_an_empty_budget(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableHome, match=r"fake\.attempts counts the connections"):
        ConnectionBudget(tmp_path / "file", "fake", TEN).take(0.0)


def test_a_budget_with_an_invalid_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="allowed are"):
        ConnectionBudget(tmp_path, "../fake", TEN)


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
    budget_for(feed, tmp_path).take(0.0)
    assert (tmp_path / file).exists()


def test_an_address_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    feed = FakeFeed()
    feed.url = "ws://[::1/"
    with pytest.raises(InvalidValue, match="cannot be read"):
        budget_for(feed, tmp_path)
