"""The supervisor of `marketloom dev` over small servers: whatever ends first, nothing is left running."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from orchestration.commands.supervisor import GRACE, Plan, Server
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.processes import command_line, is_alive

ROOT = Path(__file__).parents[3]
READY = "open http://127.0.0.1:3000"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; signal.pause()'])"
SLEEPER = "import signal; signal.pause()"
BROKEN = "import sys; print('Traceback'); sys.exit('no such table: runs')"


def plan(
    folder: Path, *programs: str, embedded: bool = False, ready: str | tuple[str, int] | None = None
) -> Plan:
    servers = [
        Server(name=f"server {number}", command=[sys.executable, "-c", program],
               log=str(folder / "logs" / f"{number}.log"), ready=ready)
        for number, program in enumerate(programs)
    ]  # fmt: skip
    return Plan(str(folder), embedded, servers, startup_timeout=0.5, announcement=READY)


@contextmanager
def supervisor(chosen: Plan) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "orchestration.commands.supervisor", chosen.as_json()]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            for each in members(process.pid):
                each.kill()
            process.kill()


def output(process: subprocess.Popen[str]) -> str:
    """Return everything that it prints until it ends; its standard input stays open."""
    assert process.stdout
    text = process.stdout.read()
    process.wait()
    return text


def members(group: int) -> list[psutil.Process]:
    found = []
    for each in psutil.process_iter(["status"]):
        try:
            if os.getpgid(each.pid) == group and each.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(each)
        except ProcessLookupError:
            continue
    return found


def wait_until_gone(group: int) -> None:
    while left := members(group):
        psutil.wait_procs(left, timeout=0.1)


def wait_for_members(group: int, count: int) -> None:
    while len(members(group)) < count:
        time.sleep(0.02)


def test_when_the_parent_goes_the_servers_and_what_they_started_go_too(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, PARENT, SLEEPER)) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        wait_for_members(process.pid, 4)  # the supervisor, two servers and a grandchild
        assert process.stdin
        process.stdin.close()  # what the kernel does when the parent is killed
        assert process.wait() == 0
        assert members(process.pid) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere `dev` alone ends what the supervisor leaves")
def test_when_the_supervisor_is_killed_its_servers_end_by_themselves(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, SLEEPER, SLEEPER)) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        process.kill()
        wait_until_gone(process.pid)


def test_a_server_that_ends_is_one_sentence_with_its_last_words(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, SLEEPER, BROKEN)) as process:
        text = output(process)
        assert process.returncode == 1
        [sentence] = [line for line in text.splitlines() if line != READY]
        assert sentence.startswith(
            "error: the server 1 ended with exit code 1 (no such table: runs): everything was stopped"
        )
        assert str(tmp_path / "logs" / "1.log") in sentence
        assert members(process.pid) == []


def test_a_server_that_is_killed_is_started_again_beside_the_others(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, SLEEPER, SLEEPER)) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        before = {each.pid for each in members(process.pid)} - {process.pid}
        psutil.Process(max(before)).kill()
        sentence = process.stdout.readline()
        assert re.match(r"the server \d was ended by SIGKILL; it was started again; its log is /", sentence)
        after = {each.pid for each in members(process.pid)} - {process.pid}
        assert len(after) == len(before & after) + 1 == 2


def test_a_server_that_is_killed_again_and_again_ends_everything(tmp_path: Path) -> None:
    killed = "import os; os.kill(os.getpid(), 9)"
    with supervisor(plan(tmp_path, SLEEPER, killed)) as process:
        text = output(process)
        assert members(process.pid) == []
    assert "the server 1 was ended by SIGKILL: everything was stopped" in text


# Serves at its first and third start; at the second what it needs is not back yet.
HASTY = """
import pathlib, signal, sys
starts = pathlib.Path({starts!r})
number = len(starts.read_text()) + 1 if starts.exists() else 1
starts.write_text('x' * number)
sys.exit('no server answers') if number == 2 else signal.pause()
"""


def test_a_server_that_is_killed_and_ends_by_itself_at_its_next_start_is_started_once_more(
    tmp_path: Path,
) -> None:
    starts = tmp_path / "starts"
    with supervisor(plan(tmp_path, SLEEPER, HASTY.format(starts=str(starts)))) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == READY + "\n"
        wait_for_start(starts, 1)
        hasty = [each for each in members(process.pid) if str(starts) in command_line(each)]
        next(each for each in hasty if each.pid != process.pid).kill()
        said = [process.stdout.readline() for _ in range(2)]
        assert said[0].startswith("the server 1 was ended by SIGKILL; it was started again")
        assert said[1].startswith("the server 1 ended with exit code 1; it was started again")
        wait_for_start(starts, 3)
        assert len(members(process.pid)) == 3
        process.stdin.close()
        assert process.wait() == 0


def wait_for_start(starts: Path, number: int) -> None:
    while not starts.exists() or len(starts.read_text()) < number:
        time.sleep(0.02)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_all_is_ready_once_the_port_answers(tmp_path: Path, host: str) -> None:
    family = "AF_INET6" if ":" in host else "AF_INET"
    with socket.socket(getattr(socket, family)) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        port = probe.getsockname()[1]
    serves = (
        f"import signal, socket; made = socket.socket(socket.{family}); made.bind(({host!r}, {port}));"
        "made.listen(); signal.pause()"
    )
    chosen = replace(plan(tmp_path, serves, ready=(host, port)), startup_timeout=30)
    with supervisor(chosen) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"


def test_a_server_that_is_not_ready_in_time_says_what_to_do(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, SLEEPER, ready=str(tmp_path / "no-socket"))) as process:
        text = output(process)
        assert process.returncode == 1
        assert members(process.pid) == []
    assert "the server 0 was not ready within 0 s" in text
    assert "local_startup_timeout in orchestration/dagster.yaml" in text
    assert READY not in text


def test_postgresql_runs_until_the_servers_have_ended_and_no_longer() -> None:
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    with EmbeddedPostgres(home):
        held = supervisor(plan(home, SLEEPER, embedded=True))
        process = held.__enter__()
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
    # The lease of `dev` is gone: a kill takes it.
    with EmbeddedPostgres(home):
        pass  # as `marketloom status` comes and goes
    server = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
    assert server.is_running()
    assert process.stdin
    process.stdin.close()
    assert process.wait() == 0
    assert not is_alive(server)
    held.__exit__(None, None, None)


def test_postgresql_that_is_killed_below_the_servers_is_started_again() -> None:
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    with supervisor(plan(home, SLEEPER, embedded=True)) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == READY + "\n"
        psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])).kill()
        assert process.stdout.readline().startswith("PostgreSQL had ended; it was started again")
        server = psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))
        assert is_alive(server)
        process.stdin.close()
        assert process.wait() == 0
        assert not is_alive(server)


# Starts its child, and another one each time that it is asked; it is ready once it has one.
EMPLOYER = """
import signal, socket, subprocess, sys
def hire(*_):
    subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()', 'does-the-work'])
