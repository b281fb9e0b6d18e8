"""The way of an order from either API into the trading engine: rate counters, latency, deadline, market status."""

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.faults import Faults
from streaming.sandbox.model import Amendment, ExchangeOrder, NewOrder, OrderState, Refused
from streaming.sandbox.rates import OrderCall, Rates
from streaming.sandbox.references import Reference
from trading.market import Pair, PairStatus


@dataclass(frozen=True, slots=True)
class DeadlineWindow:
    """How far from now a deadline may lie, in seconds of server time."""

    shortest: float
    longest: float


REST_WINDOW = DeadlineWindow(2.0, 60.0)  # docs.kraken.com, Add Order
WEBSOCKET_WINDOW = DeadlineWindow(0.5, 60.0)  # docs.kraken.com, add_order


class Line:
    """The way of one connection's requests to the engine: none overtakes an earlier one, whatever its latency."""

    def __init__(self) -> None:
        self._newest: asyncio.Event | None = None  # set once the newest request has arrived

    async def travel(self, seconds: float) -> None:
        before, arrived = self._newest, asyncio.Event()
        self._newest = arrived
        try:
            if seconds > 0:
                await asyncio.sleep(seconds)
            if before is not None:
                await before.wait()
        finally:
            arrived.set()


class OrderGateway:
    """All calls raise Refused with Kraken's words; what was counted stays counted, also when it is refused later."""

    def __init__(
        self,
        exchange: Exchange,
        rates: Rates,
        faults: Faults,
        latency: Callable[[], float],
        server: Callable[[], float],
    ) -> None:
        """`latency`: how many seconds the next call takes to reach the engine."""
        self.exchange = exchange
        self.rates = rates
        self._faults = faults
        self._latency = latency
        self._server = server
        self._line: Line | None = None

    def for_connection(self) -> "OrderGateway":
        """Return this gateway for one connection, whose requests reach the engine in the order in which they come."""
        own = copy.copy(self)
        own._line = Line()
        return own

    async def add(
        self,
        account: str,
        order: NewOrder,
        deadline: datetime | None = None,
        validate: bool = False,
        window: DeadlineWindow = REST_WINDOW,
    ) -> ExchangeOrder:
        """Place an order. With `validate` it is only checked: the order that is returned does not exist."""
        self.rates.order(account, order.pair, "add")
        await self._travel(deadline, window)
        self._check_market(order.pair, order.post_only)
        return self.exchange.add(account, order, validate)

    async def add_batch(
        self,
        account: str,
        orders: Sequence[NewOrder],
        deadline: datetime | None = None,
        validate: bool = False,
        window: DeadlineWindow = REST_WINDOW,
    ) -> list[ExchangeOrder | Refused]:
        """Place orders of one pair, in their order; one that the engine refuses does not keep out the others."""
        self.rates.batch(account, orders[0].pair, len(orders))
        await self._travel(deadline, window)
        return [self._add_one(account, order, validate) for order in orders]

    async def amend(
        self,
        account: str,
        amendment: Amendment,
        deadline: datetime | None = None,
        window: DeadlineWindow = REST_WINDOW,
    ) -> ExchangeOrder:
        """Change an order; it keeps its id, and its place in the queue where possible.

        An order that ends by it costs what a cancel costs besides (docs.kraken.com/api/docs/guides/spot-amends).
        """
        order = await self._before_change(account, amendment, "amend", deadline, window)
        amended = self.exchange.amend(account, amendment)
        if amended.state is OrderState.CANCELED:
            self.rates.charge(account, order.request.pair, "cancel", self._age(order))
        return amended

    async def edit(
        self,
        account: str,
        amendment: Amendment,
        deadline: datetime | None = None,
        window: DeadlineWindow = REST_WINDOW,
        pair: Pair | None = None,
    ) -> ExchangeOrder:
        """Cancel the order, of this pair if one is named, and place it anew: the order returned has another id."""
        order = await self._before_change(account, amendment, "edit", deadline, window)
        if pair not in (None, order.request.pair):
            raise Refused("EGeneral:Invalid arguments:symbol")
        _check_editable(order, amendment.quantity)
        return self.exchange.edit(account, amendment)

    async def cancel(self, account: str, reference: Reference) -> list[ExchangeOrder]:
        """Cancel every order that bears the reference, and return them."""
        [cancelled] = await self.cancel_each(account, [reference])
        if isinstance(cancelled, Refused):
            raise cancelled
        return cancelled

    async def cancel_each(
        self, account: str, references: Sequence[Reference]
    ) -> list[list[ExchangeOrder] | Refused]:
        """Cancel what each reference names; they arrive together, and one that is refused keeps out no other."""
        await self._travel()
        return [self._cancel_one(account, reference) for reference in references]

    async def cancel_batch(self, account: str, references: Sequence[Reference]) -> int:
        """Return how many orders were cancelled; raise Refused when that is none of them."""
        answers = await self.cancel_each(account, references)
        refusals = [each for each in answers if isinstance(each, Refused)]
        if len(refusals) == len(answers):
            raise refusals[0]
        return sum(len(each) for each in answers if not isinstance(each, Refused))

    async def cancel_all(self, account: str) -> int:
        """Cancel all orders, and return their count."""
        await self._travel()
        self._check_open()
        return self.exchange.cancel_all(account)

    async def cancel_all_after(self, account: str, seconds: float) -> float | None:
        """Return the server time at which all is cancelled unless this is called again; None after 0 seconds."""
        await self._travel()
        self._check_open()
        return self.exchange.cancel_all_after(account, seconds)

    def find_orders(self, account: str, reference: Reference) -> list[ExchangeOrder]:
        """Return the open orders that `reference` names."""
        return reference.among(self.exchange.open_orders(account))

    def find_order(self, account: str, order_id: str, client_order_id: str = "") -> ExchangeOrder:
        """Return the open order of one of these ids; raise Refused when there is none."""
        for order in self.exchange.open_orders(account):
            if order_id == order.order_id:
                return order
            if client_order_id and client_order_id == order.request.client_order_id:
                return order
        raise Refused("EOrder:Unknown order")

    def _add_one(self, account: str, order: NewOrder, validate: bool) -> ExchangeOrder | Refused:
        try:
            self._check_market(order.pair, order.post_only)
            return self.exchange.add(account, order, validate)
        except Refused as refusal:
            return refusal

    def _cancel_one(self, account: str, reference: Reference) -> list[ExchangeOrder] | Refused:
        try:
            for order in self.find_orders(account, reference):
                self.rates.order(account, order.request.pair, "cancel", self._age(order))
            self._check_open()
            return self.exchange.cancel(account, reference.name, reference.kinds)
        except Refused as refusal:
            return refusal

    async def _before_change(
        self,
        account: str,
        amendment: Amendment,
        call: OrderCall,
        deadline: datetime | None,
        window: DeadlineWindow,
    ) -> ExchangeOrder:
        """Return the order as it stands when the request arrives: it may have been sent right behind the order."""
        await self._travel(deadline, window)
        order = self.find_order(account, amendment.order_id, amendment.client_order_id)
        self.rates.order(account, order.request.pair, call, self._age(order))
        post_only = order.request.post_only if amendment.post_only is None else amendment.post_only
        self._check_market(order.request.pair, post_only)
        return order

    async def _travel(self, deadline: datetime | None = None, window: DeadlineWindow = REST_WINDOW) -> None:
        """Arrive at the engine, or be refused there for having taken too long."""
        if deadline is not None:
            ahead = deadline.timestamp() - self._server()
            if not window.shortest <= ahead <= window.longest:
                raise Refused("EGeneral:Invalid arguments:deadline")
        await (self._line or Line()).travel(self._latency())
        if deadline is not None and self._server() > deadline.timestamp():
            raise Refused("EService:Deadline elapsed")

    def _check_market(self, pair: Pair, post_only: bool) -> None:
        """Refuse what an armed fault forbids; the exchange itself checks its own status."""
        status = self._faults.status(pair)
        if status is PairStatus.MAINTENANCE:
            raise Refused("EService:Unavailable")
        if status is PairStatus.CANCEL_ONLY:
            raise Refused("EService:Market in cancel_only mode")
        if status is PairStatus.POST_ONLY and not post_only:
            raise Refused("EService:Market in post_only mode")

    def _check_open(self) -> None:
        if self._faults.status(None) is PairStatus.MAINTENANCE:
            raise Refused("EService:Unavailable")

    def _age(self, order: ExchangeOrder) -> float:
        return max(0.0, self._server() - order.entered)


def utc_time(seconds: float) -> datetime:
    """Convert server time, seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def _check_editable(order: ExchangeOrder, quantity: Decimal | None) -> None:
    """Refuse what an edit does not support and an amend does (docs.kraken.com, Edit Order: caveats)."""
    request = order.request
    if order.triggered or request.close is not None or request.client_order_id:
        raise Refused("EOrder:Order not editable")
    if quantity is not None and quantity < order.filled:
        raise Refused("EOrder:Not enough leaves qty")
