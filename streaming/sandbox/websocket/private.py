"""Private channels: an account's orders, fills and balances, each message with the next number of its subscription."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from streaming.sandbox.formatting import PairDecimals
from streaming.sandbox.model import BalanceChanged, OrderChanged
from streaming.sandbox.websocket import reports
from streaming.sandbox.websocket.clients import Client, Delivery, PrivateSubscription
from streaming.sandbox.websocket.frames import SNAPSHOT, UPDATE, channel_frame
from streaming.sandbox.websocket.ports import MarketFeed, OrderRates, Tokens
from trading.market import Pair

SNAPSHOT_FILLS = 50
DOLLARS = ("USD", "USDT", "USDC")  # counted as one dollar each
EXECUTIONS = "executions"
BALANCES = "balances"


class PrivateData:
    def __init__(self, market: MarketFeed, delivery: Delivery, counters: OrderRates, tokens: Tokens) -> None:
        self._market = market
        self._delivery = delivery
        self._counters = counters
        self._tokens = tokens
        self._subscribers: dict[
            tuple[str, str], dict[Client, PrivateSubscription]
        ] = {}  # by account and channel
        self._decimals = {pair: PairDecimals.of(listing) for pair, listing in market.listings.items()}

    @property
    def maximum_rate(self) -> int:
        return self._counters.maximum

    def add(self, client: Client, subscription: PrivateSubscription) -> None:
        self._tokens.hold(subscription.token)
        client.private_subscriptions[subscription.channel] = subscription
        self._subscribers.setdefault((subscription.account, subscription.channel), {})[client] = subscription

    def remove(self, client: Client, channel: str) -> None:
        subscription = client.private_subscriptions.pop(channel)
        subscribers = self._subscribers[subscription.account, channel]
        del subscribers[client]
        if not subscribers:
            del self._subscribers[subscription.account, channel]
        self._tokens.release(subscription.token)

    def send_orders(
        self, client: Client, subscription: PrivateSubscription, orders: bool, fills: bool
    ) -> None:
        """Send the snapshot: open orders, then the last fills in the order in which they happened."""
        rows: list[reports.Row] = []
        if orders:
            rows += [
                reports.open_order_report(order, self._decimals[order.request.pair], self._dollars)
                for order in self._market.open_orders(subscription.account)
            ]
        if fills:
            rows += self._last_fills(subscription.account)
        self._send(client, subscription, channel_frame(EXECUTIONS, SNAPSHOT, rows))

    def send_balances(self, client: Client, subscription: PrivateSubscription) -> None:
        balances = self._market.balances(subscription.account)
        rows = [reports.balance_row(asset, amount) for asset, amount in sorted(balances.items())]
        self._send(client, subscription, channel_frame(BALANCES, SNAPSHOT, rows))

    def publish_order(self, event: OrderChanged) -> None:
        order = event.order
        subscribers = self._subscribers.get((order.account, EXECUTIONS))
        if not subscribers:
            return
        pair = order.request.pair
        at = event.fill.at if event.fill else (order.closed_at or self._market.market_now())
        row = reports.order_report(event, self._decimals[pair], self._dollars, at)
        plain = channel_frame(EXECUTIONS, UPDATE, [row])
        for client, subscription in subscribers.items():
            if not subscription.all_changes and event.exec_type not in reports.BRIEF:
                continue
            frame = self._with_counter(row, subscription, pair) if subscription.rate_counter else plain
            self._send(client, subscription, frame, str(pair))

    def publish_balance(self, event: BalanceChanged) -> None:
        subscribers = self._subscribers.get((event.account, BALANCES))
        if subscribers:
            frame = channel_frame(BALANCES, UPDATE, [reports.ledger_row(event)])
            for client, subscription in subscribers.items():
                self._send(client, subscription, frame)

    def _with_counter(self, row: reports.Row, subscription: PrivateSubscription, pair: Pair) -> bytes:
        counted = row | {"ratecount": round(self._counters.counter(subscription.account, pair))}
        return channel_frame(EXECUTIONS, UPDATE, [counted])

    def _send(
        self, client: Client, subscription: PrivateSubscription, frame: bytes, symbol: str = ""
    ) -> None:
        subscription.sequence += 2 if self._delivery.skips_number(subscription.channel, symbol) else 1
        numbered = b'%b,"sequence":%d}' % (frame[:-1], subscription.sequence)
        self._delivery.send(client, subscription.channel, numbered, symbol=symbol)

    def _last_fills(self, account: str) -> Iterable[dict[str, Any]]:
        fills, _ = self._market.fills(account, limit=SNAPSHOT_FILLS)
        fills = sorted(fills, key=lambda fill: (fill.at, fill.trade_id))
        known = {order.order_id: order for order in self._market.orders(account, [f.order_id for f in fills])}
        return [
            reports.fill_report(fill, known[fill.order_id], self._decimals[fill.pair], self._dollars)
            for fill in fills
        ]

    def _dollars(self, asset: str) -> Decimal | None:
        if asset in DOLLARS:
            return Decimal(1)
        priced = next(
            (pair for name in DOLLARS if (pair := Pair(asset, name)) in self._market.listings), None
        )
        return None if priced is None else self._market.summary(priced).last
