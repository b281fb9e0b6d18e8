"""Tools about the account and its results: status, portfolio, parity, leaderboard, cost."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from orchestration.commands import model_status, parity, portfolio, status
from orchestration.mcp.answers import quoted
from orchestration.services import Services

MAX_WORDS = 500
NEWEST = 30  # trades and snapshots of an answer
Days = Annotated[int, Field(ge=1, le=3660, description="How far back")]


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
    """Judge every voter by its recorded votes on what it cannot have read, net of cost, beside a coin and holding.

    A short time says little, and luck leads short lists: read the intervals and the number of votes first.
    """
    services = Services.current()
    until = services.clock().at
    return services.board_maker.board(until - timedelta(days=days), until).facts()


def cost() -> dict[str, Any]:
    """Say what language models have cost: today against the budget, and all calls by model, purpose and outcome."""
    services = Services.current()
    names = (
        "provider", "model", "purpose", "outcome", "calls", "reused", "input_tokens", "output_tokens", "usd", "seconds"
    )  # fmt: skip
    usage = [{name: getattr(each, name) for name in names} for each in services.model_calls.usage()]
    return {**model_status.read(services), "usage": usage}
