"""`marketloom sandbox`: run the exchange of the settings on this machine, and export its books."""

import asyncio
import fcntl
import logging
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestration.commands.port import check_port_is_free
from orchestration.commands.sandbox_market import sandbox_opening
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import Settings
from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.exchange.export import Form, export, write_export
from streaming.sandbox.exchange.store import ExchangeStore
from streaming.sandbox.server import EXCHANGE_FILE, Running, SandboxServer
from trading.errors import InvalidSettings, InvalidValue, NotStored

LOCK_FILE = "sandbox.lock"
PORT_IN_USE = "is another sandbox running? Stop it, or choose another port with --port or [sandbox] port"


def sandbox_folder(home: Path) -> Path:
    return home / "sandbox"


def serve(changes: Mapping[str, Any], fresh: bool, out: Console) -> None:
    """Run until Ctrl-C or SIGTERM. `changes` are keys of [sandbox]; `fresh` moves an older sandbox aside."""
    settings = load_settings()
    config = replace(settings.sandbox, **changes)
    home = prepare_home(home_folder())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with _single_sandbox(home):
        check_port_is_free(config.host, config.port, PORT_IN_USE)
        if fresh:
            _move_old_books_aside(settings, config, home)
        folder = sandbox_folder(home)
        folder.mkdir(exist_ok=True)
        if changes.get("start"):
            _check_start_is_free(folder)
        opening = sandbox_opening(settings, config, folder)
        asyncio.run(_run(SandboxServer(config, opening, folder), out))


def export_books() -> dict[str, list[dict[str, Any]]]:
    """Export orders, fills, balances and what led to them, of this home's sandbox, running or not."""
    return export(_store())


def write_books(folder: Path, form: Form) -> dict[str, int]:
    """Write the same as one file per table; return the rows of each."""
    return write_export(_store(), folder, form)


def parse_form(text: str) -> Form:
    try:
        return Form(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is no format: choose one of {', '.join(Form)}") from None


def _store() -> Path:
    store = sandbox_folder(home_folder()) / EXCHANGE_FILE
    if not store.exists():
        raise NotStored(
            f"{store} is not there: no sandbox has run with this home, start `marketloom sandbox`"
        )
    return store


async def _run(server: SandboxServer, out: Console) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run(stop, lambda running: _print_greeting(running, out))


def _print_greeting(running: Running, out: Console) -> None:
    exchange = running.exchange
    out.print(f"sandbox exchange on {running.url}, WebSocket v2 on ws{running.url.removeprefix('http')}/v2")
    out.print(
        f"market time {exchange.market_now():%Y-%m-%d %H:%M:%S} UTC; {', '.join(map(str, exchange.listings))}"
    )
    out.print(f"account {running.key.account}: {_amounts(exchange.balances(running.key.account))}")
    out.print(f"API key    {running.key.key}", soft_wrap=True)
    out.print(f"API secret {running.key.secret}", soft_wrap=True)
    out.print(f"faults, time and books: {running.url}/admin/status ; Ctrl-C stops it, and it remembers")


def _amounts(balances: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount:f} {asset}" for asset, amount in sorted(balances.items()))


@contextmanager
def _single_sandbox(home: Path) -> Iterator[None]:
    with (home / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidSettings(
                f"a sandbox runs on {sandbox_folder(home)} already: use it, stop it, or set MARKETLOOM_HOME elsewhere"
            ) from None
        yield


def _move_old_books_aside(settings: Settings, config: SandboxConfig, home: Path) -> None:
    """Move the old books aside, in one step and only when the new sandbox is sure to open."""
    with tempfile.TemporaryDirectory(dir=home) as trial:
        sandbox_opening(settings, config, Path(trial))
    if sandbox_folder(home).exists():
        sandbox_folder(home).rename(home / f"sandbox-before-{datetime.now(UTC):%Y%m%dT%H%M%S}")


def _check_start_is_free(folder: Path) -> None:
    if not (folder / EXCHANGE_FILE).exists():
        return
    with closing(ExchangeStore(folder / EXCHANGE_FILE)) as store:
        if position := store.position():
            raise InvalidValue(
                f"this sandbox stands at {position:%Y-%m-%d %H:%M:%S} UTC: leave --start out to go on there, "
                "or begin anew with --fresh"
            )
