"""The home of a live demo: a folder of its own below the user's home, with settings of its own, made anew each time."""

import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestration.commands.live_demo_market import LiveMarket, choose_market, demo_values
from orchestration.commands.toml_text import toml_text
from orchestration.postgres.embedded import EmbeddedPostgres, prepare_home
from orchestration.settings import CONFIG, HOME, PREFIX, home_folder, load_settings, settings_values
from orchestration.settings_schema import Settings
from orchestration.system import DAGSTER_POSTGRES, POSTGRES
from orchestration.web_guard import TOKEN
from trading.errors import InvalidSettings

FOLDER = "live-demo"
SETTINGS_FILE = "live-demo.toml"
# A live demo never touches what these name: servers, homes and settings of the user.
FOREIGN = (POSTGRES, DAGSTER_POSTGRES, TOKEN, "DAGSTER_HOME")


@dataclass(frozen=True, slots=True)
class LiveDemoHome:
    """Where a live demo runs and on what."""

    home: Path
    market: LiveMarket
    settings: Settings

    @property
    def interface(self) -> str:
        """Return the address of its Dagster UI."""
        return f"http://127.0.0.1:{self.settings.dagster.port}"


@contextmanager
def live_demo_home(data: Path | None) -> Iterator[LiveDemoHome]:
    """Make the home and point this process, and what it starts, to it until the end of the block.

    InvalidSettings when a live demo runs below this home already. What the last one left is removed first.
    """
    parent = prepare_home(home_folder())
    user = load_settings(with_choice=False)
    with _only_one(parent):
        home = parent / FOLDER
        _remove(home)
        home.mkdir()
        market = choose_market(data, user, home / "files")
        values = demo_values(settings_values(), market, {"sandbox": free_port(), "dagster": free_port()})
        (home / SETTINGS_FILE).write_text(toml_text(values), encoding="utf-8")
        with _environment(home):
            yield LiveDemoHome(home, market, load_settings())


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _only_one(parent: Path) -> Iterator[None]:
    with (parent / f"{FOLDER}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidSettings(
                f"a live demo runs in {parent / FOLDER} already: wait for it, stop it, or set MARKETLOOM_HOME elsewhere"
            ) from None
        yield


def _remove(home: Path) -> None:
    """Remove an earlier demo; a server that survived a kill is stopped before its files go."""
    if (home / "postgres").exists():
        with EmbeddedPostgres(home):
            pass
    if home.exists():
        shutil.rmtree(home)


@contextmanager
def _environment(home: Path) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name in FOREIGN or name.startswith(PREFIX):
            del os.environ[name]
    os.environ.update({HOME: str(home), CONFIG: str(home / SETTINGS_FILE)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
