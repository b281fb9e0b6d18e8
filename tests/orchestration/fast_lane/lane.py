"""A Dagster instance on SQLite whose workers belong to this process, as they do to the daemon's."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.launcher import LaunchRunContext
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.run_coordinator import SubmitRunContext

from orchestration.fast_lane import FastLaneLauncher, launcher
from tests.orchestration.fast_lane import location

MODULE = "tests.orchestration.fast_lane.location"
PATIENCE = 120.0  # seconds, on a busy machine
ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("location"), "__repository__")


def instance_values(**limits: Any) -> dict[str, Any]:
    """Return what stands in dagster.yaml."""
    lane = {"module": "orchestration.fast_lane"}
    config = {"module": MODULE, "warm_up": f"{MODULE}:warm_up", "workers": 1, **limits}
    return {
        "run_coordinator": {
            **lane,
            "class": "FastLaneCoordinator",
            "config": {"dequeue_interval_seconds": 1},
        },
        "run_launcher": {**lane, "class": "FastLaneLauncher", "config": config},
        "run_monitoring": {"enabled": True, "poll_interval_seconds": 1},
        "telemetry": {"enabled": False},
        "sensors": {"use_threads": True, "num_workers": 4},
    }


class Lane:
    """What a test does with it. `ordinary` has the runs that went to Dagster's own launcher."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.folder = folder
        self.ordinary: list[str] = []

    @property
    def launcher(self) -> FastLaneLauncher:
        found = self.instance.run_launcher
        assert isinstance(found, FastLaneLauncher)
        return found

    def workers(self) -> list[dict[str, Any]]:
        pool = self.launcher._pool
        return [] if pool is None else pool.facts()

    def until(self, fact: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := fact()):
            assert time.monotonic() < deadline, (self.workers(), os.listdir(self.folder))
            time.sleep(0.01)
        return found

    def until_ready(self, count: int = 1) -> list[int]:
        """Wait for idle workers; returns their processes."""
        idle = lambda: [each["process"] for each in self.workers() if each["state"] == "idle"]  # noqa: E731
        self.until(lambda: len(idle()) >= count)
        return idle()

    def create(self, job: dg.JobDefinition) -> str:
        """Create a run as the daemon does for a sensor."""
        repository = ReconstructableRepository.for_module(MODULE, "defs", working_directory=os.getcwd())
        recon = ReconstructableJob(repository._replace(executable_path=sys.executable), job.name)
        run = self.instance.create_run_for_job(
            location.defs.resolve_job_def(job.name),
            job_code_origin=recon.get_python_origin(),
            remote_job_origin=RemoteJobOrigin(ORIGIN, job.name),
            tags=job.tags,
        )
        return run.run_id

    def submit(self, job: dg.JobDefinition) -> str:
        """Create and submit a run."""
        run = self.instance.get_run_by_id(self.create(job))
        assert run is not None
        self.instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))  # type: ignore[arg-type]
        return run.run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def until_ended(self, run_id: str) -> dg.DagsterRunStatus:
        def ended() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run is not None and run.is_finished

        self.until(ended)
        return self.status(run_id)

    def process_of(self, run_id: str) -> int:
        """Wait until the run of `waiting` waits; returns the process that executes it."""
        file = self.folder / f"waits-{run_id}"
        return int(self.until(lambda: file.exists() and file.read_text()))

    def messages(self, run_id: str) -> str:
        return "\n".join(each.message for each in self.instance.all_logs(run_id))


@contextmanager
def open_lane(folder: Path, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> Iterator[Lane]:
    """Open the instance as the daemon does. Runs for Dagster's own launcher are only noted."""
    (folder / "settings").write_text("1")
    monkeypatch.setenv("LANE_FOLDER", str(folder))
    monkeypatch.setattr(launcher, "is_daemon", lambda: True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(instance_values(**limits)))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        lane = Lane(instance, folder)

        def note(_: Any, context: LaunchRunContext) -> None:
            lane.ordinary.append(context.dagster_run.run_id)

        monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", note)
        assert instance.run_coordinator  # the daemon looks at it when it starts
        yield lane
