"""`marketloom dev`: run the UI and the daemon as child processes that end with this one."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from rich.console import Console

from orchestration.commands.port import check_port_is_free
from orchestration.settings import PROJECT
from orchestration.system import dagster_instance, running_system, single_server

PORT_IN_USE = (
    "stop what uses it, or choose another port with [dagster] port in marketloom.toml or "
    "MARKETLOOM__DAGSTER__PORT=3001"
)


def serve(out: Console) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code of `dagster dev`, 0 when a person stopped it."""
    with running_system() as system, single_server(system.home):
        host, port = system.settings.dagster.host, system.settings.dagster.port
        check_port_is_free(host, port, PORT_IN_USE)
        dagster_instance(system.settings, is_server=True).dispose()
        out.print(f"data {system.settings.market.universe.dataset} in {system.home}")
        out.print(f"open http://{host}:{port} ; Ctrl-C stops everything")
        return _run_group(_command(host, port), system.home)


def _command(host: str, port: int) -> list[str]:
    """`dagster dev` without the hint that points to a tool of another project layout."""
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    workspace = ["--workspace", str(PROJECT / "workspace.yaml"), "--log-level", "warning"]
    return [sys.executable, *quiet, "-m", "dagster", "dev", *workspace, "--host", host, "--port", str(port)]


def _run_group(command: list[str], folder: Path) -> int:
    """Run the command in its own process group, which is stopped as a whole: its children outlive a plain kill.

    It runs in `folder`, since Dagster warns about the dagster.yaml that lies beside the project.
    """
    process = subprocess.Popen(command, cwd=folder, start_new_session=True)
    stopped = False

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        os.killpg(process.pid, signal.SIGINT)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = process.wait()
    finally:
        _end_group(process.pid)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if stopped else code


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return
