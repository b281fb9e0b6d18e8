"""Runs a training request: reads the fold's rows, trains, and writes the bundle with its manifest."""

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import polars as pl

from ml.learning.bundle import write_bundle
from ml.learning.manifest import Manifest, canonical_json, sha256_hex
from ml.learning.masking import masked_rows
from ml.learning.training import Progress, TrainedPolicy, TrainingData, train
from ml.learning.training_request import TrainingRequest
from trading.errors import UnreadableFile
from trading.polars_errors import panics_as_errors

PROGRESS_REPORTS = 10  # per training, after the first: each becomes an event in the run's log
LIBRARIES = ("numpy", "polars", "torch", "stable-baselines3", "gymnasium")


def run_request(
    request: TrainingRequest,
    report: Callable[[Mapping[str, Any]], None],
    check: Callable[[], None],
    begin_writing: Callable[[], None],
) -> None:
    """Train; report {"event": "progress"} after the first rollout and each tenth, {"event": "bundle"} at the end.

    `check` is called after every rollout and ends the training by raising; `begin_writing` once, before the bundle is
    written, and may raise for the last time.
    """
    data = training_data(request)
    reported = -1

    def on_progress(progress: Progress) -> None:
        nonlocal reported
        check()
        tenth = PROGRESS_REPORTS * progress.frames // progress.total_frames
        if tenth > reported:
            reported = tenth
            report({"event": "progress", **asdict(progress)})

    trained = train(data, request.config, on_progress)
    begin_writing()
    bundle = write_bundle(request.output, build_manifest(request, data, trained), trained.layers)
    report(
        {
            "event": "bundle",
            "folder": str(bundle),
            "policy_id": bundle.name,
            "frames": trained.frames,
            "frames_per_second": trained.frames_per_second,
        }
    )


def training_data(request: TrainingRequest) -> TrainingData:
    """Read the fold's rows from the request's tables. UnreadableFile when one is missing, corrupt or incomplete."""
    rows = _read_rows(request)
    masked = masked_rows(rows["open_time"], request.timeframe, request.feature_names, request.unrepaired)
    return TrainingData.of(rows, request.feature_names, request.costs, masked)


def build_manifest(request: TrainingRequest, data: TrainingData, trained: TrainedPolicy) -> Manifest:
    """Build the manifest but for the id and the digests of the files, which are filled in on writing."""
    return Manifest(
        policy_id="",
        pair=str(request.pair),
        timeframe=request.timeframe.value,
        dataset=request.dataset,
        feature_names=request.feature_names,
        mean=tuple(trained.normaliser.mean.tolist()),
        std=tuple(trained.normaliser.std.tolist()),
        hidden_sizes=request.config.hidden_sizes,
        config=asdict(request.config),
        costs=asdict(request.costs),
        training_start=data.start,
        training_end=data.end,
        training_rows=len(data.features),
        dropped_rows=data.dropped_rows,
        embargo_candles=request.config.embargo_candles,
        test_month=request.fold.test_month,
        seed=request.config.seed,
        frames=trained.frames,
        frames_per_second=trained.frames_per_second,
        reward_curve=trained.reward_curve,
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        inputs_hash=data.digest(),
        recipe=recipe(request),
        files={},
        masked_share=data.masked_rows / (len(data.features) + data.dropped_rows + data.masked_rows),
    )


def recipe(request: TrainingRequest) -> str:
    """Compute the digest of what was chosen, apart from the data: folds of one recipe can be judged together."""
    chosen = {
        "config": asdict(request.config),
        "feature_names": request.feature_names,
        "timeframe": request.timeframe.value,
        "costs": asdict(request.costs),
    }
    return sha256_hex(canonical_json(chosen))[:16]


def _read_rows(request: TrainingRequest) -> pl.DataFrame:
    columns = ["open_time", "close_time", "open", "close", *request.feature_names]
    tables = []
    for path in request.tables:
        try:
            with panics_as_errors():
                tables.append(pl.read_parquet(path, columns=columns))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UnreadableFile(
                f"{path}: {str(error).splitlines()[0]}; a training table has {', '.join(columns)}"
            ) from None
    if not tables:
        raise UnreadableFile("the training request names no tables")
    return request.fold.training_rows(pl.concat(tables))
