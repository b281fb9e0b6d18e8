import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from ml.learning.bundle import current_bundle
from ml.learning.policy import load_bundle
from ml.learning.train_process import PARENT, StopSignal, TrainingStopped, describe_end
from ml.learning.training import TrainingConfig
from ml.learning.training_request import TrainingRequest
from tests.ml.learning.folds_of_candles import TINY, bundle, request, table
from trading.errors import InvalidValue, NotStored, UnreadableFile

ROOT = Path(__file__).parents[3]
TIMEOUT = 300  # seconds: a training runs at low priority
ENDLESS = replace(TINY, total_timesteps=10_000_000)


def write_request(folder: Path, config: TrainingConfig) -> Path:
    """Write a training request whose rows lie in `folder`; its policy goes to `folder`/fold."""
    rows = folder / "rows.parquet"
    table().write_parquet(rows)
    path = folder / "request.json"
    request(config, (rows,), folder / "fold").write(path)
    return path


@contextmanager
def start(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the training process; kill it afterwards."""
    command = [sys.executable, "-m", "ml.learning.train_process", str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run_to_end(path: Path) -> tuple[list[dict[str, Any]], str, int]:
    """Return events, error output and exit code of a training that ends by itself."""
    with start(path) as process:
        lines, error = process.communicate(timeout=TIMEOUT)
    return [json.loads(line) for line in lines.splitlines()], error, process.returncode


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_leaves_no_bundle_and_can_be_run_again(
    tmp_path: Path, stop: signal.Signals
) -> None:
    with start(write_request(tmp_path, ENDLESS)) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "progress"
        process.send_signal(stop)
        _, error = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + stop
    assert error == f"training stopped by {stop.name}: no new policy\n"
    with pytest.raises(NotStored):
        current_bundle(tmp_path / "fold")
    if stop is signal.SIGINT:
        events, error, code = run_to_end(write_request(tmp_path, TINY))
        assert (error, code) == ("", 0)
        assert events[-1]["event"] == "bundle"
        assert load_bundle(current_bundle(tmp_path / "fold")).policy_id == events[-1]["policy_id"]
        # another process, the same bytes
        assert events[-1]["policy_id"] == bundle(tmp_path / "same").name


PARENT_OF_A_TRAINING = """
import subprocess, sys
subprocess.run([sys.executable, "-m", "ml.learning.train_process", sys.argv[1]])
"""


def test_a_training_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    path = write_request(tmp_path, ENDLESS)
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PARENT_OF_A_TRAINING, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert json.loads(parent.stdout.readline())["event"] == "progress"
        [training] = psutil.Process(parent.pid).children()
        parent.kill()
        training.wait(timeout=TIMEOUT)
        assert parent.stderr.read() == "training stopped by SIGTERM: no new policy\n"
    assert not (tmp_path / "fold").exists()


def test_a_training_whose_parent_was_gone_before_it_began_ends_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ml.learning.train_process", str(write_request(tmp_path, ENDLESS))]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, PARENT: "1"}, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr == "training stopped by SIGTERM: no new policy\n"


def test_a_stop_that_a_library_swallows_ends_the_training_after_the_rollout() -> None:
    stop = StopSignal()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        with suppress(BaseException):  # as a callback of the garbage collector does
            signal.raise_signal(signal.SIGTERM)
        assert stop.received is signal.SIGTERM
        with pytest.raises(TrainingStopped):
            stop.check()
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (143, "it was stopped by SIGTERM"),
        (130, "it was stopped by SIGINT"),
        (-9, "killed by SIGKILL, which the system sends where memory runs out"),
        (2, "can never succeed"),
        (1, r"it failed \(exit code 1\)"),
    ],
)
def test_the_run_says_how_its_training_ended(code: int, words: str) -> None:
    assert re.search(words, describe_end(f"External execution process failed with code {code}"))


def test_an_impossible_request_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    request(TINY, (tmp_path / "nothing.parquet",), tmp_path / "fold").write(path)
    _, error, code = run_to_end(path)
    assert code == 2
    assert error.startswith("UnreadableFile: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "fold").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dagster reads its own deprecated properties
def test_inside_dagster_progress_and_policy_arrive_through_pipes(tmp_path: Path) -> None:
    path = write_request(tmp_path, TINY)
    messages: list[dict[str, str]] = []

    @dg.asset
    def trained(
        context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient
    ) -> dg.MaterializeResult[None]:
        command = [sys.executable, "-m", "ml.learning.train_process", str(path)]
        messages.extend(pipes.run(command=command, context=context, cwd=str(ROOT)).get_custom_messages())
        return dg.MaterializeResult()

    with dg.instance_for_test() as instance:
        client = dg.PipesSubprocessClient()
        result = dg.materialize([trained], resources={"pipes": client}, instance=instance)
        messages_logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert messages[0]["event"] == "bundle"
    assert current_bundle(tmp_path / "fold").name == messages[0]["policy_id"]
    assert any("512 of 512 frames, mean reward" in message for message in messages_logged)


def test_a_request_survives_the_way_through_its_file(tmp_path: Path) -> None:
    written = request(TINY, (Path("a.parquet"), Path("b.parquet")), Path("fold"))
    written.write(tmp_path / "request.json")
    assert TrainingRequest.read(tmp_path / "request.json") == written


def test_an_incomplete_request_names_what_is_missing(tmp_path: Path) -> None:
    values = request().as_json()
    with pytest.raises(InvalidValue, match="pair is missing"):
        TrainingRequest.from_json({name: value for name, value in values.items() if name != "pair"})
    with pytest.raises(InvalidValue, match="batch_size is 1"):
        TrainingRequest.from_json({**values, "config": {**values["config"], "batch_size": 1}})
    with pytest.raises(UnreadableFile, match=r"none\.json"):
        TrainingRequest.read(tmp_path / "none.json")
