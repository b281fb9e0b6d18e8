"""What a user waits for is measured from real processes, and chosen by name."""

import json
import sys

import pytest

import benchmarks.__main__ as bench
from benchmarks import user_waits
from benchmarks.row import row
from benchmarks.user_home import Cost, user_home

GRANDCHILD = "data = bytearray(150 * 2**20); import time; time.sleep(1.0)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"


def test_time_and_memory_are_those_of_the_whole_process_tree() -> None:
    with user_home() as home:
        cost = home.run_program([sys.executable, "-c", CHILD])
    assert cost.seconds > 1.0
    assert 150 < cost.mebibytes < 400


def test_a_program_that_fails_is_no_measurement_and_its_last_words_are_told() -> None:
    with user_home() as home, pytest.raises(RuntimeError, match="ended with 3: it broke"):
        home.run_program([sys.executable, "-c", "print('it broke'); raise SystemExit(3)"])


def test_nothing_is_left_of_a_home() -> None:
    with user_home() as home:
        home.folder.mkdir()
    assert not home.folder.parent.exists()


def test_a_group_names_all_its_benchmarks_and_an_unknown_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def result(name: str) -> list[dict[str, str]]:
        return [{"id": name}]

    names = ("waits/one", "waits/two", "other")
    monkeypatch.setattr(bench, "BENCHMARKS", {name: lambda name=name: result(name) for name in names})
    assert bench.main(["waits", "waits/one"]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == [
        "waits/one",
        "waits/two",
    ]
    assert bench.main(["wait"]) == 2
    assert "no benchmark wait; there are waits/one, waits/two, other" in capsys.readouterr().err


def test_a_missing_peer_is_named_and_has_no_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(user_waits._waits("w", "what", lambda: Cost(2.0, 100.0), "none", ("peer", lambda: None)))
    assert [each["unit"] for each in rows] == ["s", "MiB"]
    assert {each["ratio"] for each in rows} == {None}
    assert "not installed" in rows[0]["peer"]
    beside = list(
        user_waits._waits("w", "what", lambda: Cost(2.0, 100.0), "none", ("peer", lambda: Cost(6.0, 50.0)))
    )
    assert [each["ratio"] for each in beside] == [3.0, 0.5]


def test_more_is_better_only_for_rates() -> None:
    assert row("i", "w", 10.0, "frames/s", "p", 5.0, target="none")["ratio"] == 2.0
    assert row("i", "w", 10.0, "s", "p", 5.0, target="none")["ratio"] == 0.5


def test_every_wait_can_be_chosen_alone() -> None:
    assert set(user_waits.BENCHMARKS) <= set(bench.BENCHMARKS)
