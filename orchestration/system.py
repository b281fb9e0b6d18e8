"""The running system: settings, home folder, PostgreSQL and Dagster instance."""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import dagster as dg
import psutil

from orchestration.postgres.embedded import EmbeddedPostgres, prepare_home
from orchestration.run_recovery import recover_runs
from orchestration.settings import PROJECT, home_folder, load_settings
from orchestration.settings_schema import Settings
from trading.atomic_files import replace_file
from trading.errors import InvalidSettings, MarketloomError
from trading.stores.postgres import Database, migrate

POSTGRES = "MARKETLOOM_POSTGRES"
DAGSTER_POSTGRES = "MARKETLOOM_DAGSTER_POSTGRES"
# Not beside the project: there `dg` would take it for an instance whose server runs.
INSTANCE_FILE = PROJECT / "orchestration" / "dagster.yaml"
SERVING, IN_PROCESS = "dagster.yaml", "in-process.yaml"
SERVING_LOCK = "serving.lock"
WORKSPACE = "workspace.yaml"  # in DAGSTER_HOME: where the code server of a served home listens
SECONDS_TO_END = 30.0  # for the processes of a server that was just stopped or killed
# Runs in a person's own terminal: what they print is seen there, and the helper processes that would capture it
# as well answer Ctrl-C with stack traces.
NO_CAPTURE = """
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


@dataclass(frozen=True, slots=True)
class System:
    settings: Settings
    home: Path
    dsn: str


@contextmanager
def running_system() -> Iterator[System]:
    """Start what is not running, migrate the schema, point Dagster at it; stop what was started here.

    Raises InvalidSettings, UnusableHome or StoreUnreachable before anything was changed.
    """
    settings = load_settings()
    home = prepare_home(home_folder())
    with postgres_addresses(home) as (dsn, dagster_url):
        migrate(dsn)
        with _exported_environment({POSTGRES: dsn, DAGSTER_POSTGRES: dagster_url, **_dagster_home(home)}):
            yield System(settings, home, dsn)


@contextmanager
def single_server(home: Path) -> Iterator[BinaryIO]:
    """Allow one UI and daemon per home, so that unfinished runs are abandoned ones. InvalidSettings otherwise.

    Yields the lock's file: a child that inherits it holds the lock for as long as it runs. Where such a child is still
    ending after its parent was killed, this waits for it.
    """
    with (home / SERVING_LOCK).open("a+b") as lock:
        deadline = time.monotonic() + SECONDS_TO_END
        while not _try_lock(lock, fcntl.LOCK_EX):
            if _owner_lives(lock) or time.monotonic() > deadline:
                raise InvalidSettings(
                    f"`marketloom dev` runs on {home} already: use its UI, stop it, or set MARKETLOOM_HOME elsewhere"
                )
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
        yield lock


def is_served(home: Path) -> bool:
    """Return whether the UI and daemon of this home run, or are just ending."""
    with (home / SERVING_LOCK).open("ab") as lock:
        return not _try_lock(lock, fcntl.LOCK_SH)


def _try_lock(lock: BinaryIO, mode: int) -> bool:
    try:
        fcntl.flock(lock, mode | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _owner_lives(lock: BinaryIO) -> bool:
    """Return whether the process lives whose id stands in the lock's file."""
    lock.seek(0)
    with suppress(psutil.NoSuchProcess, ValueError):
        return bool(psutil.Process(int(lock.read())).status() != psutil.STATUS_ZOMBIE)
    return False


def dagster_instance(
    settings: Settings, config: str = SERVING, *, is_server: bool = False
) -> dg.DagsterInstance:
    """Open the instance that DAGSTER_HOME names, add the pairs of the settings as partitions and close dead runs.

    `is_server`: this process holds the home's `single_server`, so that no run of a server can be alive.
    """
    folder = Path(os.environ["DAGSTER_HOME"])
    instance = dg.DagsterInstance.from_config(str(folder), config)
    instance.add_dynamic_partitions("pair", [pair.key for pair in settings.market.pairs])
    recover_runs(instance, served=not is_server and is_served(folder.parent))
    return instance


def reporting_instance(home: Path, dagster_url: str) -> dg.DagsterInstance:
    """Open the home's instance for a process that only reports events, and is started before Dagster or without it."""
    os.environ.update({DAGSTER_POSTGRES: dagster_url, **_dagster_home(home)})
    return dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"], SERVING)


@contextmanager
def postgres_addresses(home: Path) -> Iterator[tuple[str, str]]:
    """Yield our address and Dagster's: of the configured server, or of the embedded one while it is in use."""
    if configured := os.environ.get(POSTGRES):
        check_configured_server(configured)
        yield (
            configured,
            os.environ.get(DAGSTER_POSTGRES)
            or configured.replace("postgresql://", "postgresql+psycopg2://", 1),
        )
        return
    with EmbeddedPostgres(home) as server:
        yield server.dsn, server.dagster_url


def check_configured_server(address: str) -> None:
    """Try a server of one's own before anything starts: what is wrong with it is wrong with the variable."""
    try:
        with Database(address).transaction():
            pass
    except MarketloomError as error:
        raise type(error)(f"environment variable {POSTGRES}: {error}") from error


def _dagster_home(home: Path) -> dict[str, str]:
    folder = home / "dagster"
    instance = INSTANCE_FILE.read_text(encoding="utf-8")
    for name, text in ((SERVING, instance), (IN_PROCESS, instance + NO_CAPTURE)):
        if not (folder / name).exists() or (folder / name).read_text(encoding="utf-8") != text:
            replace_file(folder / name, text.encode())  # on a full disk, what is there can still be read
    return {
        "DAGSTER_HOME": str(folder),
        "MARKETLOOM_HOME": str(home),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # A sensor that waits for its candle holds a thread of the code server, and of the proxy before that.
        "DAGSTER_CODE_SERVER_MAX_WORKERS": "32",
        "DAGSTER_GRPC_MAX_WORKERS": "32",
        # Materializations of a single-run backfill are written in batches, not one transaction each.
        "DAGSTER_EVENT_BATCH_SIZE": "200",
    }


@contextmanager
def _exported_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Export variables through which child processes (runs, the webserver, the daemon) find everything."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
