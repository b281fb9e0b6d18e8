"""Kraken's feed: public market data, and our own orders and balances with a token."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from streaming.events import Event, Subscription
from streaming.feeds import ConnectionRules
from streaming.feeds.kraken import account, market, messages
from streaming.feeds.kraken.decode_errors import DECODE_ERRORS, error_reason, escape
from streaming.feeds.kraken.names import PairsBySymbol
from streaming.feeds.kraken.requests import read_response, request_frame
from trading.errors import InvalidMessage, InvalidValue

PUBLIC_URL = "wss://ws.kraken.com/v2"
PRIVATE_URL = "wss://ws-auth.kraken.com/v2"
RULES = ConnectionRules(
    max_attempts=150,  # per address; beyond, Kraken's proxy bans for ten minutes (docs.kraken.com/websockets-v2)
    window=timedelta(minutes=10),
    silence_timeout=timedelta(seconds=8),  # a heartbeat comes each second when nothing else does
    first_pause=timedelta(seconds=0.5),
    max_pause=timedelta(seconds=60),
    maintenance_pause=timedelta(seconds=5),
)
READERS: dict[type[messages.ChannelFrame], Callable[[Any, PairsBySymbol], Sequence[Event]]] = {
    messages.TradeFrame: market.trades,
    messages.BookFrame: market.books,
    messages.TickerFrame: market.tickers,
    messages.CandleFrame: market.candles,
    messages.InstrumentFrame: market.listings,
    messages.StatusFrame: market.statuses,
    messages.HeartbeatFrame: market.heartbeats,
    messages.ExecutionFrame: account.executions,
    messages.BalanceFrame: account.balances,
}
CHANNEL_FIELD = re.compile(r'"channel"\s*:\s*"([^"\\]{1,40})"')


class KrakenFeed:
    """The private end point with a `token` source, which serves no market data; the public one without."""

    def __init__(self, url: str | None = None, token: Callable[[], str] | None = None) -> None:
        self._url = url or (PRIVATE_URL if token else PUBLIC_URL)
        self._fetch_token = token
        self._token = ""
        self._pairs = PairsBySymbol()

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
        """Fetch a token, which has to be used within 15 minutes: each connection gets its own."""
        if self._fetch_token is not None:
            self._token = self._fetch_token()

    def subscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (request_frame("subscribe", subscription, request_id, self._token),)

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return (request_frame("unsubscribe", subscription, request_id, self._token),)

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        try:
            text = frame if isinstance(frame, str) else str(frame, "utf-8")
            message = messages.MESSAGES.decode(text)
            return READERS[type(message)](message, self._pairs)
        except DECODE_ERRORS as error:
            return self._read_response(frame, error)

    def reset(self) -> None:
        """Do nothing: no state is kept from frame to frame."""

    def _read_response(self, frame: str | bytes, error: Exception) -> Sequence[Event]:
        """Read the response to a request, which names its method. InvalidMessage for any other frame, for `error`."""
        response = _decode_response(frame)
        if response is None or (response.channel is not None and response.method is None):
            raise InvalidMessage(_channel(frame, response), error_reason(error)) from error
        try:
            return (read_response(response, self._pairs),)
        except InvalidValue as wrong:
            raise InvalidMessage(escape((response.channel or "")[:40]), error_reason(wrong)) from error


def _decode_response(frame: str | bytes) -> messages.Response | None:
    try:
        return messages.RESPONSES.decode(frame if isinstance(frame, str) else str(frame, "utf-8"))
    except DECODE_ERRORS:
        return None


def _channel(frame: str | bytes, response: messages.Response | None) -> str:
    """Return the channel that the frame names, even where the rest of it cannot be read."""
    if response is not None and response.channel is not None:
        return escape(response.channel[:40])
    text = frame if isinstance(frame, str) else str(frame, "utf-8", "replace")
    match = CHANNEL_FIELD.search(text)
    return escape(match[1]) if match else ""
