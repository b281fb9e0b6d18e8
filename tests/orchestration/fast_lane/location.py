"""A code location that knows nothing of trading: jobs of the lane, whose doings are seen as files in $LANE_FOLDER."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from orchestration.fast_lane import LANE


def folder() -> Path:
    return Path(os.environ["LANE_FOLDER"])


def warm_up() -> Iterable[Path]:
    (folder() / "warm").touch()
    while (folder() / "hold").exists():
        time.sleep(0.01)
    return [folder() / "settings"]


@dg.op
def note(context: dg.OpExecutionContext) -> None:
    """Leave a file with the process's id."""
    (folder() / f"ran-{context.run_id}").write_text(str(os.getpid()))


@dg.op
def fail() -> None:
    raise ValueError("this job fails")


@dg.op
def lose_storage(context: dg.OpExecutionContext) -> None:
    """From here on this process cannot reach the instance's storage, as when its database is away."""
    (folder() / f"ran-{context.run_id}").write_text(str(os.getpid()))

    def away(*_: object, **__: object) -> None:
        raise OSError("the storage is away")

    for storage, name in (
        (context.instance.event_log_storage, "store_event"),
        (context.instance.run_storage, "get_run_records"),
        (context.instance.run_storage, "get_runs"),
    ):
        setattr(storage, name, away)


@dg.op
def wait_for_file(context: dg.OpExecutionContext) -> None:
    """Wait until somebody lets the run go on."""
    (folder() / f"waits-{context.run_id}").write_text(str(os.getpid()))
    while not (folder() / "go-on").exists():
        time.sleep(0.01)


@dg.job(tags=LANE)
def quick() -> None:
    note()


@dg.job(tags=LANE)
def failing() -> None:
    fail()


@dg.job(tags=LANE)
def losing() -> None:
    lose_storage()


@dg.job(tags=LANE)
def waiting() -> None:
    wait_for_file()


@dg.job
def ordinary() -> None:
    note()


@dg.sensor(jobs=[quick, waiting], minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def asks_for_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Wait for a file of a higher number, and ask for one run for each, of the job that it names."""
    cursor, until = int(context.cursor or 0), time.monotonic() + 5
    while time.monotonic() < until:
        found = sorted(int(each.name.removeprefix("event-")) for each in folder().glob("event-*"))
        if new := [number for number in found if number > cursor]:
            requests = [
                dg.RunRequest(run_key=f"event {number}", job_name=(folder() / f"event-{number}").read_text())
                for number in new
            ]
            return dg.SensorResult(run_requests=requests, cursor=str(new[-1]))
        time.sleep(0.01)
    return dg.SkipReason("no event")


defs = dg.Definitions(
    jobs=[quick, failing, losing, waiting, ordinary],
    sensors=[asks_for_files],
    executor=dg.in_process_executor,
)
