"""The numbers of a decision that are drawn over time, read from its receipt."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

AGES = {  # rules whose measured value is an age, in candles
    "feature age": "feature_age_candles",
    "trade age": "trade_age_candles",
    "price age": "price_age_candles",
    "balance age": "balance_age_candles",
}


def decision_figures(receipt: Mapping[str, Any]) -> dict[str, float]:
    """Return confidence, size, equity and the ages of the inputs; what was not known or not used is left out.

    `size` is in the base asset and 0 without an order, `size_share` its value as a share of equity.
    """
    inputs, intent = receipt["inputs"], receipt["intent"]
    equity, close = float(inputs["account"]["equity"]), float(receipt["close"])
    rate = float(inputs["account"]["quote_rate"])
    size = float(intent["quantity"]) if intent else 0.0
    known: dict[str, float | None] = {
        "confidence": float(receipt["confidence"]),
        "agreement": float(receipt["consensus"]["agreement"]),
        "price": close,
        "size": size,
        "size_share": size * close * rate / equity if equity else None,
        "equity": equity,
        **_ages(receipt),
    }
    return {name: value for name, value in known.items() if value is not None and isfinite(value)}


def _ages(receipt: Mapping[str, Any]) -> dict[str, float | None]:
    inputs, decided_at = receipt["inputs"], datetime.fromisoformat(receipt["decided_at"])
    closed = datetime.fromisoformat(inputs["candles"]["last_close_time"])
    sentiment, risk = inputs["sentiment"], receipt["risk"]
    verdicts = risk["verdicts"] if risk else []
    return {
        "candle_age_minutes": (decided_at - closed) / timedelta(minutes=1),
        "policy_age_days": inputs["policy_age_days"],
        "news_age_hours": sentiment
        and (decided_at - datetime.fromisoformat(sentiment["newest_known_at"])) / timedelta(hours=1),
        **{
            AGES[each["rule"]]: float(each["value"])
            for each in verdicts
            if each["rule"] in AGES and each["value"] is not None
        },
    }
