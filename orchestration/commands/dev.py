"""`marketloom dev`: the UI, the daemon and the code server, as child processes that end with this one."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from orchestration.commands.port import check_port_is_free
from orchestration.commands.supervisor import Plan, Server, end_group, how_it_ended
from orchestration.kill_switch import KillSwitch
from orchestration.services import Services
from orchestration.streamed import streams
from orchestration.system import (
    POSTGRES,
    WORKSPACE,
    System,
    dagster_instance,
    running_system,
    single_server,
)
from orchestration.web_guard import TOKEN, check_reachability
from trading.atomic_files import replace_file

PORT_IN_USE = (
    "stop what uses it, or choose another port: marketloom dev --port 3001, [dagster] port in marketloom.toml, or "
    "MARKETLOOM__DAGSTER__PORT"
)
MODULE, LOCATION = "orchestration.definitions", "marketloom"
MAX_FOLDER = 80  # bytes that leave room for a socket's name: 103 are allowed in all
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUIET = ["--log-level", "warning"]


def serve(out: Console, port: int | None = None) -> int:
    """Run until Ctrl-C or SIGTERM: 0; 1 when a server ended by itself. `port` wins over the settings."""
    if port is not None:
        os.environ["MARKETLOOM__DAGSTER__PORT"] = str(port)  # every process reads the settings by itself
    embedded = not os.environ.get(POSTGRES)
    with running_system() as system, single_server(system.home) as lock, _socket_folder() as folder:
        host, port = system.settings.dagster.host, system.settings.dagster.port
        check_reachability(host, token := os.environ.get(TOKEN, ""))
        check_port_is_free(host, port, PORT_IN_USE)
        instance = dagster_instance(system.settings, is_server=True)
        startup_timeout = instance.code_server_process_startup_timeout
        instance.dispose()
        plan = Plan(
            home=str(system.home),
            embedded=embedded,
            servers=_servers(system, folder, startup_timeout),
            startup_timeout=startup_timeout,
            announcement=f"open http://{host}:{port}{'/?token=...' if token else ''} ; Ctrl-C stops everything",
        )
        out.print(f"data {system.settings.market.universe.dataset} in {system.home}")
        out.print(_what_streams(system))
        services = Services(system.settings, system.home, system.dsn)
        for note in services.live_gate.notes(services.traded):
            out.print(note.text, soft_wrap=True, markup=False)
        with kill_signal(system.home):
            return _supervise(plan, lock, out)


def _what_streams(system: System) -> str:
    """Say whether a market is recorded, and where that is seen."""
    market, stream = system.settings.market, system.settings.stream
    if not streams(system.settings):
        return f"nothing streams: {market.sources_in_words[0]} (docs/stream.md)"
    where = f"http://{stream.metrics_host}:{stream.metrics_port}/status" if stream.metrics_port else "its log"
    return f"streams {market.origin}: {where}, log {system.home / 'logs' / 'stream.log'}"


@contextmanager
def kill_signal(home: Path) -> Iterator[None]:
    """Pull the kill switch at SIGUSR1: the keeper finds it within seconds, a sender before its next order."""

    def pull(*_: object) -> None:
        KillSwitch(home).pull("a signal", "SIGUSR1 to `marketloom dev`")

    before = signal.signal(signal.SIGUSR1, pull)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _servers(system: System, folder: Path, startup_timeout: int) -> list[Server]:
    """List the code server, which imports the graph, the two that ask it, the account's keeper, and the stream."""
    address = str(folder / "code-server")
    workspace = Path(os.environ["DAGSTER_HOME"]) / WORKSPACE
    location = {"grpc_server": {"socket": address, "location_name": LOCATION}}
    replace_file(workspace, json.dumps({"load_from": [location]}).encode())  # JSON is YAML
    host, port = system.settings.dagster.host, system.settings.dagster.port
    logs = system.home / "logs"
    restarts = _python("orchestration.commands.stream_restarts")
    stream = [Server("stream", restarts, str(logs / "stream.log"))] if streams(system.settings) else []
    code = ["dagster", "code-server", "start", "--socket", address, "--module-name", MODULE]
    code += ["--location-name", LOCATION, "--startup-timeout", str(startup_timeout), *QUIET]
    daemon = ["dagster._daemon", "run", "--workspace", str(workspace), *QUIET]
    return [
        Server(
            "code server",
            _python(*code),
            str(logs / "code-server.log"),
            address,
            child="dagster api grpc",
            restore=_python("orchestration.commands.reload_code", address),
        ),
        Server("daemon", _python(*daemon), str(logs / "daemon.log")),
        Server("UI", webserver_command(workspace, host, port), str(logs / "ui.log"), (host, port)),
        Server("account keeper", _python("orchestration.commands.keeper"), str(logs / "account-keeper.log")),
        *stream,
    ]


def webserver_command(workspace: Path, host: str, port: int) -> list[str]:
    """Return the command that serves the UI of the workspace."""
    return _python(
        "orchestration.webserver", "--workspace", str(workspace), "--host", host, "--port", str(port),
        "--dagster-log-level", "warning",
    )  # fmt: skip


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def _socket_folder() -> Iterator[Path]:
    """Make a folder that only this user can enter, with a path short enough for a socket."""
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) <= MAX_FOLDER else "/tmp"
    with tempfile.TemporaryDirectory(prefix="marketloom-", dir=short, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _supervise(plan: Plan, lock: BinaryIO, out: Console) -> int:
    """Run the plan in a session of its own, which Ctrl-C does not reach; its standard input ends with this process.

    It runs in the home: Dagster reads a .env and a dagster.yaml of its working folder.
    """
    process = subprocess.Popen(
        _python("orchestration.commands.supervisor", plan.as_json()),
        cwd=plan.home,
        stdin=subprocess.PIPE,
        pass_fds=[lock.fileno()],
        start_new_session=True,
    )
    pipe = process.stdin
    assert pipe is not None

    def stop(*_: object) -> None:
        pipe.close()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        code = process.wait()
    finally:
        stop()
        process.wait()
        end_group(process.pid)  # nobody else does where the supervisor was killed
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0:
        out.print(f"error: the supervisor of the servers {how_it_ended(code)}; everything was stopped")
        return 1
    if code == 0:
        out.print("stopped")
    return code
