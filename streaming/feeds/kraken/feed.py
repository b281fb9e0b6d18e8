"""Kraken's WebSocket v2: public market data, and our own orders and money with a token."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from streaming.events import Event, Subscription
from streaming.feeds import ConnectionRules
from streaming.feeds.kraken import account, market
from streaming.feeds.kraken import messages as wire
from streaming.feeds.kraken.decode_errors import UNREADABLE, printable, reason_of
from streaming.feeds.kraken.names import Pairs
from streaming.feeds.kraken.requests import acknowledged, request
from trading.errors import InvalidMessage, InvalidValue

PUBLIC_URL = "wss://ws.kraken.com/v2"
PRIVATE_URL = "wss://ws-auth.kraken.com/v2"
RULES = ConnectionRules(
    attempts=150,  # per address; beyond, Kraken's proxy bans for ten minutes (docs.kraken.com/websockets-v2)
    window=timedelta(minutes=10),
    silence=timedelta(seconds=8),  # a heartbeat comes each second when nothing else does
    first_pause=timedelta(seconds=0.5),
    longest_pause=timedelta(seconds=60),
    maintenance_pause=timedelta(seconds=5),
)
EVENTS: dict[type[wire.Message], Callable[[Any, Pairs], Sequence[Event]]] = {
    wire.Trade: market.trades,
    wire.Book: market.books,
    wire.Ticker: market.tickers,
    wire.Candle: market.candles,
    wire.Instrument: market.listings,
    wire.Status: market.statuses,
    wire.Heartbeat: market.heartbeats,
    wire.Execution: account.executions,
    wire.Balance: account.balances,
}
CHANNEL = re.compile(r'"channel"\s*:\s*"([^"\\]{1,40})"')


class KrakenFeed:
    """With a `token` source it speaks to the private end point, which serves no market data; without, to the public."""

    def __init__(self, url: str | None = None, token: Callable[[], str] | None = None) -> None:
        self._url = url or (PRIVATE_URL if token else PUBLIC_URL)
        self._fetch_token = token
        self._token = ""
        self._pairs = Pairs()

    @property
    def venue(self) -> str:
        return "kraken"

    @property
    def url(self) -> str:
        return self._url

    @property
    def rules(self) -> ConnectionRules:
        return RULES

    def prepare(self) -> None:
        """A token has to be used within 15 minutes: each connection gets its own."""
        if self._fetch_token is not None:
            self._token = self._fetch_token()

    def subscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (request("subscribe", subscription, request_id, self._token),)

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (request("unsubscribe", subscription, request_id, self._token),)

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        try:
            text = frame if isinstance(frame, str) else str(frame, "utf-8")
            message = wire.CHANNELS.decode(text)
            return EVENTS[type(message)](message, self._pairs)
        except UNREADABLE as error:
            return self._answer(frame, error)

    def restart(self) -> None:
        """Nothing is carried from frame to frame."""

    def _answer(self, frame: str | bytes, error: Exception) -> Sequence[Event]:
        """The answer to a request, which names its method; else the refusal that `error` gives."""
        answer = _envelope(frame)
        if answer is None or (answer.channel is not None and answer.method is None):
            raise InvalidMessage(_channel(frame, answer), reason_of(error)) from error
        try:
            return (acknowledged(answer, self._pairs),)
        except InvalidValue as wrong:
            raise InvalidMessage(printable((answer.channel or "")[:40]), reason_of(wrong)) from error


def _envelope(frame: str | bytes) -> wire.Answer | None:
    try:
        return wire.ANSWERS.decode(frame if isinstance(frame, str) else str(frame, "utf-8"))
    except UNREADABLE:
        return None


def _channel(frame: str | bytes, answer: wire.Answer | None) -> str:
    """As the frame names it, even where the rest of it cannot be read."""
    if answer is not None and answer.channel is not None:
        return printable(answer.channel[:40])
    text = frame if isinstance(frame, str) else str(frame, "utf-8", "replace")
    match = CHANNEL.search(text)
    return printable(match[1]) if match else ""
