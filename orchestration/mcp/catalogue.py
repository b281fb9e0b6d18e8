"""The tools in their fixed order, each with what it may do: clients show this to people before they allow a call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.types import ToolAnnotations

from orchestration.mcp import account_tools, decision_tools, market_tools

READS = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
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
    ToolEntry("leaderboard", "Which model would have earned what", account_tools.leaderboard, READS),
    ToolEntry("cost", "What language models cost", account_tools.cost, READS),
)
