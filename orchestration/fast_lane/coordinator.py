"""The coordinator: runs of the lane are launched at once where a warm worker waits, all others queue."""

from dagster import DagsterRun, DagsterRunStatus, QueuedRunCoordinator
from dagster._core.instance import DagsterInstance
from dagster._core.run_coordinator import SubmitRunContext

from orchestration.fast_lane.launcher import FastLaneLauncher
from orchestration.fast_lane.tags import is_in_lane


class FastLaneCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Dagster's queue, with a way past it.

    Workers belong to the daemon: what the web server or a script submits waits for the queue's next look, a second at
    the default of this project, and starts in a warm worker then.
    """

    def register_instance(self, instance: DagsterInstance) -> None:
        """Begin with the instance; in the daemon the workers start now, and not with the first run."""
        super().register_instance(instance)
        if isinstance(instance.run_launcher, FastLaneLauncher):
            instance.run_launcher.start_workers()

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Launch the run if it is of the lane and there is room; else queue it. Raises as a launch does."""
        run, launcher = context.dagster_run, self._instance.run_launcher
        if (
            is_in_lane(run.tags)
            and run.status is DagsterRunStatus.NOT_STARTED
            and isinstance(launcher, FastLaneLauncher)
            and launcher.has_room()
        ):
            return self._instance.launch_run(run.run_id, context.workspace)
        return super().submit_run(context)
