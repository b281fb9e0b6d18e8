"""The receipt of a decision: its inputs, the opinions, the rules that decided, as plain JSON values."""

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Any

from ml.agents.consensus import Consensus
from ml.agents.opinions import Action, Opinion
from ml.decision.inputs import DecisionInputs
from ml.decision.plain_json import to_json_value, values_sha256
from ml.decision.recording import input_values, plan_values
from trading.orders import OrderIntent
from trading.risk import Proposal, RiskAssessment


class Scope(StrEnum):
    """Which inputs a decision was made from, and by which function."""

    FULL = "full"  # everything: `decide`
    EXIT = "exit"  # what closing the position needs: `protective_exit`
    REBALANCING = "rebalancing"
    PROPOSED = "proposed"  # an order that a person approved: `decide_approved`


def receipt(
    decision_id: str,
    strategy_version: str,
    scope: Scope,
    inputs: DecisionInputs,
    rules: Mapping[str, Any],
    opinions: tuple[Opinion, ...],
    consensus: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    assessment: RiskAssessment | None,
    intent: OrderIntent | None,
    cancels: Mapping[str, str],
    proposed: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Build the receipt from everything above; the same arguments give the same bytes through `canonical_bytes`.

    `proposed` is the approved order, of a decision that has carried one out.
    """
    known: dict[str, Any] = to_json_value({"inputs": input_values(inputs), "rules": rules})
    values: dict[str, Any] = to_json_value(
        {
            "decision_id": decision_id,
            "strategy_version": strategy_version,
            "scope": scope,
            "account": inputs.account,
            "dataset": inputs.dataset,
            "pair": str(inputs.pair),
            "decided_at": inputs.decided_at,
            "clock": asdict(inputs.clock),
            "candle_close_time": inputs.candle_close_time,
            "close": inputs.close,
            "opinions": [asdict(opinion) for opinion in opinions],
            "consensus": _agreed(consensus),
            "action": action,
            "confidence": consensus.confidence,
            "why": why,
            "proposal": proposal and plan_values(proposal),
            "risk": assessment and assessment.facts(),
            "outcome": outcome(action, why, assessment if proposal else None, intent),
            "intent": intent and plan_values(intent),
            "cancels": cancels,
        }
    )
    values |= known | ({} if proposed is None else {"proposed": to_json_value(proposed)})
    return values | {"known_sha256": known_sha256(values)}


def _agreed(consensus: Consensus) -> dict[str, Any]:
    """Return its values; where no record counts, none is named."""
    values = asdict(consensus)
    return values if consensus.records else {name: each for name, each in values.items() if name != "records"}


def known_sha256(receipt: Mapping[str, Any]) -> str:
    """Compute the digest of all that the decision was made from: clock, inputs, rules, the order that was approved."""
    known = ("account", "pair", "clock", "inputs", "rules", *(["proposed"] if "proposed" in receipt else []))
    return values_sha256({name: receipt[name] for name in known})


def outcome(action: Action, why: str, assessment: RiskAssessment | None, intent: OrderIntent | None) -> str:
    """Describe the outcome in one sentence for a person."""
    if intent is not None:
        return f"{intent.side.value} {intent.quantity} {intent.pair.base} at the next price: {why}"
    if assessment is not None:
        return f"{action.value} was refused by risk: {assessment.rejection_reason}"
    return f"no order: {why}"
