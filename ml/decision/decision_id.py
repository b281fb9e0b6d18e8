"""The ids of a decision and of its intent: the same inputs give the same id, so that a repeat is recognised."""

import uuid
from datetime import datetime

from trading.market import Pair

STRATEGY_VERSION = "3"
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://marketloom.dev/decision")


def decision_id(account: str, pair: Pair, candle_close_time: datetime) -> str:
    """Derive the id of a decision; a repeat has the same account, pair, candle and strategy, and so the same id."""
    return str(uuid.uuid5(_NAMESPACE, f"{account}|{pair}|{candle_close_time.isoformat()}|{STRATEGY_VERSION}"))


def intent_id(decision_id: str) -> str:
    """Derive the id of the decision's only intent."""
    return str(uuid.uuid5(_NAMESPACE, f"{decision_id}|intent"))
