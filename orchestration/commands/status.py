"""Facts about what is stored, for `marketloom status` and `marketloom why`."""

from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.resources import World
from orchestration.settings import chosen_file
from orchestration.system import running_system
from trading.errors import NotStored
from trading.market import Pair
from trading.orders import Fill, Order
from trading.risk.halts import active


def read_decision(decision_id: str) -> tuple[dict[str, Any], Order | None, list[Fill]]:
    """The receipt, the order's state and its fills. NotStored when no decision has that id."""
    with running_system():
        journal = World.current().journal
        receipt = journal.decision(decision_id)
        intent = journal.intent(receipt["decision_id"])
        if intent is None:
            return receipt, None, []
        fills = [fill for fill in journal.fills(receipt["account"]) if fill.intent_id == intent.intent_id]
        return receipt, journal.order(intent.intent_id), fills


def read_status() -> dict[str, Any]:
    """Everything a person asks first; the market's own numbers per pair."""
    with running_system() as system:
        world = World.current()
        market = world.settings.market
        return {
            "home": str(system.home),
            "dataset": world.dataset,
            "chosen_by_demo": chosen_file(system.home).exists(),
            "pairs": {str(pair): _pair_status(world, pair) for pair in market.pairs},
            "account": world.account.name,
            "balances": _balances(world),
            "halts": halts(world),
            "decisions": [
                {key: row[key] for key in ("decision_id", "pair", "decided_at", "outcome")}
                for row in world.journal.decisions(world.account.name, limit=10)
            ],
        }


def _pair_status(world: World, pair: Pair) -> dict[str, Any]:
    months = world.candle_store.months(pair)
    newest = world.candle_store.read(pair, months[-1])["close_time"].max() if months else None
    champion = world.policies.champion(pair)
    return {
        "months_of_candles": len(months),
        "months_of_features": len(world.feature_store.months(pair)),
        "newest_close": newest,
        "folds": len(world.policies.latest_folds(pair)),
        "champion": champion.policy_id if champion else None,
    }


def _balances(world: World) -> dict[str, str]:
    try:
        return {asset: str(amount) for asset, amount in world.journal.balances(world.account.name).items()}
    except NotStored:
        return {}


def halts(world: World, at: datetime | None = None) -> list[dict[str, Any]]:
    """What keeps the account from opening positions, by its own clock: on history that of the newest candle."""
    known = world.journal.halts(world.account.name)
    if not known:
        return []
    return [
        {"kind": halt.kind.value, "since": halt.since, "until": halt.until, "reason": halt.reason}
        for halt in active(known, at or world.knowledge.now())
    ]


def show(facts: dict[str, Any], out: Console) -> None:
    out.print(f"home [bold]{facts['home']}[/bold], data [bold]{facts['dataset']}[/bold]")
    if facts["chosen_by_demo"]:
        out.print(
            "the data were chosen by the last `marketloom demo`; delete chosen.toml in the home to undo"
        )
    out.print(_pairs_table(facts["pairs"]))
    out.print(f"account {facts['account']}: {_amounts(facts['balances'])}")
    for halt in facts["halts"]:
        end = f"until {halt['until']:%Y-%m-%d %H:%M} UTC" if halt["until"] else "until `marketloom resume`"
        out.print(f"  [red]halted[/red] {end}, {halt['kind']}: {halt['reason']}", highlight=False)
    for row in facts["decisions"]:
        out.print(
            f"  {row['decision_id'][:8]}  {row['decided_at']}  {row['pair']}: {row['outcome']}",
            highlight=False,
        )


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
