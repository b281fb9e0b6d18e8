"""A whole sandbox on a free port of this machine, in a thread of the test, on a small simulated market."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from streaming.sandbox.config import SandboxConfig
from streaming.sandbox.market import CandleReplay
from streaming.sandbox.model import Listing
from streaming.sandbox.rates import TIERS, RateLimit, RateTier
from streaming.sandbox.server import Opening, Running, SandboxServer
from trading.fills import Costs
from trading.margin.terms import MarginTerms
from trading.market import Instrument, Pair, Timeframe
from trading.simulation.market import SimulatedMarket

BTC, XRP, CROSS = Pair("BTC", "USDT"), Pair("XRP", "USDT"), Pair("XRP", "BTC")
COSTS = Costs(taker_fee=0.0026, half_spread=0.0001, slippage=0.0002)
BEGINS = datetime(2024, 3, 1, tzinfo=UTC)
STARTS = BEGINS + timedelta(days=1)
MARKET = SimulatedMarket((BTC, XRP, CROSS), Timeframe.M1, 5, BEGINS, BEGINS + timedelta(days=3))
BALANCES = {"BTC": Decimal("0.5"), "USDT": Decimal(20_000), "XRP": Decimal(5_000)}
TERMS = MarginTerms(
    opening_fee=Decimal("0.0002"),
    rollover_fee=Decimal("0.0002"),
    rollover_every=timedelta(hours=4),
    call_level=Decimal("0.8"),
    liquidation_level=Decimal("0.4"),
    leverage=Decimal(3),
)
CONFIG = SandboxConfig(
    host="127.0.0.1",
    port=0,
    candles="",
    trades="",
    start="",
    speed=0.0,
    seed=1,
    history_days=1,
    latency_ms=0.0,
    latency_jitter_ms=0.0,
    level_value=Decimal(25_000),
    levels=25,
    leverage=3,
    tier="pro",
    faults=(),
)


def instrument(pair: Pair, price: str, least: str, cost: str) -> Instrument:
    return Instrument(
        pair, Decimal(price), Decimal("0.00000001"), Decimal(least), Decimal(cost), Decimal("0.0026"),
        Decimal("0.0016"), maximum_leverage=Decimal(3),
    )  # fmt: skip


INSTRUMENTS = {
    BTC: instrument(BTC, "0.1", "0.00005", "0.5"),
    XRP: instrument(XRP, "0.00001", "2", "0.5"),
    CROSS: instrument(CROSS, "0.00000001", "2", "0.00002"),
}
PLENTY = RateLimit(1_000_000, 10_000)
UNHURRIED = RateTier("unhurried", PLENTY, PLENTY)  # no venue's: for tests of something else than rates
TIERS[UNHURRIED.name] = UNHURRIED
LEVEL_VALUES = {BTC: Decimal(25_000), XRP: Decimal(25_000), CROSS: Decimal(1)}


def opening(instruments: Mapping[Pair, Instrument] = INSTRUMENTS) -> Opening:
    return Opening(
        source=CandleReplay(MARKET, instruments, Timeframe.M1),
        start=STARTS,
        resumes=True,
        listings={
            pair: Listing(each, COSTS, LEVEL_VALUES[pair], CONFIG.levels)
            for pair, each in instruments.items()
        },
        quote="USDT",
        terms=TERMS,
        balances=lambda prices: BALANCES,
    )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Speak to it by URL; `running` is for looking at, from other threads than its own."""

    url: str
    key: str
    secret: str
    running: Running

    @property
    def websocket(self) -> str:
        return f"ws{self.url.removeprefix('http')}/v2"

    def admin(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> Any:
        answer = httpx.request(
            method, f"{self.url}/admin/{path}", json=body, headers={"X-Sandbox-Admin": "test"}, timeout=30
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def advance(self, seconds: float) -> None:
        self.admin("advance", {"seconds": seconds})

    def arm(self, kind: str, **how: Any) -> int:
        return int(self.admin("faults", {"kind": kind, **how})["id"])

    def disarm(self) -> None:
        self.admin("faults", method="DELETE")

    def open_account(self, name: str, balances: Mapping[str, Decimal]) -> "Sandbox":
        """The same sandbox with the key of another account."""
        asked = {"account": name, "balances": {asset: str(amount) for asset, amount in balances.items()}}
        issued = self.admin("accounts", asked)
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
    told: list[Running] = []
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def ready(running: Running) -> None:
        told.append(running)
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
        [running] = told
        yield Sandbox(running.url, running.key.key, running.key.secret, running)
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        assert not thread.is_alive()
    if failed:
        raise failed[0]
