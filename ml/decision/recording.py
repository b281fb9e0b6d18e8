"""What a decision was given, as the receipt keeps it: small values themselves, tables by their digest."""

import hashlib
import importlib
from dataclasses import asdict, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ml.agents.judgements import Judgement
from ml.decision.clock import SECOND
from ml.decision.inputs import DecisionInputs, MarketInputs, RecordedTables
from ml.decision.plain_json import values_sha256
from ml.decision.recorded_tables import RecordedTable, record_table
from trading.orders import OrderIntent, WorkingOrder
from trading.portfolio import Position
from trading.risk import Proposal

CANDLES_OF_A_PART = 128
_OF_MODELS = ("invalidations", "wanted_share")
NEWS_OF_A_PART = timedelta(days=32)
# Whose source text decides together with the inputs. Stores, venues and Dagster only bring inputs and orders.
_DECIDING = (
    "ml.agents", "ml.decision", "ml.learning", "ml.sentiment",
    "ml.models", "trading.indicators", "trading.invalidation", "trading.orders", "trading.portfolio", "trading.risk",
    "trading.signals",
)  # fmt: skip


def record_tables(market: MarketInputs) -> RecordedTables:
    """Record the candles and the news that a decision reads."""
    span = CANDLES_OF_A_PART * market.timeframe.duration
    return RecordedTables(
        candles=record_table(market.candles, "open_time", span),
        companions={pair: record_table(each, "open_time", span) for pair, each in market.companions.items()},
        news=record_table(market.news, "known_at", NEWS_OF_A_PART),
    )


def input_values(inputs: DecisionInputs) -> dict[str, Any]:
    """Return everything that `decide` reads of its inputs, as the receipt keeps it."""
    candles, tables = inputs.candles, inputs.tables or record_tables(inputs)
    return {
        "universe": asdict(inputs.universe) | {"timeframe": inputs.timeframe.value},
        "newest_known_at": inputs.newest_known_at,
        "candles": {
            "rows": candles.height,
            "first_open_time": candles["open_time"][0],
            "last_close_time": candles["close_time"][-1],
            "origin": candles["origin"][-1],
            "sha256": tables.candles.digest,
        },
        "companions": {pair: _described(tables.companions[pair]) for pair in inputs.companions},
        "costs": {pair: asdict(each) for pair, each in inputs.costs.items()},
        "features": dict(inputs.features),
        "features_sha256": values_sha256(dict(inputs.features)),
        "policy_id": inputs.policy and inputs.policy.policy_id,
        "policy_age_days": inputs.policy_age_days,
        "news": _described(tables.news)
        | {
            "rows": inputs.news.height,
            "prompts": sorted(set(inputs.news["prompt_hash"]) - {""}),
            "half_life_hours": inputs.half_life_hours,
        },
        "sentiment": inputs.sentiment and asdict(inputs.sentiment),
        "position": inputs.position and plan_values(inputs.position),
        "market": asdict(inputs.market),
        "account": asdict(inputs.state),
        "free": dict(inputs.free),
        "orders": [_order_values(each) for each in inputs.working],
        "oldest_unsettled_seconds": inputs.oldest_unsettled_age / timedelta(seconds=1),
        "comparison_seconds": inputs.comparison_seconds,
        "oldest_price": inputs.oldest_price and asdict(inputs.oldest_price),
        "left_out": dict(inputs.left_out),
        "notes": list(inputs.notes),
        "instrument": asdict(inputs.instrument),
        "open_gap": inputs.open_gap and asdict(inputs.open_gap),
        "book": inputs.book and asdict(inputs.book),
        "absent": dict(inputs.absent),
        **({"waited_seconds": inputs.waited / SECOND} if inputs.waited else {}),
        **_judgement_values(inputs),
        **(
            {"weights": asdict(inputs.weights)} if inputs.weights else {}
        ),  # receipts without any stay as they were
    }


def _described(table: RecordedTable) -> dict[str, Any]:
    return {"sha256": table.digest}


def _order_values(order: WorkingOrder) -> dict[str, Any]:
    """Return what a person reads of the order first, then all of it."""
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
        "intent": plan_values(intent),
        "order": asdict(state),
    }


def plan_values(plan: Position | OrderIntent | Proposal) -> dict[str, Any]:
    """Return the values of a plan; what only models ask for stands there where they have asked."""
    values = asdict(plan)
    return {name: each for name, each in values.items() if name not in _OF_MODELS or each not in (None, ())}


def _judgement_values(inputs: DecisionInputs) -> dict[str, Any]:
    """Return what models answered; nothing where none was asked, so that such receipts stay as they were."""
    if not inputs.judgements:
        return {}
    return {"judgements": {name: judgement_values(each) for name, each in sorted(inputs.judgements.items())}}


def judgement_values(judgement: Judgement) -> dict[str, Any]:
    """Return its values; what was said in a debate stands there where one was held."""
    values = asdict(replace(judgement, debated=None))
    del values["debated"]
    return values if judgement.debated is None else values | {"debated": judgement_values(judgement.debated)}


def code_version() -> str:
    """Return a digest of the source text that decides."""
    return source_digest(_DECIDING)


@cache
def source_digest(names: tuple[str, ...]) -> str:
    """Return a digest of the source text of these packages and modules, prompts included; once in a process."""
    digest = hashlib.sha256()
    for name in names:
        path = Path(str(importlib.import_module(name).__file__))
        folder, texts = path.parent, [path]
        if path.name == "__init__.py":
            texts = [each for pattern in ("*.py", "prompt_texts/*.txt") for each in folder.rglob(pattern)]
        for text in sorted(texts):
            digest.update(f"{name}/{text.relative_to(folder)}\0".encode() + text.read_bytes())
    return digest.hexdigest()[:16]
