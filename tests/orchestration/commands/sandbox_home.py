"""A home whose account is one of a running sandbox: what commands do there is what they do at a venue."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.system import POSTGRES
from streaming.sandbox.server import ACCOUNT, Opening
from tests.contracts.trade import intent, receipt
from tests.contracts.venues import Clerk, kraken_client, kraken_venue
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from trading.orders import OrderIntent
from trading.ports import Lease
from trading.risk import HaltKind
from trading.venues.kraken import Allowance, RateLimit, Tier

UNLIMITED = RateLimit(
    10_000, 1_000_000
)  # a counter that a refusal has filled is empty again in the next moment
PATIENCE = 100  # seconds of the venue's clock that an entry may take


@dataclass
class SandboxHome:
    exchange: Sandbox
    home: Path
    dsn: str

    @property
    def services(self) -> Services:
        """As another process builds them."""
        return Services(load_settings(), self.home, self.dsn)

    @property
    def account(self) -> str:
        return self.services.account.name

    def open(self) -> None:
        services = self.services
        services.account_reader.ensure_open(services.clock().at)
        self.exchange.advance(1)

    def decide(self, **changes: Any) -> OrderIntent:
        """Commit an entry, and leave it to whoever carries it out."""
        services, identity = self.services, str(uuid.uuid4())
        values = {"stop_loss": Decimal(10_000), "take_profit": None, **changes}
        wanted = intent(
            identity,
            intent_id=identity,
            account=services.account.name,
            created_at=services.clock().at,
            **values,
        )
        facts = receipt(identity) | {"account": services.account.name, "outcome": "an order"}
        services.journal.record_decision(facts, wanted)
        return wanted

    def trade(self, **changes: Any) -> OrderIntent:
        """Commit an entry and carry it out, as a decision does; what a slow machine has left, as its keeper does."""
        wanted, services = self.decide(**changes), self.services
        for _ in range(PATIENCE):
            if not services.order_executor.carry_out(self.account, services.clock().at).leaves_work:
                return wanted
            self.exchange.advance(1)  # an order without an answer counts as gone by the venue's clock
        raise AssertionError(f"not carried out: {services.journal.working_orders(self.account)}")

    def trade_sent(self, lease: Lease) -> str:
        """Commit an entry that is marked as sent, and send nothing; returns its id."""
        wanted, at = self.decide(), self.services.clock().at
        self.services.journal.mark_sent(wanted.intent_id, lease, at, at, at)
        return wanted.intent_id

    def stranger(self) -> Clerk:
        """Another program with the same key, and books of its own."""
        venue = kraken_venue(kraken_client(self.exchange, self.home / "stranger"))
        return Clerk(lambda: venue)

    def enter(self, asset: str, amount: str, kind: str) -> None:
        self.exchange.advance(1)
        self.exchange.enter(ACCOUNT, asset, amount, kind)

    def halts(self) -> list[HaltKind]:
        found = self.services.journal.halts(self.account)
        return [each.kind for each in found if each.needs_resume]

    def command(self, *words: str) -> Result:
        return CliRunner().invoke(app, words)

    def facts(self, *words: str, code: int = 0) -> dict[str, Any]:
        """What the command prints with --json."""
        result = self.command(*words, "--json")
        assert result.exit_code == code, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@contextmanager
def sandbox_home(
    folder: Path, dsn: str, patch: pytest.MonkeyPatch, opens: Opening | None = None
) -> Iterator[SandboxHome]:
    """Open the home. The exchange limits no calls, and nobody waits for limits that it does not have."""
    home = folder / "home"
    patch.setattr(Tier, "allowance", Allowance(UNLIMITED, UNLIMITED))
    with sandbox(home / "sandbox", opens=opens, tier=UNHURRIED.name) as exchange:
        for name, value in {
            "MARKETLOOM_HOME": str(home),
            "MARKETLOOM__MARKET__SOURCE": "sandbox",
            "MARKETLOOM__MARKET__TIMEFRAME": "1m",
            "MARKETLOOM__VENUE__MODE": "sandbox",
            "MARKETLOOM__SANDBOX__TIER": "pro",
            "MARKETLOOM__SANDBOX__PORT": exchange.url.rpartition(":")[2],
            POSTGRES: dsn,
        }.items():
            patch.setenv(name, value)
        yield SandboxHome(exchange, home, dsn)
