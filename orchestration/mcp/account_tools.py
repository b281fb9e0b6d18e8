"""Tools about the account and its results: status, portfolio, parity, leaderboard, cost."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from orchestration.commands import model_status, parity, portfolio, status
from orchestration.mcp.answers import quoted
from orchestration.services import Services

MAX_WORDS = 500
NEWEST = 30  # trades and snapshots of an answer
Days = Annotated[int, Field(ge=1, le=366, description="UTC days up to today")]


def show_status() -> dict[str, Any]:
    """Say what is stored and what goes on: pairs, champion, balances, halts, decisions, the stream, failed runs."""
    facts = status.status_facts(Services.current())
    lines = [{**each, "outcome": quoted(each["outcome"], MAX_WORDS)} for each in facts["decisions"]]
    runs = [{**each, "reason": quoted(each["reason"], MAX_WORDS)} for each in facts["failed_runs"]]
    return {**facts, "decisions": lines, "failed_runs": runs}


def show_portfolio() -> dict[str, Any]:
    """Value the account now: equity and why it moved, open positions, newest trades and snapshots."""
    services = Services.current()
    account, at = services.input_reader.account, services.input_reader.now()
    facts = portfolio.portfolio_facts(account, at, services.journal.snapshots(account.name))
    newest = portfolio.newest_minute(services.balance_history, account.name, at)
    return {
        **facts,
        "trades": facts["trades"][-NEWEST:],
        "history": facts["history"][-NEWEST:],
        "newest_minute": newest,
    }


def audit_parity(
    day: Annotated[
        str, Field(description="UTC day such as 2024-03-14; the newest closed one without", max_length=20)
    ] = "",
) -> dict[str, Any]:
    """Back-test a closed day again and say why live earned something else, in parts that add up. Writes nothing."""
    return parity.facts(parity.audit(Services.current(), day))


def leaderboard(days: Days = 30) -> dict[str, Any]:
    """Rank every model by what its votes would have earned after costs, beside buy-and-hold; out of sample, in shadow.

    The sum of shares over pairs and days: a short time says little, and luck leads short lists.
    """
    services = Services.current()
    today = services.clock().at.date()
    rows = services.performance.read(today - timedelta(days=days), today + timedelta(days=1))
    by_model: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        by_model.setdefault((row["model"], row["mode"]), []).append(row)
    ranked = [{"model": model, "mode": mode, **_totals(each)} for (model, mode), each in by_model.items()]
    return {
        "until": today,
        "days": days,
        "models": sorted(ranked, key=lambda each: (-each["pnl"], each["model"])),
    }


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    votes = sum(row["votes"] for row in rows)
    hits = sum(row["votes"] * row["hit_rate"] for row in rows if row["hit_rate"] is not None)
    return {
        "days": len({row["day"] for row in rows}),
        "pairs": sorted({row["pair"] for row in rows}),
        "candles": sum(row["candles"] for row in rows),
        "votes": votes,
        "hit_rate": hits / votes if votes else None,
        "pnl": sum(row["pnl"] for row in rows),
        "cost_usd": sum(row["cost_usd"] for row in rows),
    }


def cost() -> dict[str, Any]:
    """Say what language models have cost: today against the budget, and all calls by model, purpose and outcome."""
    services = Services.current()
    names = (
        "provider", "model", "purpose", "outcome", "calls", "reused", "input_tokens", "output_tokens", "usd", "seconds"
    )  # fmt: skip
    usage = [{name: getattr(each, name) for name in names} for each in services.model_calls.usage()]
    return {**model_status.read(services), "usage": usage}
