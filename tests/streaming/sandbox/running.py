"""A whole sandbox on a free port of this machine, in a thread of the test, on a small simulated market."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from streaming.sandbox.server import Running, SandboxServer
from tests.streaming.sandbox.simulated_exchange import CONFIG, INSTRUMENTS, opening
from trading.market import Instrument, Pair


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Its URL and a key to send requests with; `running` may only be read: it belongs to another thread."""

    url: str
    key: str
    secret: str
    running: Running

    @property
    def websocket(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v2"

    def admin(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        response = httpx.request(
            method, f"{self.url}/admin/{path}", json=body, headers={"X-Sandbox-Admin": "test"}, timeout=30
        )
        assert response.status_code == 200, response.text
        return response.json()

    def advance(self, seconds: float) -> None:
        self.admin("advance", {"seconds": seconds})

    def arm(self, kind: str, **details: Any) -> int:
        return int(self.admin("faults", {"kind": kind, **details})["id"])

    def disarm(self) -> None:
        self.admin("faults", method="DELETE")

    def open_account(self, name: str, balances: Mapping[str, Decimal]) -> "Sandbox":
        """The same sandbox with the key of another account."""
        amounts = {asset: str(amount) for asset, amount in balances.items()}
        issued = self.admin("accounts", {"account": name, "balances": amounts})
        return replace(self, key=issued["key"], secret=issued["secret"])

    def export(self) -> dict[str, list[dict[str, Any]]]:
        tables: dict[str, list[dict[str, Any]]] = self.admin("export", method="GET")
        return tables

    def last(self, pair: Pair) -> Decimal:
        return Decimal(self.admin("status", method="GET")["pairs"][str(pair)]["last"])


@contextmanager
def sandbox(
    folder: Path, instruments: Mapping[Pair, Instrument] = INSTRUMENTS, **changes: Any
) -> Iterator[Sandbox]:
    """Market time stands still at STARTS until `advance`, unless `speed` says otherwise."""
    server = SandboxServer(replace(CONFIG, **changes), opening(instruments), folder)
    started = threading.Event()
    started_as: list[Running] = []
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def ready(running: Running) -> None:
        started_as.append(running)
        started.set()

    def serve() -> None:
        try:
            loop.run_until_complete(server.run(stop, ready))
        except BaseException as error:
            failed.append(error)
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=serve, name="sandbox")
    thread.start()
    try:
        assert started.wait(60)
        if failed:
            raise failed[0]
        [running] = started_as
        yield Sandbox(running.url, running.key.key, running.key.secret, running)
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
    if failed:
        raise failed[0]
