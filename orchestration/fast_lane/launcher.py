"""The launcher: a run of the lane goes to a warm worker, every other run to Dagster's own launcher."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import DagsterRun, DefaultRunLauncher, Field
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin
from dagster._serdes import ConfigurableClassData, serialize_value

from orchestration.fast_lane.connections import keep_connections
from orchestration.fast_lane.pool import Limits, WorkerPool
from orchestration.fast_lane.tags import CANCEL_SIGNAL, NO_WORKER, WORKER_TAG, WorkerProcess, is_in_lane

DEFAULTS = Limits()


class FastLaneLauncher(DefaultRunLauncher):
    """Dagster's launcher, with warm workers in the daemon (docs/fast-lane.md).

    A run that no worker takes is launched by `DefaultRunLauncher`. A run whose worker dies is reported as failed at
    once; it is not started again here: whoever asked for it decides that.
    """

    def __init__(
        self, module: str, warm_up: str, limits: Limits, inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__(inst_data)
        self._module = module
        self._warm_up = warm_up
        self._limits = limits
        self._pool: WorkerPool | None = None

    @classmethod
    def config_type(cls) -> Any:
        """Return the keys of `run_launcher: config:` in dagster.yaml."""
        return {
            "module": Field(str, description="The Python module of the code location, as in workspace.yaml."),
            "warm_up": Field(
                str,
                is_required=False,
                default_value="",
                description="`package.module:function`, called once in each worker before its first run. It may "
                "return paths: when one of these files changes, the worker is replaced.",
            ),
            "workers": Field(int, is_required=False, default_value=DEFAULTS.workers),
            "runs_per_worker": Field(int, is_required=False, default_value=DEFAULTS.runs),
            "megabytes_per_worker": Field(int, is_required=False, default_value=DEFAULTS.megabytes),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        limits = Limits(
            workers=config_value["workers"],
            runs=config_value["runs_per_worker"],
            megabytes=config_value["megabytes_per_worker"],
        )
        return cls(config_value["module"], config_value["warm_up"], limits, inst_data)

    # --- the workers of this process

    def start_workers(self) -> None:
        """Start the workers where this process is the daemon, and keep its connections; elsewhere nothing."""
        if self._pool is None and is_daemon():
            keep_connections(self._instance)
            task = {
                "instance_ref": serialize_value(self._instance.get_ref()),
                "module": self._module,
                "warm_up": self._warm_up,
            }
            self._pool = WorkerPool(task, self._limits, self._report_lost)

    def has_room(self) -> bool:
        """Return whether a worker of this process waits for a run."""
        return self._pool is not None and self._pool.has_room()

    def dispose(self) -> None:
        """End the workers; one that executes a run ends it first."""
        if self._pool is not None:
            self._pool.close()
        super().dispose()

    # --- runs

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand the run to a warm worker, or launch it as Dagster does."""
        run = context.dagster_run
        if not (is_in_lane(run.tags) and self._is_loaded(run) and self._give(run)):
            super().launch_run(context)

    def _is_loaded(self, run: DagsterRun) -> bool:
        """Return whether the run is of the code that the workers have loaded, in the Python that they run in."""
        origin = run.job_code_origin
        return (
            isinstance(origin, JobPythonOrigin)
            and getattr(origin.repository_origin.code_pointer, "module", None) == self._module
            and origin.repository_origin.container_image is None
            and Path(origin.executable_path) == Path(sys.executable)
        )

    def _give(self, run: DagsterRun) -> bool:
        """Return whether a worker has taken the run. The tag is written first: a later write could undo a status."""
        if self._pool is None:
            return False
        with self._pool.reserve() as worker:
            if worker is None:
                return False
            self._instance.add_run_tags(run.run_id, {WORKER_TAG: str(worker.process)})
            if worker.take(run.run_id):
                return True
        self._instance.add_run_tags(run.run_id, {WORKER_TAG: NO_WORKER})
        return False

    def _report_lost(self, run_id: str, why: str) -> None:
        """Close the run of a worker that has died."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_failed(run, f"its warm worker ended before the run did: {why}")

    def terminate(self, run_id: str) -> bool:
        """Cancel the run; any process of the worker's machine may ask. False where it does not run any more."""
        run = self._instance.get_run_by_id(run_id)
        worker = None if run is None else WorkerProcess.parse(run.tags)
        if worker is None:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not worker.is_here:
            self._instance.report_engine_event(f"its worker runs on {worker.host}; cancel it there", run)
            return False
        return worker.signal(CANCEL_SIGNAL)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Tell run monitoring whether a run's worker lives; runs outside the lane are the code server's."""
        worker = WorkerProcess.parse(run.tags)
        if worker is None or not worker.is_here or worker.is_alive():
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"its warm worker, process {worker.process}, is gone"
        )


def is_daemon() -> bool:
    """Return whether this process is Dagster's daemon, however it was started."""
    script = Path(sys.argv[0])
    return script.name == "dagster-daemon" or script.parts[-2:] == ("_daemon", "__main__.py")
