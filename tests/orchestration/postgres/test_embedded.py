import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy

from orchestration.postgres.cluster import SOCKET, Cluster
from orchestration.postgres.embedded import EmbeddedPostgres, prepare_home
from orchestration.postgres.server_user import choose_user
from tests.processes import is_alive
from trading.errors import StoreUnreachable, UnusableHome
from trading.stores.postgres import PostgresJournal, migrate

ROOT = Path(__file__).parents[3]
AT = dt.datetime(2020, 2, 21, tzinfo=dt.UTC)
NOBODY = 65534

HOLDER = """
import os, signal, sys
from pathlib import Path
import psycopg.sql, encodings.idna
from orchestration.postgres.embedded import EmbeddedPostgres
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored below nohup
if len(sys.argv) > 2:
    os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    signal.pause()
"""


def accepts_connections(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Make a home whose server is created once; every test leaves it stopped."""
    folder = Path(tempfile.mkdtemp(prefix="loom-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def nothing_left_running(home: Path, tmp_path: Path) -> Iterator[None]:
    yield
    servers = [each for each in psutil.process_iter(["name", "cwd"]) if each.info["name"] == "postgres"]
    assert [each for each in servers if (each.info["cwd"] or "").startswith((str(home), str(tmp_path)))] == []


@contextmanager
def holder(home: Path, *user: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, in a session of its own, that holds the server until it is told to end."""
    command = [sys.executable, "-c", HOLDER, str(home), *user]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            first = process.stdout.readline() if process.stdout else ""
            assert first.startswith("postgresql://"), process.stderr and process.stderr.read()
            yield process
        finally:
            process.kill()


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0]))


def open_account(dsn: str) -> PostgresJournal:
    journal = PostgresJournal(dsn)
    journal.open_account("paper", {"USDT": Decimal(1000)}, AT)
    return journal


def test_a_home_is_created_with_the_folders_above_it(tmp_path: Path) -> None:
    home = prepare_home(tmp_path / "new" / "home")
    assert home.is_dir()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/marketloom", "file/home", "with$dollar"])
def test_a_home_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnusableHome, match=r"(marketloom|home|dollar).*MARKETLOOM_HOME"):
        prepare_home(tmp_path / place)


