"""`marketloom status --watch`: the market monitor, read anew each second until Ctrl-C."""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from orchestration.commands.status import halts
from orchestration.commands.status_view import picture, plain_lines
from orchestration.commands.stream_status import read_stream, read_stream_at_its_port
from orchestration.json_output import as_json_line
from orchestration.postgres.embedded import EmbeddedPostgres, prepare_home
from orchestration.services import Services
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.stored_facts import newest_decision
from orchestration.stream_tables import StreamTables
from orchestration.streamed import streams
from orchestration.system import POSTGRES
from trading.errors import MarketloomError, StoreUnreachable
from trading.stores.postgres import migrate

SECOND = 1.0
LINES_APART = 10.0  # seconds between two lines per pair where nobody sits at a terminal
NOT_STREAMED = '[market] source = "{source}" has no stream: kraken, sandbox and cryptocompare have'


def watch_status(out: Console, write_json: Callable[[str], object] | None) -> None:
    """Show the facts each second until Ctrl-C, or write each as one JSON line.

    Where PostgreSQL or the stream is away it says so, shows what it read last, and goes on when they are back.
    """
    settings, home = load_settings(), prepare_home(home_folder())
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        monitor = Monitor(settings, home, _address(home, stack))
        if write_json:
            _repeat(lambda: write_json(as_json_line(monitor.read())), SECOND)
        elif out.is_terminal:
            live = stack.enter_context(Live(console=out, auto_refresh=False, vertical_overflow="crop"))
            _repeat(lambda: live.update(picture(monitor.read(), out.width), refresh=True), SECOND)
        else:
            _repeat(lambda: _print_lines(monitor.read(), out), LINES_APART)


def _address(home: Path, stack: ExitStack) -> str:
    """Return the address of the user's own server, whether it answers or not, or of the embedded one, started here."""
    if configured := os.environ.get(POSTGRES):
        return configured
    server = stack.enter_context(EmbeddedPostgres(home))
    migrate(server.dsn)
    return server.dsn


def _repeat(act: Callable[[], object], pause: float) -> None:
    while True:
        began = time.monotonic()
        act()
        time.sleep(max(pause - (time.monotonic() - began), 0.05))


def _print_lines(facts: dict[str, Any], out: Console) -> None:
    for line in plain_lines(facts):
        out.print(line, soft_wrap=True)


class Monitor:
    """Reads everything that the monitor shows; what cannot be read keeps its last value, with the reason beside it."""

    def __init__(self, settings: Settings, home: Path, dsn: str) -> None:
        self._settings = settings
        self._dsn = dsn
        self._services = Services(settings, home, dsn)
        self._tables = StreamTables.of(settings, dsn, self._services.tape)
        self._stored: dict[str, Any] = {}
        self._stored_at: datetime | None = None

    def read(self) -> dict[str, Any]:
        """Return the facts of this moment as JSON values; nothing that is away raises."""
        problem = ""
        try:
            self._stored = {**self._tables.read(), **self._account()}
            self._stored_at = datetime.now(UTC)
        except MarketloomError as error:
            problem = str(error)
        return {
            "at": datetime.now(UTC),
            "origin": self._settings.market.origin,
            "stream": self._stream(),
            "stored": self._stored,
            "stored_at": self._stored_at,
            "problem": problem,
        }

    def _stream(self) -> dict[str, Any]:
        market = self._settings.market
        if not streams(self._settings):
            return {"running": False, "problem": NOT_STREAMED.format(source=market.source), "facts": {}}
        try:
            view = read_stream(self._settings, self._dsn)
        except StoreUnreachable:
            # The lease cannot be read: the stream may run all the same, at its usual address.
            view = read_stream_at_its_port(self._settings)
        return {
            "running": view.running,
            "holder": view.holder,
            "since": view.since,
            "address": view.address,
            "problem": view.problem,
            "facts": dict(view.facts),
        }

    def _account(self) -> dict[str, Any]:
        """Return the newest decision and the halts of the account; nothing before it has opened."""
        services = self._services
        try:
            name = services.account.name
        except MarketloomError:
            return {"account": None, "decision": None, "halts": []}
        return {
            "account": name,
            "decision": newest_decision(services.journal, name),
            "halts": halts(services),
        }
