"""What Kraken is asked over the WebSocket, and how its answers are read."""

from typing import Any

from msgspec.json import encode

from streaming.events import PRIVATE, Acknowledged, Channel, Subscription
from streaming.feeds.kraken import messages as wire
from streaming.feeds.kraken.names import CHANNEL_NAMES, CHANNELS, MINUTES, Pairs
from trading.errors import InvalidValue
from trading.market import Pair

WITHOUT_PAIRS = PRIVATE | {Channel.INSTRUMENT}
DEPTHS = (10, 25, 100, 500, 1000)


def request(method: str, subscription: Subscription, request_id: int, token: str) -> str:
    """The frame that subscribes to or unsubscribes from all pairs at once: Kraken answers each pair apart."""
    parameters = _which(subscription)
    if method == "subscribe":
        parameters |= _how(subscription.channel)
    if subscription.channel in PRIVATE:
        parameters["token"] = _checked(subscription.channel, token)
    return encode({"method": method, "params": parameters, "req_id": request_id}).decode()


def _which(subscription: Subscription) -> dict[str, Any]:
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


def _how(channel: Channel) -> dict[str, Any]:
    if channel is Channel.EXECUTIONS:
        return {"snap_orders": True, "snap_trades": True}  # the fills that a lost connection missed
    return {"snapshot": True}


def _checked(channel: Channel, token: str) -> str:
    if not token:
        raise InvalidValue(
            f"{channel.value} is private: give the feed a token, and prepare() each connection"
        )
    return token


def acknowledged(answer: wire.Answer, pairs: Pairs) -> Acknowledged:
    """InvalidValue for a frame that is neither an answer nor an error."""
    success, result = _success(answer), answer.result or wire.AnswerResult()
    return Acknowledged(
        request_id=answer.req_id,
        method=answer.method or "",
        channel=CHANNELS.get(result.channel or answer.channel or ""),  # refusals name it beside the error
        pair=_pair(result.symbol or answer.symbol, success, pairs),
        success=success,
        error=answer.error or "",
        warnings=(*result.warnings, *answer.warnings),
    )


def _success(answer: wire.Answer) -> bool:
    failed = answer.error is not None
    if answer.success is None and (failed or answer.method == "pong"):  # errors that no request caused, pongs
        return not failed
    if answer.success is None or (answer.method is None and not failed):
        raise InvalidValue("neither a channel's message nor the answer to a request")
    if answer.success is failed:
        raise InvalidValue(f"success is {answer.success}, the error {ascii(answer.error)[:100]}")
    return answer.success


def _pair(symbol: str | None, success: bool, pairs: Pairs) -> Pair | None:
    """A refused symbol can be anything that was asked for."""
    try:
        return None if symbol is None else pairs[symbol]
    except InvalidValue:
        if success:
            raise
        return None
