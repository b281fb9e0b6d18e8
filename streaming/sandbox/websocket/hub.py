"""Everything that is sent to subscribers: market data, private data, status and heartbeats."""

import hashlib
from collections.abc import Callable
from typing import assert_never

from streaming.sandbox.faults import Faults
from streaming.sandbox.faults.frames import ConnectionFaults
from streaming.sandbox.model import (
    BalanceChanged,
    BookChanged,
    ExchangeEvent,
    OrderChanged,
    StatusChanged,
    TradesPrinted,
)
from streaming.sandbox.websocket import frames
from streaming.sandbox.websocket.clients import Client, ClientWriter, Delivery, Topic
from streaming.sandbox.websocket.instruments import CHANNEL, instruments
from streaming.sandbox.websocket.ports import MarketFeed, OrderRates, Tokens
from streaming.sandbox.websocket.private import PrivateData
from streaming.sandbox.websocket.public import PublicData
from trading.market import Pair, PairStatus

HEARTBEAT_SECONDS = 1.0  # recorded: every second, whatever else is sent
INSTRUMENTS = Topic(CHANNEL, None)


class Hub:
    """Pure but for the writers of its clients; `server` gives server time in seconds since 1970."""

    def __init__(
        self,
        market: MarketFeed,
        counters: OrderRates,
        tokens: Tokens,
        faults: Faults,
        server: Callable[[], float],
    ) -> None:
        self.market = market
        self.faults = faults
        self.tokens = tokens
        self.delivery = Delivery(faults)
        self.public = PublicData(market, self.delivery)
        self.private = PrivateData(market, self.delivery, counters, tokens)
        self.clients: dict[Client, None] = {}
        self._server = server
        self._connections = 0
        self._sent = self._statuses()

    def attach(self, writer: ClientWriter) -> Client:
        """Add a connection; the exchange's status is sent first."""
        self._connections += 1
        seed = f"{self._connections} {self._server()}".encode()
        number = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big")
        client = Client(number, writer, ConnectionFaults(self.faults))
        self.clients[client] = None
        self._send_status(client)
        return client

    def detach(self, client: Client) -> None:
        """Remove a connection that is gone. Repeating it changes nothing."""
        for topic in list(client.topics):
            self.public.remove(client, topic)
        for channel in list(client.private_subscriptions):
            self.private.remove(client, channel)
        self.clients.pop(client, None)

    def publish(self, event: ExchangeEvent) -> None:
        """Send an event of the exchange to all who subscribed; call it for every event, in order."""
        match event:
            case TradesPrinted():
                self.public.publish_trades(event)
            case BookChanged():
                self.public.publish_book(event)
            case OrderChanged():
                self.private.publish_order(event)
            case BalanceChanged():
                self.private.publish_balance(event)
            case StatusChanged():
                self._send_statuses()
            case _:
                assert_never(event)

    def tick(self) -> None:
        """Send what the clock makes due: heartbeats, faults that begin or end. Call it several times a second."""
        if self.faults.trigger_disconnect():
            for client in list(self.clients):
                client.writer.disconnect("fault: disconnect")
        self._send_statuses()
        now = self._server()
        for client in list(self.clients):
            if client.subscribed and now >= client.heartbeat_at:
                client.heartbeat_at = now + HEARTBEAT_SECONDS
                self.delivery.send(client, "heartbeat", frames.HEARTBEAT)

    def instruments(self) -> bytes:
        return instruments(frames.SNAPSHOT, self.market.listings.values(), self._status)

    def _status(self, pair: Pair) -> PairStatus:
        return self.faults.status(pair, self.market.status(pair))

    def _statuses(self) -> dict[Pair | None, PairStatus]:
        """Return the statuses of the exchange as a whole (None) and of each pair, as clients should know them now."""
        pairs: dict[Pair | None, PairStatus] = {pair: self._status(pair) for pair in self.market.listings}
        return {None: self.faults.status(None, self.market.system_status), **pairs}

    def _send_statuses(self) -> None:
        statuses = self._statuses()
        different = [pair for pair, status in statuses.items() if self._sent[pair] is not status]
        self._sent = statuses
        if None in different:
            for client in list(self.clients):
                self._send_status(client)
        listings = [self.market.listings[pair] for pair in different if pair is not None]
        if listings and (subscribers := self.public.subscribers(INSTRUMENTS)):
            frame = instruments(frames.UPDATE, listings, self._status)
            self.delivery.share(subscribers, CHANNEL, "", frame)

    def _send_status(self, client: Client) -> None:
        self.delivery.send(client, "status", frames.status_frame(self._sent[None].value, client.number))
