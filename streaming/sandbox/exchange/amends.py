"""The record of what an order's terms were, from each amendment on."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from streaming.sandbox.model import ExchangeOrder


class AmendKind(StrEnum):
    """Who set an order's terms, in Kraken's words."""

    ORIGINAL = "original"  # the trader, when it was placed
    USER = "user"
    RESTATED = "restated"  # the engine


@dataclass(frozen=True, slots=True)
class OrderAmend:
    """The terms of an order from some time on."""

    amend_id: str  # TXXXXX-XXXXX-XXXXXX
    order_id: str
    account: str
    kind: AmendKind
    quantity: Decimal  # of the whole order
    remaining: Decimal
    limit_price: Decimal | None
    trigger_price: Decimal | None
    post_only: bool
    reason: str
    at: datetime  # market time

    @classmethod
    def original(cls, order: ExchangeOrder) -> "OrderAmend":
        """Return the terms with which an order was placed; its id is made of the order's."""
        return cls.of(order, f"T{order.order_id[1:]}", AmendKind.ORIGINAL, order.opened_at)

    @classmethod
    def of(
        cls, order: ExchangeOrder, amend_id: str, kind: AmendKind, at: datetime, reason: str = ""
    ) -> "OrderAmend":
        first = kind is AmendKind.ORIGINAL
        return cls(
            amend_id=amend_id,
            order_id=order.order_id,
            account=order.account,
            kind=kind,
            quantity=order.request.quantity,
            remaining=order.request.quantity if first else order.remaining,
            limit_price=order.limit_price,
            trigger_price=order.trigger_price,
            post_only=order.request.post_only,
            reason=reason,
            at=at,
        )
