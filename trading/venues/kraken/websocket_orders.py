"""Orders over Kraken's WebSocket v2, with the methods of the REST client and what their errors mean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Self, TypeVar

from trading.errors import InvalidMessage, OutcomeUnknown
from trading.market import Pair
from trading.orders import Purpose
from trading.venues.kraken.account_responses import (
    AddedOrderDescription,
    AddOrderResponse,
    AmendOrderResponse,
    CancelResponse,
)
from trading.venues.kraken.client import KrakenClient
from trading.venues.kraken.decoding import decode_result
from trading.venues.kraken.errors import INVALID_SESSION, error_from
from trading.venues.kraken.order_request import OrderRequest
from trading.venues.kraken.rate_budget import RateBudget
from trading.venues.kraken.rate_limits import CALL_COST, CONNECTION_LIMIT, OrderAction, RateLimit, order_cost
from trading.venues.kraken.rest_calls import URL
from trading.venues.kraken.websocket_connection import KeptConnection
from trading.venues.kraken.websocket_executions import ExecutionReports, Listener
from trading.venues.kraken.websocket_fields import add_order_params, amend_order_params, cancel_order_params
from trading.venues.kraken.websocket_link import Link, NotConnected, WebSocketLimits, open_link
from trading.venues.kraken.websocket_messages import (
    AmendResult,
    ExecutionReport,
    OrderResult,
    Params,
    WebSocketMessage,
)

PRIVATE_URL = "wss://ws-auth.kraken.com/v2"
Result = TypeVar("Result")


def private_url(base_url: str) -> str:
    """Return the address of the WebSocket that belongs to a REST address; a sandbox has both on one port."""
    return PRIVATE_URL if base_url == URL else f"ws{base_url.rstrip('/').removeprefix('http')}/v2"


class WebSocketOrders:
    """Safe to use from several threads: nobody waits for the answer to another's order. A request is sent once.

    NotConnected, a VenueUnreachable: surely not sent, or not taken. VenueRefused, NotAuthorised and RateLimited:
    surely not taken. OutcomeUnknown: sent, and no answer came.
    """

    def __init__(
        self,
        client: KrakenClient,
        url: str = PRIVATE_URL,
        limits: WebSocketLimits | None = None,
        patience: float = 1.0,
        listener: Listener | None = None,
        connections: RateLimit | None = None,
    ) -> None:
        """`client` gives tokens, listings and the rate budget. `patience`: seconds to wait for a connection on its way.

        `listener` gets each report about the account's orders, None where some were missed; it must return at once.
        `connections` are counted in the client's folder, together with those of all processes of this machine; without
        a limit Kraken's own holds there, and none elsewhere.
        """
        self._client = client
        self._executions = ExecutionReports(listener)
        self._url = url
        self._limits = limits or WebSocketLimits()
        self._connections = connections or (CONNECTION_LIMIT if url == PRIVATE_URL else None)
        self._budget = RateBudget(client.folder / "websocket.connections", patience=0.0)
        self._connection = KeptConnection(self._open, self._executions.end, patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin to connect, without waiting for it: the first order will find it connected."""
        self._connection.open()

    def close(self) -> None:
        self._connection.close()

    def add_order(self, request: OrderRequest) -> AddOrderResponse:
        """Place or, with `validate`, only check an order. InvalidValue for one that only REST has words for."""
        params, cost = add_order_params(request), order_cost(OrderAction.ADD, 0)
        result = self._request("add_order", OrderResult, request.pair, params, cost, request.purpose)
        if not (request.validate or result.order_id):
            raise OutcomeUnknown("Kraken add_order over WebSocket: answered without the id of the order")
        return AddOrderResponse(AddedOrderDescription(""), [] if request.validate else [result.order_id])

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
        """Amend in place: ids stay. `age` of the order in seconds, where it is known: young ones cost more."""
        params = amend_order_params(
            order_id=order_id, client_order_id=client_order_id, quantity=quantity, limit=limit,
            trigger=trigger, post_only=post_only, deadline=deadline,
        )  # fmt: skip
        cost = order_cost(OrderAction.AMEND, age)
        result = self._request("amend_order", AmendResult, pair, params, cost, purpose)
        return AmendOrderResponse(result.amend_id)

    def cancel_order(
        self,
        pair: Pair,
        order_id: str = "",
        client_order_id: str = "",
        age: float = 0.0,
        purpose: Purpose = Purpose.ENTRY,
    ) -> CancelResponse:
        params = cancel_order_params(order_id, client_order_id)
        self._request("cancel_order", OrderResult, pair, params, order_cost(OrderAction.CANCEL, age), purpose)
        return CancelResponse(1)

    def wait_for_end(self, order_id: str, timeout: float) -> ExecutionReport | None:
        """Return the last report of the order as soon as it has ended.

        None at once where reports were missed, else after `timeout` seconds: ask over REST, which is also where fills
        are read.
        """
        return self._executions.wait_for_end(order_id, timeout)

    @contextmanager
    def _open(self) -> Iterator[Link]:
        if self._connections:
            self._budget.spend("connections", self._connections, CALL_COST)
        token = self._client.websockets_token().token
        self._executions.expect_first()
        with open_link(self._url, token, self._limits, self._executions.take) as link:
            self._executions.begin()
            yield link

    def _request(
        self, method: str, kind: type[Result], pair: Pair, params: Params, cost: float, purpose: Purpose
    ) -> Result:
        self._connection.link()  # before the budget is charged
        with self._client.order_budget(pair, cost, purpose):
            link = self._connection.link()
            message = link.request(method, params)
            _check_answer(method, message, link.retire)
        try:
            return decode_result(f"{method} over WebSocket", message.result, kind)
        except InvalidMessage as error:
            raise OutcomeUnknown(f"{error}: Kraken took it, and its answer cannot be read") from error


def _check_answer(method: str, message: WebSocketMessage, retire: Callable[[], None]) -> None:
    """Raise what an answer means that says no; `retire` when the token is not valid any more."""
    if message.method != method:
        raise OutcomeUnknown(f"Kraken {method} over WebSocket: the answer is none ({str(message)[:200]})")
    if message.success:
        return
    words = message.error or "neither yes nor no"  # and so unknown
    if words.startswith(INVALID_SESSION):
        retire()
        raise NotConnected(
            f"Kraken {method} over WebSocket: {words} (the next connection asks for a new token)"
        )
    raise error_from(f"{method} over WebSocket", [words], changes=True)
