"""An instance whose daemon and code server are processes of their own, as a person runs them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import yaml
from dagster._grpc.client import DagsterGrpcClient

from tests.orchestration.fast_lane.lane import MODULE, PATIENCE, Lane, instance_values
from trading.atomic_files import replace_file


class Home(Lane):
    """A folder with an instance, looked at from outside."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path, module: str = MODULE) -> None:
        super().__init__(instance, folder)
        self.module = module
        self.socket, self.workspace = str(folder / "code"), folder / "workspace.yaml"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "DAGSTER_HOME": str(self.folder), "LANE_FOLDER": str(self.folder)}
        with (self.folder / f"{arguments[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                env=environment | {"PYTHONPATH": os.getcwd()},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def start_code_server(self) -> None:
        self.start(
            "dagster",
            "code-server",
            "start",
            "--socket",
            self.socket,
            "-m",
            self.module,
            "--location-name",
            "lane",
        )
        self.until(lambda: Path(self.socket).exists())
        server = {"grpc_server": {"socket": self.socket, "location_name": "lane"}}
        self.workspace.write_text(yaml.safe_dump({"load_from": [server]}))

    def reload_code(self) -> None:
        """Let the code server load the code in another process, as the UI's button does."""
        DagsterGrpcClient(socket=self.socket).reload_code(timeout=int(PATIENCE))

    def start_sensor(self, name: str) -> None:
        """Switch the sensor on."""
        command = self.start("dagster", "sensor", "start", name, "--workspace", str(self.workspace))
        assert command.wait(PATIENCE) == 0

    def start_daemon(self) -> int:
        """Start a daemon and wait for its worker; returns the daemon's process."""
        (self.folder / "warm").unlink(missing_ok=True)
        daemon = self.start("dagster._daemon", "run", "--workspace", str(self.workspace))
        self.until(lambda: (self.folder / "warm").exists())
        return daemon.pid

    def happen(self, number: int, job: str = "quick") -> None:
        """Let the sensor find an event."""
        replace_file(self.folder / f"event-{number}", job.encode())

    def run_of(self, number: int) -> dg.DagsterRun:
        """Wait for the run that was asked for the event; there is never a second one."""
        wanted = dg.RunsFilter(tags={"dagster/run_key": f"event {number}"})
        [run] = self.until(lambda: self.instance.get_runs(wanted))
        return run


@contextmanager
def running_home(folder: Path, module: str = MODULE) -> Iterator[Home]:
    """Make the home; nothing runs in it yet, and at the end nothing does any more."""
    (folder / "settings").write_text("1")
    (folder / "dagster.yaml").write_text(yaml.safe_dump(instance_values(module=module)))
    with (
        dg.DagsterInstance.from_config(str(folder)) as instance,
        _ending(Home(instance, folder, module)) as home,
    ):
        yield home


@contextmanager
def _ending(home: Home) -> Iterator[Home]:
    """End what was started, and its children."""
    try:
        yield home
    finally:
        for process in home.processes:
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            psutil.wait_procs(children, timeout=30)
            for child in children:
                if child.is_running():
                    child.kill()
            process.kill()
            process.wait()
