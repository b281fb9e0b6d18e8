"""What a running stream says of itself, found through its lease in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from orchestration.settings_schema import Settings
from trading.stores.postgres.stream import read_lease

PATIENCE = 2.0  # seconds for an answer of a process on this machine, or near it


@dataclass(frozen=True, slots=True)
class StreamView:
    """The stream of an origin as it is now. `facts` are those of its /status, empty while it does not answer."""

    origin: str
    running: bool
    holder: str = ""
    since: datetime | None = None
    address: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""  # why nothing is known of it

    @property
    def pairs(self) -> Mapping[str, Mapping[str, Any]]:
        pairs: Mapping[str, Mapping[str, Any]] = self.facts.get("pairs", {})
        return pairs

    @property
    def live_pairs(self) -> set[str]:
        """Return the pairs of which no trade can be missed right now."""
        return {pair for pair, facts in self.pairs.items() if facts["trades"] == "live"}

    @property
    def queue(self) -> int | None:
        """Return the messages that are not durable yet; None while it does not answer."""
        return self.facts.get("queue")


def read_stream(settings: Settings, dsn: str) -> StreamView:
    """Read the lease, and the facts of the process that has it. StoreUnreachable while PostgreSQL is away."""
    origin = settings.market.origin
    lease = read_lease(dsn, origin)
    if lease is None or not lease.running:
        problem = f"no stream of {origin} runs: `marketloom stream` starts one, `marketloom dev` too"
        return StreamView(origin, False, problem=problem)
    try:
        facts = _ask(lease.address)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        problem = f"the stream of {lease.holder} does not answer on {lease.address or 'any address'}: {error}"
        return StreamView(origin, True, lease.holder, lease.since, lease.address, problem=problem)
    return StreamView(origin, True, lease.holder, lease.since, lease.address, facts)


def read_stream_at_its_port(settings: Settings) -> StreamView:
    """Ask at the address of the settings: what is left to do while PostgreSQL, which knows the lease, is away."""
    origin, chosen = settings.market.origin, settings.stream
    address = f"http://{chosen.metrics_host}:{chosen.metrics_port}"
    try:
        facts = _ask(address)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        problem = f"whether a stream of {origin} runs is not known: nobody answers on {address}"
        return StreamView(origin, False, problem=problem)
    if facts.get("origin") != origin:
        return StreamView(
            origin, False, problem=f"another stream, of {facts.get('origin')}, answers on {address}"
        )
    return StreamView(origin, True, address=address, facts=facts)


def _ask(address: str) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = httpx.get(f"{address}/status", timeout=PATIENCE).raise_for_status().json()
    return facts
