"""A whole sandbox on a free port of this machine, in a thread of the test, on a small simulated market."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from streaming.sandbox.market import Tick
from streaming.sandbox.server import Opening, Running, SandboxServer
from tests.streaming.sandbox.simulated_exchange import CONFIG, INSTRUMENTS, opening
from trading.market import Instrument, Pair
from trading.orders import Side


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Its URL and a key to send requests with; `running` may only be read: it belongs to another thread."""

    url: str
    key: str
    secret: str
    running: Running
    portal: BlockingPortal  # into that thread

    @property
    def websocket(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v2"

    def admin(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        response = httpx.request(
            method,
            f"{self.url}/admin/{path}",
            json=body,
            headers={"X-Sandbox-Admin": "test"},
            timeout=30,
            verify=False,  # plain HTTP; every call would load all certificates, which takes longer than the rest
        )
        assert response.status_code == 200, response.text
        return response.json()

    def advance(self, seconds: float) -> None:
        self.admin("advance", {"seconds": seconds})

    def trade(self, pair: Pair, price: Decimal) -> None:
        """Let the market trade at this price: it is the last one until the next `advance`."""
        exchange = self.running.exchange
        tick = Tick(
            pair, exchange.market_now() + timedelta(milliseconds=1), price, Decimal(1), Side.SELL, "market"
        )
        self.portal.call(exchange.apply, tick)

    def arm(self, kind: str, **details: Any) -> int:
        return int(self.admin("faults", {"kind": kind, **details})["id"])

    def disarm(self) -> None:
        self.admin("faults", method="DELETE")

    def open_account(self, name: str, balances: Mapping[str, Decimal]) -> "Sandbox":
        """The same sandbox with the key of another account."""
        amounts = {asset: str(amount) for asset, amount in balances.items()}
        issued = self.admin("accounts", {"account": name, "balances": amounts})
        return replace(self, key=issued["key"], secret=issued["secret"])

    def enter(self, account: str, asset: str, amount: str, kind: str = "deposit") -> str:
        """Money comes from outside or leaves; returns the entry's id."""
        body = {"account": account, "asset": asset, "amount": amount, "kind": kind}
        return str(self.admin("entries", body)["id"])

    def export(self) -> dict[str, list[dict[str, Any]]]:
        tables: dict[str, list[dict[str, Any]]] = self.admin("export", method="GET")
        return tables

    def last(self, pair: Pair) -> Decimal:
        return Decimal(self.admin("status", method="GET")["pairs"][str(pair)]["last"])


@contextmanager
def sandbox(
    folder: Path,
    instruments: Mapping[Pair, Instrument] = INSTRUMENTS,
    opens: Opening | None = None,
    **changes: Any,
) -> Iterator[Sandbox]:
    """Serve until the end of the block. Market time stands still at STARTS until `advance`, unless `speed` is set."""
    opens = opens or opening(instruments)
    server, stop = SandboxServer(replace(CONFIG, **changes), opens, folder), asyncio.Event()

    async def serve(*, task_status: TaskStatus[Running]) -> None:
        await server.run(stop, task_status.started)

    with start_blocking_portal() as portal:
        ended, running = portal.start_task(serve, name="sandbox")
        try:
            yield Sandbox(running.url, running.key.key, running.key.secret, running, portal)
        finally:
            portal.call(stop.set)
            ended.result(30)
