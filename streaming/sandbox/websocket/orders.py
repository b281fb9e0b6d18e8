"""Order requests on their way to the gateway, and what Kraken answers to each."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

from streaming.sandbox.formatting import format_server_time
from streaming.sandbox.model import ExchangeOrder, NewOrder, Refused
from streaming.sandbox.order_gateway import WEBSOCKET_WINDOW, OrderGateway
from streaming.sandbox.websocket.decoding import invalid
from streaming.sandbox.websocket.order_fields import BatchCancel, CancelAll, CancelAllAfter, CancelOrder
from streaming.sandbox.websocket.order_requests import AddOrder, BatchAdd, ChangeOrder, OrderRequest
from streaming.sandbox.websocket.order_terms import unsupported
from streaming.sandbox.websocket.ports import MarketFeed

Result = dict[str, Any] | list[dict[str, Any]]


class OrderEntry:
    """The order requests of one connection; `server` is server time as clients see it, in seconds since 1970."""

    def __init__(self, gateway: OrderGateway, market: MarketFeed, server: Callable[[], float]) -> None:
        self._gateway = gateway.for_connection()
        self._market = market
        self._server = server

    async def respond(
        self, account: str, method: str, request: OrderRequest
    ) -> AsyncIterator[Result | Refused]:
        """Yield one response, or one per order of a cancel_order. Never raise Refused."""
        try:
            match request:
                case CancelOrder():
                    for answer in await self._gateway.cancel_each(account, request.references):
                        for result in _cancel_results(answer):
                            yield result
                case AddOrder():
                    yield await self._add(account, request)
                case BatchAdd():
                    yield await self._batch_add(account, request)
                case ChangeOrder():
                    yield await self._change(account, method, request)
                case BatchCancel():
                    yield {"count": await self._gateway.cancel_batch(account, request.references)}
                case CancelAll():
                    yield {"count": await self._gateway.cancel_all(account)}
                case CancelAllAfter():
                    yield await self._cancel_all_after(account, request.timeout)
        except Refused as refusal:
            yield refusal

    async def _add(self, account: str, request: AddOrder) -> dict[str, Any]:
        order = self._with_leverage(request)
        placed = await self._gateway.add(account, order, request.deadline, request.validate, WEBSOCKET_WINDOW)
        return _outcome(order, placed, request.validate)

    async def _batch_add(self, account: str, request: BatchAdd) -> list[dict[str, Any]]:
        """Place a batch. The docs: one invalid order refuses all; one that cannot be paid refuses only itself."""
        orders = [self._with_leverage(one) for one in request.orders]
        outcomes = await self._gateway.add_batch(
            account, orders, request.deadline, request.validate, WEBSOCKET_WINDOW
        )
        return [_outcome(one, placed, request.validate) for one, placed in zip(orders, outcomes, strict=True)]

    async def _change(self, account: str, method: str, request: ChangeOrder) -> dict[str, Any]:
        wanted = request.wanted
        if method == "amend_order":
            order = await self._gateway.amend(account, wanted, request.deadline, WEBSOCKET_WINDOW)
            named = (
                {"order_id": wanted.order_id} if wanted.order_id else {"cl_ord_id": wanted.client_order_id}
            )
            return {"amend_id": order.amend_id} | named
        order = await self._gateway.edit(account, wanted, request.deadline, WEBSOCKET_WINDOW, request.pair)
        return {"order_id": order.order_id, "original_order_id": wanted.order_id}

    async def _cancel_all_after(self, account: str, seconds: int) -> dict[str, Any]:
        trigger = await self._gateway.cancel_all_after(account, seconds)
        now = self._server()
        return {
            "currentTime": format_server_time(now),
            "triggerTime": "0" if trigger is None else format_server_time(now + seconds),
        }

    def _with_leverage(self, request: AddOrder) -> NewOrder:
        order = request.order
        listing = self._market.listings.get(order.pair)
        if listing is None:
            raise unsupported(str(order.pair))
        if not request.margin:
            return order
        most = int(listing.instrument.maximum_leverage)
        if most < 2:
            raise invalid("margin")
        return replace(order, leverage=most)


def _outcome(order: NewOrder, placed: ExchangeOrder | Refused, validate: bool) -> dict[str, Any]:
    """Return the order's result; one that was only validated has no id."""
    if isinstance(placed, Refused):
        return {"error": str(placed)} | _own_name(order)
    return ({} if validate else {"order_id": placed.order_id}) | _own_name(order)


def _own_name(order: NewOrder) -> dict[str, Any]:
    if order.client_order_id:
        return {"cl_ord_id": order.client_order_id}
    return {"order_userref": order.user_reference} if order.user_reference else {}


def _cancel_results(answer: list[ExchangeOrder] | Refused) -> Iterator[Result | Refused]:
    """Yield one result per order that was cancelled, or the refusal."""
    if isinstance(answer, Refused):
        yield answer
        return
    for order in answer:
        client = order.request.client_order_id
        yield {"order_id": order.order_id} | ({"cl_ord_id": client} if client else {})
