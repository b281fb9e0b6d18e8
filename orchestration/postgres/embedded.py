"""The home folder, and the PostgreSQL that lives in it while somebody needs it."""

import fcntl
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
from trading.errors import InvalidSettings, StoreUnreachable, UnusableHome

DATABASES = ("marketloom", "dagster")
UNUSABLE = frozenset('"$`\\\n')  # pg_ctl hands the path to a shell inside double quotes
ENDING = (signal.SIGTERM, signal.SIGHUP)


def prepare_home(home: Path) -> Path:
    """Create the home folder and prove that it can be written. UnusableHome names the folder and the remedy."""
    remedy = "choose another folder with MARKETLOOM_HOME"
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
    """Runs from the first holder's `with` to the last one's end, in whatever processes they are.

    A holder is a shared lock on a file, which ends with its process, however that ends. A server whose last holder was
    killed runs on, and the next holder takes it over. As root the server runs as the owner of its folder or the system
    user `pgserver`, and the folders above the home become passable for it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.expanduser().resolve()
        self._cluster = Cluster(self._home / "postgres")
        self._stack = ExitStack()

    @property
    def dsn(self) -> str:
        """Of the database `marketloom`, for psycopg."""
        return self._address("postgresql", "marketloom")

    @property
    def dagster_url(self) -> str:
        """Of the database `dagster`, for SQLAlchemy with psycopg2: dagster-postgres does not speak psycopg 3."""
        return self._address("postgresql+psycopg2", "dagster")

    def __enter__(self) -> Self:
        """Raises UnusableHome or StoreUnreachable, the latter with the end of the server's log."""
        with ExitStack() as stack:
            stack.enter_context(_unwinding_when_ended())
            stack.enter_context(self._held())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _address(self, scheme: str, database: str) -> str:
        folder = quote(str(self._cluster.socket_folder), safe="/")
        return f"{scheme}://postgres@/{database}?host={folder}&port={PORT}"

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock_file("postgres.holders") as holders:
            fcntl.flock(holders, fcntl.LOCK_SH)  # waits while a last holder is stopping the server
            try:
                with self._lock_file("postgres.starting") as starting:
                    fcntl.flock(starting, fcntl.LOCK_EX)
                    self._cluster.ensure_running()
                    self._create_databases()
                yield
            finally:
                with _undisturbed():
                    if _last(holders):
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
        except psycopg.Error as error:
            raise StoreUnreachable(f"the databases in {self._home} could not be made: {error}") from error


def reachable(dsn: str, timeout: float) -> bool:
    """Does a server accept a connection within `timeout` seconds (rounded up, at least 2)?

    Raises InvalidSettings when `dsn` is not an address at all.
    """
    import psycopg

    try:
        psycopg.connect(dsn, connect_timeout=max(2, -int(-timeout // 1))).close()
        return True
    except psycopg.OperationalError:
        return False
    except psycopg.Error:
        raise InvalidSettings(
            "the PostgreSQL address is not one: write postgresql://user:password@host:5432/database"
        ) from None


def _last(holders: BinaryIO) -> bool:
    """Asking gives the own share up, so of two that leave at once exactly one, the later, is the last."""
    try:
        fcntl.flock(holders, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


@contextmanager
def _unwinding_when_ended() -> Iterator[None]:
    """SIGTERM and SIGHUP leave `with` blocks in order instead of ending the process on the spot."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    unhandled = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    with _handling(leave, unhandled):
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not interrupt the server's stopping."""
    with _handling(lambda *_: None, (*ENDING, signal.SIGINT)):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], object], numbers: Sequence[int]) -> Iterator[None]:
    """Python lets only the main thread handle signals; in others this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if earlier is not None else signal.SIG_DFL)
