"""Facts about what is stored, for `marketloom status` and `marketloom why`."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands import account_status, model_status
from orchestration.commands.decision_watch import SensorSwitches
from orchestration.commands.stream_status import read_stream
from orchestration.services import Services
from orchestration.settings import chosen_file
from orchestration.streamed import streams
from orchestration.system import is_served, running_system
from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, Order
from trading.ports import Journal
from trading.risk.halts import active_halts

SHOWN_FAILURES = 3
NOTE_STYLE = {"info": "", "warning": "yellow", "error": "red"}


def read_decision(decision_id: str) -> tuple[dict[str, Any], Order | None, list[Fill]]:
    """Read the receipt, the order's state and its fills. NotStored when no decision has that id."""
    with running_system():
        return stored_decision(Services.current().journal, decision_id)


def stored_decision(journal: Journal, decision_id: str) -> tuple[dict[str, Any], Order | None, list[Fill]]:
    """Return the same from an open journal."""
    receipt = journal.decision(decision_id)
    intent = journal.intent(receipt["decision_id"])
    if intent is None:
        return receipt, None, []
    fills = [fill for fill in journal.fills(receipt["account"]) if fill.intent_id == intent.intent_id]
    return receipt, journal.order(intent.intent_id), fills


def read_status() -> dict[str, Any]:
    """Read the facts that a person asks for first, per pair and for the account."""
    with running_system():
        return status_facts(Services.current())


def status_facts(services: Services) -> dict[str, Any]:
    """Return the same of a system that runs."""
    market = services.settings.market
    return {
        "home": str(services.home),
        "dataset": services.dataset,
        "chosen_by_demo": chosen_file(services.home).exists(),
        "pairs": {str(pair): _pair_status(services, pair) for pair in market.pairs},
        "account": services.account.name,
        "live": [asdict(note) for note in services.live_gate.notes(services.traded)],
        "balances": _balances(services),
        "notes": [*_notes(services), *other_accounts(services)],
        "halts": halts(services),
        "trading": account_status.read(services, services.home, _now(services)),
        "decisions": [
            {key: row[key] for key in ("decision_id", "pair", "decided_at", "outcome")}
            for row in services.journal.decisions(services.account.name, limit=10)
        ],
        "models": model_status.read(services),
        "stream": _stream(services),
        "deciding": _deciding(services),
        "plans": [
            {
                "plan_id": each.plan_id,
                "account": each.account,
                "what": each.title,
                "expires_at": each.expires_at,
            }
            for each in services.plan_answers.store.waiting()
        ],
        "failed_runs": [asdict(note) for note in services.failure_notes.newest(SHOWN_FAILURES)],
    }


def _pair_status(services: Services, pair: Pair) -> dict[str, Any]:
    months = services.candle_store.months(pair)
    newest = services.candle_store.read(pair, months[-1])["close_time"].max() if months else None
    champion = services.policies.champion(pair)
    return {
        "months_of_candles": len(months),
        "months_of_features": len(services.feature_store.months(pair)),
        "newest_close": newest,
        "folds": len(services.policies.latest_folds(pair)),
        "champion": champion.policy_id if champion else None,
    }


def _stream(services: Services) -> dict[str, Any] | None:
    """Return what a stream of the source says of itself; None where the source has none."""
    if not streams(services.settings):
        return None
    view = read_stream(services.settings, services.dsn)
    return {
        "running": view.running,
        "holder": view.holder,
        "since": view.since,
        "problem": view.problem,
        "health": view.facts.get("health", []),
        "live_pairs": sorted(view.live_pairs),
    }


def _deciding(services: Services) -> dict[str, Any] | None:
    """Return whether anything decides, and on which pairs; None where no market streams, and nothing is missed."""
    if not streams(services.settings):
        return None
    served = is_served(services.home)
    return {
        "dev_runs": served,
        "pairs": sorted(map(str, SensorSwitches().decided_pairs(services))) if served else [],
    }


def _balances(services: Services) -> dict[str, str]:
    try:
        return {
            asset: str(amount) for asset, amount in services.journal.balances(services.account.name).items()
        }
    except NotStored:
        return {}


def _notes(services: Services) -> list[str]:
    """Name what the account holds in pairs that are not traded any more, and what no pair prices."""
    try:
        return services.account_reader.notes(services.clock().at)
    except NotStored:
        return []  # no candle is stored, or the account has not opened


def other_accounts(services: Services) -> list[str]:
    """Name the accounts of this database that hold something: of other settings, another key, an earlier version."""
    journal, own = services.journal, services.account.name
    others = [name for name in journal.accounts() if name != own and any(journal.balances(name).values())]
    if not others:
        return []
    return [
        f"accounts of other settings in this database: {', '.join(others)}; this one does not trade what they hold"
    ]


