"""The receipt of a decision: what was known, who said what, which rule decided, as plain JSON values."""

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
from ml.decision.inputs import Known
from trading.orders import OrderIntent
from trading.risk import Proposal, RiskAssessment

PRICES = ("open", "high", "low", "close", "volume")


def receipt(
    decision_id: str,
    strategy_version: str,
    known: Known,
    opinions: tuple[Opinion, ...],
    agreed: Consensus,
    action: Action,
    why: str,
    proposal: Proposal | None,
    assessment: RiskAssessment | None,
    intent: OrderIntent | None,
) -> dict[str, Any]:
    """Everything above, JSON-able; the same arguments give the same bytes through `canonical`."""
    values: dict[str, Any] = plain(
        {
            "decision_id": decision_id,
            "strategy_version": strategy_version,
            "account": known.account,
            "dataset": known.dataset,
            "pair": str(known.pair),
            "decided_at": known.decided_at,
            "candle_close_time": known.candle_close_time,
            "close": known.close,
            "inputs": _inputs(known),
            "opinions": [asdict(opinion) for opinion in opinions],
            "consensus": asdict(agreed),
            "action": action,
            "confidence": agreed.confidence,
            "why": why,
            "proposal": proposal and asdict(proposal),
            "risk": assessment and assessment.facts(),
            "outcome": outcome(action, why, assessment, intent),
            "intent": intent and asdict(intent),
        }
    )
    return values


def outcome(action: Action, why: str, assessment: RiskAssessment | None, intent: OrderIntent | None) -> str:
    """One sentence for a person."""
    if intent is not None:
        return f"{intent.side.value} {intent.quantity} {intent.pair.base} at the next price: {why}"
    if assessment is not None:
        return f"{action.value} was refused by risk: {assessment.rejection_reason}"
    return f"no order: {why}"


def _inputs(known: Known) -> dict[str, Any]:
    candles = known.candles
    return {
        "candles": {
            "rows": candles.height,
            "first_open_time": candles["open_time"][0],
            "last_close_time": candles["close_time"][-1],
            "origin": candles["origin"][-1],
            "sha256": candles_digest(candles),
        },
        "features": dict(known.features),
        "features_sha256": digest(dict(known.features)),
        "policy_id": known.policy and known.policy.policy_id,
        "policy_age_days": known.policy_age_days,
        "sentiment": known.sentiment and asdict(known.sentiment),
        "position": known.position and asdict(known.position),
        "market": asdict(known.market),
        "account": asdict(known.state),
        "instrument": asdict(known.instrument),
    }


def candles_digest(candles: pl.DataFrame) -> str:
    """SHA-256 over open times (microseconds, int64) and prices (float64), little-endian, row by row."""
    times = candles["open_time"].dt.epoch("us").to_numpy().astype("<i8")
    prices = np.ascontiguousarray(candles.select(PRICES).to_numpy().astype("<f8"))
    return hashlib.sha256(times.tobytes() + prices.tobytes()).hexdigest()


def digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(values)).hexdigest()


def canonical(values: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys: the bytes that hashes are taken of."""
    return orjson.dumps(plain(values), option=orjson.OPT_SORT_KEYS)


def plain(value: Any) -> Any:
    """Decimals as text, times as ISO 8601, enums as their value, pairs as people write them."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, bool | int | float | None):
        return value if not isinstance(value, float) or np.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if not isinstance(value, np.generic) else plain(value.item())
