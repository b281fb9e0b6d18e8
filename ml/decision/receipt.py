"""The receipt of a decision: its inputs, the opinions, the rules that decided, as plain JSON values."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
import orjson
import polars as pl

from ml.agents.consensus import Consensus
from ml.agents.opinions import Action, Opinion
from ml.decision.inputs import DecisionInputs
from trading.orders import OrderIntent, WorkingOrder
from trading.risk import Proposal, RiskAssessment

PRICES = ("open", "high", "low", "close", "volume")


def receipt(
    decision_id: str,
    strategy_version: str,
    inputs: DecisionInputs,
    opinions: tuple[Opinion, ...],
    consensus: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    assessment: RiskAssessment | None,
    intent: OrderIntent | None,
    cancels: Mapping[str, str],
) -> dict[str, Any]:
    """Build the receipt from everything above; the same arguments give the same bytes through `canonical_bytes`."""
    values: dict[str, Any] = to_json_value(
        {
            "decision_id": decision_id,
            "strategy_version": strategy_version,
            "account": inputs.account,
            "dataset": inputs.dataset,
            "pair": str(inputs.pair),
            "decided_at": inputs.decided_at,
            "clock": asdict(inputs.clock),
            "candle_close_time": inputs.candle_close_time,
            "close": inputs.close,
            "inputs": _input_values(inputs),
            "opinions": [asdict(opinion) for opinion in opinions],
            "consensus": asdict(consensus),
            "action": action,
            "confidence": consensus.confidence,
            "why": why,
            "proposal": proposal and asdict(proposal),
            "risk": assessment and assessment.facts(),
            "outcome": outcome(action, why, assessment, intent),
            "intent": intent and asdict(intent),
            "cancels": cancels,
        }
    )
    return values


def outcome(action: Action, why: str, assessment: RiskAssessment | None, intent: OrderIntent | None) -> str:
    """Describe the outcome in one sentence for a person."""
    if intent is not None:
        return f"{intent.side.value} {intent.quantity} {intent.pair.base} at the next price: {why}"
    if assessment is not None:
        return f"{action.value} was refused by risk: {assessment.rejection_reason}"
    return f"no order: {why}"


def _input_values(inputs: DecisionInputs) -> dict[str, Any]:
    candles = inputs.candles
    return {
        "candles": {
            "rows": candles.height,
            "first_open_time": candles["open_time"][0],
            "last_close_time": candles["close_time"][-1],
            "origin": candles["origin"][-1],
            "sha256": candles_sha256(candles),
        },
        "features": dict(inputs.features),
        "features_sha256": values_sha256(dict(inputs.features)),
        "policy_id": inputs.policy and inputs.policy.policy_id,
        "policy_age_days": inputs.policy_age_days,
        "sentiment": inputs.sentiment and asdict(inputs.sentiment),
        "position": inputs.position and asdict(inputs.position),
        "market": asdict(inputs.market),
        "account": asdict(inputs.state),
        "free": dict(inputs.free),
        "orders": [_order_values(each) for each in inputs.working],
        "left_out": dict(inputs.left_out),
        "notes": list(inputs.notes),
        "instrument": asdict(inputs.instrument),
    }


def _order_values(order: WorkingOrder) -> dict[str, Any]:
    intent, state = order.intent, order.order
    return {
        "intent_id": intent.intent_id,
        "pair": intent.pair,
        "kind": intent.kind,
        "side": intent.side,
        "quantity": intent.quantity,
        "remaining": order.remaining,
        "status": state.status,
        "trigger": state.trigger,
        "cancel_reason": state.cancel_reason,
        "since": intent.created_at,
    }


def candles_sha256(candles: pl.DataFrame) -> str:
    """Hash with SHA-256 the open times (microseconds, int64) and prices (float64), little-endian, row by row."""
    times = candles["open_time"].dt.epoch("us").to_numpy().astype("<i8")
    prices = np.ascontiguousarray(candles.select(PRICES).to_numpy().astype("<f8"))
    return hashlib.sha256(times.tobytes() + prices.tobytes()).hexdigest()


def values_sha256(values: Mapping[str, Any]) -> str:
    """Hash the canonical bytes of the values."""
    return hashlib.sha256(canonical_bytes(values)).hexdigest()


def canonical_bytes(values: Mapping[str, Any]) -> bytes:
    """Encode as JSON with sorted keys: the bytes that hashes are computed from."""
    return orjson.dumps(to_json_value(values), option=orjson.OPT_SORT_KEYS)


def to_json_value(value: Any) -> Any:
    """Convert to plain JSON: decimals to text, times to ISO 8601, enums to their value, pairs as people write them."""
    if isinstance(value, Mapping):
        return {str(key): to_json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json_value(each) for each in value]
    if isinstance(value, bool | int | float | None):
        return value if not isinstance(value, float) or np.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if not isinstance(value, np.generic) else to_json_value(value.item())