signal.signal(signal.SIGUSR1, hire)
hire()
ready = socket.socket(socket.AF_UNIX)
ready.bind(sys.argv[1])
ready.listen()
while True:
    signal.pause()
"""
ASK = "import os, signal, sys; os.kill(int(open(sys.argv[1]).read()), signal.SIGUSR1)"


def worker_of(employer: psutil.Process) -> psutil.Process | None:
    found = (each for each in employer.children() if is_alive(each) and "does-the-work" in command_line(each))
    return next(found, None)


def employed(folder: Path, restore: list[str]) -> Plan:
    """Return the plan of a server whose child does the work."""
    ready = str(folder / "up")
    server = Server(
        name="employer",
        command=[sys.executable, "-c", EMPLOYER, ready],
        log=str(folder / "employer.log"),
        ready=ready,
        child="does-the-work",
        restore=restore,
    )
    return Plan(str(folder), False, [server], startup_timeout=60, announcement=READY)


def employer_of(process: "subprocess.Popen[str]") -> psutil.Process:
    [found] = psutil.Process(process.pid).children()
    return found


def test_a_server_whose_child_is_killed_is_asked_for_another(tmp_path: Path) -> None:
    number = tmp_path / "employer"
    ask = [sys.executable, "-c", ASK, str(number)]
    with supervisor(employed(tmp_path, ask)) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        employer = employer_of(process)
        number.write_text(str(employer.pid))
        worker = worker_of(employer)
        assert worker
        worker.kill()
        assert process.stdout.readline().startswith(
            "the employer has lost its process; it is asked for another"
        )
        while worker_of(employer) is None:
            time.sleep(0.05)
        assert process.stdin
        process.stdin.close()
        assert process.wait() == 0


def test_a_server_that_gets_no_other_child_ends_everything_with_a_sentence(tmp_path: Path) -> None:
    with supervisor(employed(tmp_path, [sys.executable, "-c", "pass"])) as process:
        assert process.stdout
        assert process.stdout.readline() == READY + "\n"
        worker = worker_of(employer_of(process))
        assert worker
        worker.kill()
        assert "the employer has lost its process and does not start another" in output(process)
        assert process.returncode == 1


def test_what_ignores_the_request_to_end_is_killed_at_once_when_it_only_waited_for_others(
    tmp_path: Path,
) -> None:
    stubborn = (
        "# dagster api grpc\nimport signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    )
    with supervisor(plan(tmp_path, SLEEPER, stubborn)) as process:
        wait_for_members(process.pid, 3)
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=GRACE / 2)
        assert members(process.pid) == []


def test_a_supervisor_that_is_asked_to_end_ends_its_servers(tmp_path: Path) -> None:
    with supervisor(plan(tmp_path, PARENT)) as process:
        wait_for_members(process.pid, 3)
        process.send_signal(signal.SIGTERM)
        wait_until_gone(process.pid)
