"""Killed, stopped, refused: a clear message, a non-zero exit code, and the next run works without manual cleaning."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.small_world import SmallWorld, receipts, small_world
from tests.services import needs

pytestmark = pytest.mark.xdist_group("interruptions")
SMALL_RUN = {"MARKETLOOM__POLICY__TOTAL_TIMESTEPS": "4096"}


@pytest.fixture
def world() -> Iterator[SmallWorld]:
    with small_world() as each:
        yield each


def test_killed_then_stopped_it_says_so_and_the_next_run_works(world: SmallWorld) -> None:
    _postgres_is_killed_among_the_features(world)
    _ctrl_c_in_the_middle_of_a_training(world)
    finished = world.run("demo", "--quick", **SMALL_RUN)
    assert finished.code == 0, finished.said
    assert len(receipts(world)) >= 3
    assert _unfinished_runs(world) == []


def _postgres_is_killed_among_the_features(world: SmallWorld) -> None:
    demo = world.start("demo", "--quick", **SMALL_RUN)
    demo.wait_for("features of")
    os.kill(int((world.home / "postgres" / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    ended = demo.end()
    assert ended.code == 1, ended.said
    assert "PostgreSQL" in ended.said
    assert "run the same command again" in ended.said or "nothing committed is lost" in ended.said
    assert "Traceback" not in ended.said


def _ctrl_c_in_the_middle_of_a_training(world: SmallWorld) -> None:
    """Which is the run after a killed server: it gets this far."""
    endless = world.start("demo", MARKETLOOM__POLICY__TOTAL_TIMESTEPS="1000000")
    endless.wait_for("frames, mean reward")
    endless.interrupt()
    ended = endless.end()
    assert ended.code == 130, ended.said
    assert "run the same command again" in ended.said
    assert "Traceback" not in ended.said
    assert list((world.home / "policies").rglob("manifest.json")) == []
    assert world.processes() == []


def _unfinished_runs(world: SmallWorld) -> list[str]:
    unfinished: list[str] = world.python(
        "print(json.dumps([r.run_id for r in instance.get_runs() if not r.is_finished]))"
    )
    return unfinished


def test_dev_serves_the_ui_and_leaves_nothing_behind(world: SmallWorld) -> None:
    port = _free_port()
    served = world.start("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    served.wait_for(f"open http://127.0.0.1:{port}")
    _wait_until_it_answers(port)
    served.interrupt()
    assert served.end().code == 0
    assert world.processes() == []


@pytest.mark.service
def test_a_browser_shows_the_asset_graph(world: SmallWorld, tmp_path: Path) -> None:
    chromium = needs("chromium")
    port = _free_port()
    served = world.start("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    _wait_until_it_answers(port)
    groups = ("market", "features", "news", "learning", "trading")
    address = f"http://127.0.0.1:{port}/asset-groups"
    for _ in range(LOOKS):
        seen = _page(chromium, address, tmp_path)
        if all(group in seen for group in groups):
            break
    served.interrupt()
    served.end()
    assert [group for group in groups if group not in seen] == []


def _page(chromium: str, address: str, profile: Path) -> str:
    """As the browser shows it after half a minute of its own time, which ends early when the machine is busy."""
    command = [chromium, *BROWSER, f"--user-data-dir={profile}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout


LOOKS = 5
BROWSER = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
           "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=30000")  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(port: int) -> None:
    import httpx

    for _ in range(600):
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=5).status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail("the UI never answered")


def test_a_port_in_use_is_named_with_the_way_out(world: SmallWorld) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = world.run("dev", MARKETLOOM__DAGSTER__PORT=str(port))
    assert ended.code == 1
    assert f"127.0.0.1:{port}" in ended.said
    assert "MARKETLOOM__DAGSTER__PORT" in ended.said


def test_a_home_that_cannot_be_written_is_named_with_the_way_out(world: SmallWorld) -> None:
    world.home.write_text("a file where the folder should be")
    ended = world.run("demo", "--quick")
    assert ended.code == 1
    assert str(world.home) in ended.said
    assert "MARKETLOOM_HOME" in ended.said


def test_a_typo_in_the_settings_stops_every_command_with_file_and_key(world: SmallWorld) -> None:
    world.config.write_text(world.config.read_text().replace("position_cap", "position_cup"))
    for command in (["demo"], ["status"], ["dev"], ["doctor"]):
        ended = world.run(*command)
        assert ended.code == 1
        assert str(world.config) in ended.said
        assert "position_cup is not a known key" in ended.said


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.parquet", b"PAR1 not really", "broken.parquet"),
        ("empty.csv", b"", "is empty"),
        ("people.csv", b"name,age\nada,36\n", "Known formats"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(
    world: SmallWorld, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    ended = world.run("import", str(tmp_path / name))
    assert ended.code == 1
    assert said in ended.said
    refused = world.run("import", str(tmp_path / name), "--json").json()
    assert refused["refused_reason"]
    assert refused["rows_stored"] == 0