def halts(services: Services, at: datetime | None = None) -> list[dict[str, Any]]:
    """List the halts that keep the account from opening positions, by its clock: on history the newest candle's."""
    known = services.journal.halts(services.account.name)
    if not known:
        return []
    return [
        {
            "kind": halt.kind.value,
            "since": halt.since,
            "until": halt.until,
            "reason": halt.reason,
            "ended_by": account_status.ended_by(halt),
        }
        for halt in active_halts(known, at or _now(services))
    ]


def _now(services: Services) -> datetime:
    """Return the account's clock; the machine's before a candle is stored: what halts an account is always shown."""
    try:
        return services.clock().at
    except NotStored:
        return datetime.now(UTC)


def show(facts: dict[str, Any], out: Console) -> None:
    named = Text.assemble("home ", (facts["home"], "bold"), ", data ", (facts["dataset"], "bold"))
    out.print(named, soft_wrap=True)
    if facts["chosen_by_demo"]:
        out.print(
            "the data were chosen by the last `marketloom demo`; delete chosen.toml in the home to undo"
        )
    out.print(_pairs_table(facts["pairs"]))
    out.print(f"account {facts['account']}: {_amounts(facts['balances'])}")
    for note in facts["live"]:
        out.print(f"  {note['text']}", soft_wrap=True, markup=False, style=NOTE_STYLE[note["severity"]])
    for note in facts["notes"]:
        out.print(f"  {note}", soft_wrap=True)
    for halt in facts["halts"]:
        line = Text.assemble("  ", ("halted", "red"), f", {halt['kind']}: {halt['reason']}")
        out.print(line, soft_wrap=True)
        out.print(f"    {halt['ended_by']}", soft_wrap=True, markup=False)
    account_status.show(facts["trading"], out)
    model_status.show(facts["models"], out)
    if facts["stream"] is not None:
        out.print(_stream_line(facts["stream"]), soft_wrap=True)
    if facts["deciding"] is not None:
        out.print(decided_line(facts["deciding"], facts["pairs"]), soft_wrap=True)
    for plan in facts["plans"]:
        what = (
            f" until {plan['expires_at']:%H:%M:%S} UTC: {plan['what']} `marketloom mcp plans` shows its code"
        )
        out.print(Text.assemble("  ", ("a plan waits for a person", "yellow"), what), soft_wrap=True)
    for row in facts["decisions"]:
        outcome = f"  {row['decision_id'][:8]}  {row['decided_at']}  {row['pair']}: {row['outcome']}"
        out.print(outcome, soft_wrap=True)
    for run in facts["failed_runs"]:
        out.print(
            f"  run {run['run_id'][:8]} of {run['job']} {run['partition']} failed at {run['at']:%Y-%m-%d %H:%M} UTC: "
            f"{run['reason']}",
            soft_wrap=True,
        )


def _stream_line(stream: dict[str, Any]) -> Text:
    if stream["problem"]:
        return Text.assemble("  stream: ", (stream["problem"], "yellow"))
    health = "; ".join(stream["health"])
    state = (f"not well: {health}", "red") if health else ("well", "green")
    pairs = ", ".join(stream["live_pairs"]) or "no pair"
    return Text.assemble("  stream: ", state, f", {pairs} live; `marketloom status --watch` follows it")


def decided_line(deciding: dict[str, Any], pairs: Collection[str]) -> Text:
    """Say on which pairs nothing is decided although their candles close, and why."""
    if not deciding["dev_runs"]:
        return Text.assemble("  decisions: ", ("none", "yellow"), ", `marketloom dev` does not run")
    off = [pair for pair in pairs if pair not in deciding["pairs"]]
    if not off:
        return Text.assemble("  decisions: ", ("the sensors are on", "green"))
    which = ", ".join(off) if deciding["pairs"] else "every pair"
    state = (f"the sensor is off for {which}", "yellow")
    return Text.assemble("  decisions: ", state, "; its switch is in the UI, under Automation")


def _pairs_table(pairs: dict[str, dict[str, Any]]) -> Table:
    table = Table(
        "pair", "months of candles", "months of features", "newest close (UTC)", "folds", "champion"
    )
    for pair, row in pairs.items():
        newest = f"{row['newest_close']:%Y-%m-%d %H:%M}" if row["newest_close"] else "-"
        table.add_row(
            pair,
            str(row["months_of_candles"]),
            str(row["months_of_features"]),
            newest,
            str(row["folds"]),
            row["champion"] or "-",
        )
    return table


def _amounts(balances: dict[str, str]) -> str:
    return ", ".join(f"{amount} {asset}" for asset, amount in balances.items()) or "not opened yet"