def test_the_server_runs_while_it_is_held_and_no_longer(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert accepts_connections(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        assert {"marketloom", "dagster"} <= names
    assert not accepts_connections(server.dsn)


def test_dagsters_address_names_the_driver_that_dagster_postgres_speaks(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        engine = sqlalchemy.create_engine(server.dagster_url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT current_database()")).scalar() == "dagster"
        engine.dispose()
    assert engine.driver == "psycopg2"


def test_the_server_outlives_every_holder_but_the_last(home: Path) -> None:
    with holder(home) as other:
        with EmbeddedPostgres(home) as server, EmbeddedPostgres(home):
            pass
        assert accepts_connections(server.dsn)
        other.send_signal(signal.SIGTERM)
        other.wait()
    assert not accepts_connections(server.dsn)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_holder_that_is_told_to_end_stops_the_server_first(home: Path, number: signal.Signals) -> None:
    with holder(home) as process:
        process.send_signal(number)
        assert process.wait(timeout=60) != 0
    assert not (home / "postgres" / "postmaster.pid").exists()


def test_ctrl_c_in_the_terminal_of_one_holder_leaves_the_server_to_the_others(home: Path) -> None:
    with holder(home) as starter, EmbeddedPostgres(home) as server:
        os.killpg(starter.pid, signal.SIGINT)
        starter.wait()
        assert accepts_connections(server.dsn)


def test_the_server_of_a_killed_holder_is_taken_over_and_stopped(home: Path) -> None:
    with holder(home) as process:
        server = postmaster(home)
        process.kill()
        process.wait()
    assert server.is_running()
    with EmbeddedPostgres(home):
        assert postmaster(home) == server
    server.wait(
        timeout=60
    )  # it has closed the data folder; a busy machine takes a while to let the process go


def test_a_killed_server_is_reported_and_has_lost_nothing_after_the_next_start(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        migrate(server.dsn)
        journal = open_account(server.dsn)
        for process in Cluster(home.resolve() / "postgres").processes():
            process.kill()
        with pytest.raises(StoreUnreachable, match=r"nothing committed is lost; run `marketloom doctor`"):
            journal.balances("paper")
        with EmbeddedPostgres(home):
            assert journal.balances("paper") == {"USDT": Decimal(1000)}


def test_a_server_that_ended_below_its_lease_is_revived(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        migrate(server.dsn)
        journal = open_account(server.dsn)
        assert not server.revive()
        for process in Cluster(home.resolve() / "postgres").processes():
            process.kill()
        assert server.revive()
        assert journal.balances("paper") == {"USDT": Decimal(1000)}
        assert not server.revive()


def test_a_store_goes_on_after_the_server_was_restarted_between_two_calls(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        migrate(server.dsn)
        journal = open_account(server.dsn)
    with EmbeddedPostgres(home):
        assert journal.balances("paper") == {"USDT": Decimal(1000)}


def test_a_process_id_that_was_given_to_somebody_else_does_not_block_the_start(home: Path) -> None:
    with EmbeddedPostgres(home):
        lines = (home / "postgres" / "postmaster.pid").read_text()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        stale = home / "postgres" / "postmaster.pid"
        stale.write_text("\n".join([str(stranger.pid), *lines.splitlines()[1:]]) + "\n")
        with EmbeddedPostgres(home) as server:
            assert accepts_connections(server.dsn)
        assert stranger.poll() is None
        stranger.kill()


def test_an_empty_process_id_file_does_not_block_the_start(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    (home / "postgres" / "postmaster.pid").write_text("")
    with EmbeddedPostgres(home) as server:
        assert accepts_connections(server.dsn)


def test_processes_that_outlived_their_server_are_cleared_away(home: Path) -> None:
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn) as connection:
        session = psutil.Process(connection.info.backend_pid)
        session.suspend()  # it cannot notice that its postmaster is gone
        postmaster(home).kill()
        with EmbeddedPostgres(home):
            assert accepts_connections(server.dsn)
            assert not is_alive(session)


def test_a_server_whose_socket_was_deleted_is_started_again(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        (home / "postgres" / SOCKET).unlink()
        assert not accepts_connections(server.dsn)
        with EmbeddedPostgres(home):
            assert accepts_connections(server.dsn)


def test_an_interrupted_initdb_is_begun_anew(tmp_path: Path) -> None:
    partial = tmp_path / "postgres.partial"
    partial.mkdir()
    (partial / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path) as server:
        assert accepts_connections(server.dsn)
    assert not partial.exists()


@pytest.mark.parametrize("name", ["a home, 100 % mine @work", "long-" * 30])
def test_a_home_whose_path_is_odd_or_too_long_for_a_socket_works(tmp_path: Path, name: str) -> None:
    home = prepare_home(tmp_path / name)
    with EmbeddedPostgres(home) as server:
        assert accepts_connections(server.dsn)
        engine = sqlalchemy.create_engine(server.dagster_url)
        engine.connect().close()
        engine.dispose()
        folder = Cluster(home.resolve() / "postgres").socket_folder
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.parametrize("attack", ["open to others", "a link", "no folder", "belongs to user 65534"])
def test_a_socket_folder_that_somebody_else_made_is_refused(tmp_path: Path, attack: str) -> None:
    """Whoever owns the folder can put a socket of their own into it, and read and answer what we ask."""
    if "belongs" in attack and os.geteuid() != 0:
        pytest.skip("only root can make a folder of somebody else")
    home = prepare_home(tmp_path / ("long-" * 30))
    folder = Cluster(home.resolve() / "postgres").socket_folder
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    try:
        match attack:
            case "a link":
                folder.symlink_to(elsewhere)
            case "no folder":
                folder.touch(mode=0o700)
            case _:
                folder.mkdir(mode=0o700)
                owner = choose_user(home / "postgres")
                os.chown(folder, NOBODY if "belongs" in attack else owner.uid if owner else os.geteuid(), -1)
                folder.chmod(0o777 if "open" in attack else 0o700)
        with pytest.raises(UnusableHome, match=rf"{folder}.* {attack}.*remove it.*TMPDIR"):
            EmbeddedPostgres(home).__enter__()
        assert not (home / "postgres").exists()
        assert list(elsewhere.iterdir()) == []
    finally:
        folder.unlink(missing_ok=True) if folder.is_symlink() or folder.is_file() else shutil.rmtree(
            folder, ignore_errors=True
        )


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    settings = home / "postgres" / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    try:
        with pytest.raises(StoreUnreachable, match="no_such_setting"), EmbeddedPostgres(home):
            pass
    finally:
        settings.write_text(before)
    with EmbeddedPostgres(home) as server:
        assert accepts_connections(server.dsn)


def test_data_of_another_version_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(UnusableHome, match="made by PostgreSQL 16"), EmbeddedPostgres(tmp_path):
        pass


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become somebody else; others are the case itself"
)
def test_an_ordinary_user_needs_nobodys_help() -> None:
    home = Path(tempfile.mkdtemp(prefix="loom-"))
    os.chown(home, NOBODY, NOBODY)
    try:
        with holder(home, str(NOBODY)) as process:
            server = postmaster(home)
            assert server.uids().real == NOBODY
            process.send_signal(signal.SIGTERM)
            process.wait()
        assert not is_alive(server)
    finally:
        shutil.rmtree(home)
