"""The tools in their fixed order, each with what it may do: clients show this to people before they allow a call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.types import ToolAnnotations

from orchestration.mcp import account_tools, decision_tools, market_tools, plan_tools

READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

PLANS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
CHANGES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True
)


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """One tool as it is offered."""

    name: str
    title: str
    run: Callable[..., Any]
    annotations: ToolAnnotations


READING = (
    ToolEntry("status", "What is stored and what goes on", account_tools.show_status, READS),
    ToolEntry("candles", "Candles as of a time", market_tools.candles, READS),
    ToolEntry("features", "Features as of a time", market_tools.features, READS),
    ToolEntry("news_search", "News as of a time", market_tools.news_search, READS),
    ToolEntry("portfolio", "Equity, positions and trades", account_tools.show_portfolio, READS),
    ToolEntry("decisions", "The newest decisions", decision_tools.decisions, READS),
    ToolEntry("why", "Why a decision was made", decision_tools.why, READS),
    ToolEntry("replay", "Decide again, to the byte", decision_tools.replay, READS),
    ToolEntry("lineage", "What a decision was made from", decision_tools.lineage, READS),
    ToolEntry("data_quality", "How complete the data are", market_tools.data_quality, READS),
    ToolEntry("parity", "Live against back-test", account_tools.audit_parity, READS),
    ToolEntry("leaderboard", "Whose votes were worth what", account_tools.leaderboard, READS),
    ToolEntry("cost", "What language models cost", account_tools.cost, READS),
)
PLANNING = (
    ToolEntry("plan_materialise", "Plan to make data again", plan_tools.plan_materialise, PLANS),
    ToolEntry("plan_pause", "Plan to pause trading", plan_tools.plan_pause, PLANS),
    ToolEntry("plan_kill", "Plan to close everything", plan_tools.plan_kill, PLANS),
    ToolEntry("plan_order", "Plan an order", plan_tools.plan_order, PLANS),
    ToolEntry("plans", "Plans and how far they are", plan_tools.list_plans, READS),
    ToolEntry("execute_plan", "Carry out what a person approved", plan_tools.execute_plan, CHANGES),
)


def tools(*, write: bool) -> tuple[ToolEntry, ...]:
    """Return those that read, and where it is wanted those that plan changes behind them."""
    return READING + PLANNING if write else READING
