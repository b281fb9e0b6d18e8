"""The home folder, and the embedded PostgreSQL that runs in it while a process uses it."""

import fcntl
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import BinaryIO, NoReturn, Self
from urllib.parse import quote

from orchestration.postgres.cluster import PORT, Cluster
from trading.errors import StoreUnreachable, UnusableHome

DATABASES = ("marketloom", "dagster")
UNUSABLE = frozenset('"$`\\\n')  # pg_ctl hands the path to a shell inside double quotes
TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def prepare_home(home: Path) -> Path:
    """Create the home folder and prove that it can be written. UnusableHome names the folder and the remedy."""
    named = os.environ.get("MARKETLOOM_HOME")
    remedy = (
        "environment variable MARKETLOOM_HOME names it: correct it, or make the folder writable"
        if named
        else "choose another folder with MARKETLOOM_HOME"
    )
    if UNUSABLE & set(str(home)):
        raise UnusableHome(f"{home}: the path must not contain quotes, $, ` or \\; {remedy}")
    folder = home.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"writable")
            probe.flush()
    except OSError as error:
        raise UnusableHome(f"{folder} cannot be written: {error.strerror}; {remedy}") from None
    return folder


class EmbeddedPostgres:
    """A server that runs from the first lease's `with` to the last one's end, in whatever processes they are.

    A lease is a shared lock on a file; it ends with its process, however that ends. A server whose last lease was
    killed runs on, and the next lease takes it over. As root the server runs as the owner of its folder or the system
    user `pgserver`, and the folders above the home become passable for it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.expanduser().resolve()
        self._cluster = Cluster(self._home / "postgres")
        self._stack = ExitStack()

    @property
    def dsn(self) -> str:
        """Address of the database `marketloom`, for psycopg."""
        return self._address("postgresql", "marketloom")

    @property
    def dagster_url(self) -> str:
        """Address of the database `dagster`, for SQLAlchemy: dagster-postgres needs psycopg2."""
        return self._address("postgresql+psycopg2", "dagster")

    def __enter__(self) -> Self:
        """Start or join the server. Raises UnusableHome, or StoreUnreachable with the end of the server's log."""
        with ExitStack() as stack:
            stack.enter_context(_exit_on_termination())
            stack.enter_context(self._lease())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def revive(self) -> bool:
        """Start the server again where it has ended below a lease of this object; returns whether it had.

        Raises as `with` does.
        """
        if not self._cluster.is_down():
            return False
        with self._lock_file("postgres.starting") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            self._cluster.ensure_running()
        return True

    def _address(self, scheme: str, database: str) -> str:
        folder = quote(str(self._cluster.socket_folder), safe="/")
        return f"{scheme}://postgres@/{database}?host={folder}&port={PORT}"

    @contextmanager
    def _lease(self) -> Iterator[None]:
        with self._lock_file("postgres.holders") as leases:
            fcntl.flock(leases, fcntl.LOCK_SH)  # waits while the last lease is stopping the server
            try:
                with self._lock_file("postgres.starting") as starting:
                    fcntl.flock(starting, fcntl.LOCK_EX)
                    self._cluster.ensure_running()
                    self._create_databases()
                yield
            finally:
                with _ignore_signals():
                    if _is_last_lease(leases):
                        self._cluster.stop()

    def _lock_file(self, name: str) -> BinaryIO:
        path = self._home / name
        try:
            return path.open("ab")
        except OSError as error:
            raise UnusableHome(
                f"{path}: {error.strerror}; mend the permissions, or choose another folder with MARKETLOOM_HOME"
            ) from None

    def _create_databases(self) -> None:
        import psycopg
        from psycopg import sql

        try:
            with psycopg.connect(self._address("postgresql", "postgres"), autocommit=True) as connection:
                known = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
                for name in DATABASES:
                    if name not in known:
                        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                # Dagster's events do not wait for the disk: a run writes a dozen, and no money rests on them.
                connection.execute("ALTER DATABASE dagster SET synchronous_commit = off")
        except psycopg.Error as error:
            raise StoreUnreachable(f"the databases in {self._home} could not be made: {error}") from error


def _is_last_lease(leases: BinaryIO) -> bool:
    """Give the own lease up by asking: of two that leave at once exactly one, the later, is the last."""
    try:
        fcntl.flock(leases, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


@contextmanager
def _exit_on_termination() -> Iterator[None]:
    """Leave `with` blocks in order at SIGTERM and SIGHUP instead of ending the process at once."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    unhandled = [number for number in TERMINATION_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    with _signal_handlers(leave, unhandled):
        yield


@contextmanager
def _ignore_signals() -> Iterator[None]:
    """Ignore a second Ctrl-C while the server stops."""
    with _signal_handlers(lambda *_: None, (*TERMINATION_SIGNALS, signal.SIGINT)):
        yield


@contextmanager
def _signal_handlers(
    handler: Callable[[int, FrameType | None], object], numbers: Sequence[int]
) -> Iterator[None]:
    """Install `handler`; Python lets only the main thread handle signals, in others this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if earlier is not None else signal.SIG_DFL)
