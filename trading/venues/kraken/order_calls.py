"""The ways of an order to Kraken."""

from datetime import datetime
from decimal import Decimal
from typing import Protocol

from trading.market import Pair
from trading.venues.kraken.account_responses import AddOrderResponse, AmendOrderResponse, CancelResponse
from trading.venues.kraken.order_request import OrderRequest


class OrderCalls(Protocol):
    """What changes orders. OutcomeUnknown when it may have taken effect; every other error says that nothing did."""

    def add_order(self, request: OrderRequest) -> AddOrderResponse: ...

    def amend_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        quantity: Decimal | None = None,
        limit: Decimal | None = None,
        trigger: Decimal | None = None,
        post_only: bool = False,
        deadline: datetime | None = None,
        age: float = 0.0,
    ) -> AmendOrderResponse: ...

    def cancel_order(
        self, pair: Pair, order_id: str = "", client_order_id: str = "", age: float = 0.0
    ) -> CancelResponse: ...
