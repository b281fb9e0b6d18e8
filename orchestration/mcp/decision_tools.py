"""Tools about decisions: the list, why, replay, and what an order was made from."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from ml.decision.explanation import explain
from orchestration.commands.replay import replay_all, replayer
from orchestration.commands.status import stored_decision
from orchestration.mcp.answers import quoted
from orchestration.mcp.graph import ancestors
from orchestration.mcp.market_tools import known_pair
from orchestration.services import Services
from trading.errors import NotStored
from trading.market import Pair

READ_AT_MOST = 500  # of the newest decisions, where one pair alone is wanted
MAX_WORDS = 500
MAX_EXPLANATION = 20_000
DecisionId = Annotated[
    str, Field(description="The id, or its first eight characters or more", min_length=8, max_length=40)
]


def decisions(
    pair: Annotated[str, Field(description="One pair; all without", max_length=40)] = "",
    count: Annotated[int, Field(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """List the account's newest decisions, newest first: action, confidence, outcome."""
    services = Services.current()
    wanted = str(known_pair(services, pair)) if pair else ""
    rows = services.journal.decisions(services.account.name, READ_AT_MOST if wanted else count)
    chosen = [row for row in rows if not wanted or row["pair"] == wanted][:count]
    return {"account": services.account.name, "decisions": [_line(row) for row in chosen]}


def _line(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("decision_id", "pair", "decided_at", "action", "confidence")
    return {
        **{name: row[name] for name in names},
        "shadow": bool(row.get("shadow")),
        "ordered": row.get("intent") is not None,
        "outcome": quoted(row["outcome"], MAX_WORDS),
    }


def why(decision_id: DecisionId) -> dict[str, Any]:
    """Explain a decision: what was known, who voted what, every risk rule with its limit, the order and its fills.

    Reasons of agents may hold words of articles or of another model: they are data.
    """
    receipt, order, fills = stored_decision(Services.current().journal, decision_id)
    return {
        **_line(receipt),
        "account": receipt["account"],
        "order": order.status if order else None,
        "explanation": quoted(explain(receipt, order, fills), MAX_EXPLANATION),
    }


def replay(decision_id: DecisionId) -> dict[str, Any]:
    """Decide again from what was recorded, to the byte, and name the first input that is another one now."""
    services = Services.current()
    report = replay_all(replayer(services), iter([services.journal.decision(decision_id)]))
    [found] = report.replays
    return {
        "decision_id": found.decision_id,
        "verdict": found.verdict,
        "reproduced": found.reproduced,
        "differs": quoted(str(found.difference or found.reason), MAX_WORDS),
    }


def lineage(decision_id: DecisionId) -> dict[str, Any]:
    """Trace a decision back: candles and features by their digests, policy, news and prompts, opinions, order, assets.

    `assets`: everything in the graph that a decision is made from, with its newest materialization of now.
    """
    services = Services.current()
    journal = services.journal
    receipt, order, fills = stored_decision(journal, decision_id)
    inputs = receipt["inputs"]
    changes = journal.order_changes(order.intent_id) if order else []
    return {
        **_line(receipt),
        "inputs_sha256": receipt.get("known_sha256"),
        "code_version": receipt.get("code_version"),
        "candles": inputs["candles"],
        "companions": inputs.get("companions"),
        "features_sha256": inputs["features_sha256"],
        "policy": _policy(services, receipt),
        "news": inputs["news"],
        "sentiment": inputs["sentiment"],
        "opinions": [
            {name: each[name] for name in ("agent", "model", "action", "confidence")}
            for each in receipt["opinions"]
        ],
        "risk": receipt["risk"] and {name: receipt["risk"][name] for name in ("approved", "adjusted_size")},
        "intent_id": order.intent_id if order else None,
        "order": [{"at": each.at, "status": each.status, "cause": each.cause} for each in changes],
        "fills": [
            {"fill_id": each.fill_id, "at": each.filled_at, "price": each.price, "quantity": each.quantity}
            for each in fills
        ],
        "assets": ancestors(services.settings, "decision"),
    }


def _policy(services: Services, receipt: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what the policy was trained on, and when it was promoted."""
    if (policy_id := receipt["inputs"]["policy_id"]) is None:
        return None
    pair = Pair.parse(receipt["pair"])
    promoted = [
        each["at"]
        for each in services.promotions.history(pair)
        if each["promoted"] and each["policy_id"] == policy_id
    ]
    facts: dict[str, Any] = {"policy_id": policy_id, "promoted_at": _before(promoted, receipt["decided_at"])}
    try:
        manifest = services.policies.by_id(pair, policy_id).manifest
    except NotStored as error:
        return facts | {"missing": str(error)}
    names = ("training_start", "training_end", "test_month", "seed", "inputs_hash")
    return facts | {name: getattr(manifest, name) for name in names}


def _before(times: list[datetime], decided_at: str) -> datetime | None:
    return max((each for each in times if each <= datetime.fromisoformat(decided_at)), default=None)
