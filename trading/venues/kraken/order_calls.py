"""The ways of an order to Kraken: over the WebSocket where it is connected, else over REST."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from trading.market import Pair
from trading.orders import Purpose
from trading.venues.kraken.account_responses import AddOrderResponse, AmendOrderResponse, CancelResponse
from trading.venues.kraken.order_request import OrderRequest
from trading.venues.kraken.websocket_fields import is_expressible
from trading.venues.kraken.websocket_link import NotConnected

Response = TypeVar("Response")


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
        purpose: Purpose = Purpose.ENTRY,
    ) -> AmendOrderResponse: ...

    def cancel_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        age: float = 0.0,
        purpose: Purpose = Purpose.ENTRY,
    ) -> CancelResponse: ...


class OrdersWithFallback:
    """Uses the second way only where the first one surely did not send: an unknown outcome is never sent again."""

    def __init__(
        self, websocket: OrderCalls, rest: OrderCalls, fell_back: Callable[[str], object] = lambda why: None
    ) -> None:
        """`fell_back` hears why a call went over REST, once it did; it must not raise."""
        self._websocket = websocket
        self._rest = rest
        self._fell_back = fell_back

    def add_order(self, request: OrderRequest) -> AddOrderResponse:
        if not is_expressible(request):
            return self._rest.add_order(request)
        return self._try(lambda way: way.add_order(request))

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
        purpose: Purpose = Purpose.ENTRY,
    ) -> AmendOrderResponse:
        return self._try(
            lambda way: way.amend_order(
                pair, order_id, client_order_id, quantity=quantity, limit=limit, trigger=trigger,
                post_only=post_only, deadline=deadline, age=age, purpose=purpose,
            )
        )  # fmt: skip

    def cancel_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        age: float = 0.0,
        purpose: Purpose = Purpose.ENTRY,
    ) -> CancelResponse:
        return self._try(lambda way: way.cancel_order(pair, order_id, client_order_id, age, purpose))

    def _try(self, call: Callable[[OrderCalls], Response]) -> Response:
        try:
            return call(self._websocket)
        except NotConnected as error:
            response = call(self._rest)
            self._fell_back(str(error))
            return response
