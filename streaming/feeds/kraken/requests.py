"""Subscription requests to Kraken's WebSocket, and its responses."""

from typing import Any

from msgspec.json import encode

from streaming.events import PRIVATE, Acknowledgement, Channel, Subscription
from streaming.feeds.kraken import messages
from streaming.feeds.kraken.names import CHANNEL_NAMES, CHANNELS, MINUTES, PairsBySymbol
from trading.errors import InvalidValue
from trading.market import Pair

WITHOUT_PAIRS = PRIVATE | {Channel.INSTRUMENT}
DEPTHS = (10, 25, 100, 500, 1000)


def request_frame(method: str, subscription: Subscription, request_id: int, token: str) -> str:
    """Return the frame that subscribes to or unsubscribes from all pairs; Kraken responds for each of them."""
    parameters = _parameters(subscription)
    if method == "subscribe":
        parameters |= _options(subscription.channel)
    if subscription.channel in PRIVATE:
        parameters["token"] = _require_token(subscription.channel, token)
    return encode({"method": method, "params": parameters, "req_id": request_id}).decode()


def _parameters(subscription: Subscription) -> dict[str, Any]:
    channel = subscription.channel
    parameters: dict[str, Any] = {"channel": CHANNEL_NAMES[channel]}
    if channel in WITHOUT_PAIRS:
        if subscription.pairs:
            raise InvalidValue(f"{channel.value} is not subscribed to by pair: leave the pairs out")
        return parameters
    if not subscription.pairs:
        raise InvalidValue(f"{channel.value} needs at least one pair")
    parameters["symbol"] = [str(pair) for pair in subscription.pairs]
    if channel is Channel.BOOK:
        if subscription.depth not in DEPTHS:
            raise InvalidValue(
                f"a book of depth {subscription.depth}: Kraken has {', '.join(map(str, DEPTHS))}"
            )
        parameters["depth"] = subscription.depth
    if channel is Channel.CANDLE:
        parameters["interval"] = MINUTES[subscription.timeframe]
    if channel is Channel.TICKER:
        parameters["event_trigger"] = "bbo"  # otherwise bid and ask come only with trades
    return parameters


def _options(channel: Channel) -> dict[str, Any]:
    if channel is Channel.EXECUTIONS:
        return {"snap_orders": True, "snap_trades": True}  # the fills that a lost connection missed
    return {"snapshot": True}


def _require_token(channel: Channel, token: str) -> str:
    if not token:
        raise InvalidValue(
            f"{channel.value} is private: give the feed a token, and prepare() each connection"
        )
    return token


def read_response(response: messages.Response, pairs: PairsBySymbol) -> Acknowledgement:
    """Return the response as an event. InvalidValue for a frame that is neither a response nor an error."""
    success, result = _success(response), response.result or messages.ResponseResult()
    return Acknowledgement(
        request_id=response.req_id,
        method=response.method or "",
        channel=CHANNELS.get(result.channel or response.channel or ""),  # refusals name it beside the error
        pair=_pair(result.symbol or response.symbol, success, pairs),
        success=success,
        error=response.error or "",
        warnings=(*result.warnings, *response.warnings),
    )


def _success(response: messages.Response) -> bool:
    failed = response.error is not None
    if response.success is None and (
        failed or response.method == "pong"
    ):  # pongs, and errors without a request
        return not failed
    if response.success is None or (response.method is None and not failed):
        raise InvalidValue("neither a channel's message nor the answer to a request")
    if response.success is failed:
        raise InvalidValue(f"success is {response.success}, the error {ascii(response.error)[:100]}")
    return response.success


def _pair(symbol: str | None, success: bool, pairs: PairsBySymbol) -> Pair | None:
    """Return the symbol's pair; None for a refused symbol, which can be anything that was requested."""
    try:
        return None if symbol is None else pairs[symbol]
    except InvalidValue:
        if success:
            raise
        return None
