"""Subscribing and unsubscribing: one answer per symbol, and the snapshots that follow the answers."""

from collections.abc import Callable, Iterator
from typing import Any

from streaming.sandbox.faults.requests import check_subscription, check_subscription_token
from streaming.sandbox.model import Refused
from streaming.sandbox.websocket.clients import Client, PrivateSubscription, Topic
from streaming.sandbox.websocket.hub import INSTRUMENTS, Hub
from streaming.sandbox.websocket.instruments import CHANNEL
from streaming.sandbox.websocket.order_terms import unsupported
from streaming.sandbox.websocket.private import BALANCES, EXECUTIONS
from streaming.sandbox.websocket.subscription_requests import PRIVATE_CHANNELS, Subscription
from trading.errors import InvalidValue
from trading.market import Pair

DEFAULT_DEPTH = 10
DEPRECATED_TIME = "timestamp is deprecated, use interval_begin"  # as recorded
ALREADY = "Already subscribed"
NOT_SUBSCRIBED = "Subscription Not Found"
Follow = Callable[[], None]  # sends what comes after the answer
Result = dict[str, Any]
Answer = tuple[Result | Refused, dict[str, str], Follow | None]  # result, what a refusal names, what follows


def subscribe(hub: Hub, client: Client, wanted: Subscription) -> Iterator[Answer]:
    """Yield one response per symbol; what follows a response is sent before the next one is asked for."""
    try:
        check_subscription(hub.faults, wanted.channel)
    except Refused as refusal:
        yield refusal, {}, None
        return
    if wanted.channel in PRIVATE_CHANNELS:
        yield _subscribe_private(hub, client, wanted)
    elif wanted.channel == CHANNEL:
        yield _subscribe_instruments(hub, client, wanted)
    else:
        for symbol in wanted.symbols:
            yield _subscribe_pair(hub, client, wanted, symbol)


def unsubscribe(hub: Hub, client: Client, wanted: Subscription) -> Iterator[Answer]:
    if wanted.channel in PRIVATE_CHANNELS:
        known = wanted.channel in client.private_subscriptions
        if known:
            hub.private.remove(client, wanted.channel)
        yield _end_answer(known, {"channel": wanted.channel}, {})
    elif wanted.channel == CHANNEL:
        known = INSTRUMENTS in client.topics
        if known:
            hub.public.remove(client, INSTRUMENTS)
        yield _end_answer(known, {"channel": CHANNEL}, {})
    else:
        for symbol in wanted.symbols:
            yield _unsubscribe_pair(hub, client, wanted, symbol)


def _subscribe_pair(hub: Hub, client: Client, wanted: Subscription, symbol: str) -> Answer:
    named = {"symbol": symbol}
    pair = _listed_pair(hub, symbol)
    if pair is None:
        return unsupported(symbol), named, None
    topic = _topic(wanted, pair)
    if _is_subscribed(client, topic):
        return Refused(ALREADY), named, None
    hub.public.add(client, topic)
    result = _topic_fields(wanted, topic) | {"snapshot": wanted.snapshot}
    if topic.channel == "ohlc":
        result["warnings"] = [DEPRECATED_TIME]

    def follow() -> None:
        frame = hub.public.snapshot(topic)
        hub.delivery.send(client, topic.channel, frame, symbol=symbol)

    return result, named, follow if wanted.snapshot else None


def _unsubscribe_pair(hub: Hub, client: Client, wanted: Subscription, symbol: str) -> Answer:
    named = {"symbol": symbol}
    pair = _listed_pair(hub, symbol)
    if pair is None:
        return unsupported(symbol), named, None
    topic = _topic(wanted, pair)
    if topic.channel == "book" and wanted.depth is None:  # there is at most one of a pair
        topic = next((known for known in client.topics if known[:2] == ("book", pair)), topic)
    if known := topic in client.topics:
        hub.public.remove(client, topic)
    return _end_answer(known, _topic_fields(wanted, topic), named)


def _subscribe_instruments(hub: Hub, client: Client, wanted: Subscription) -> Answer:
    if INSTRUMENTS in client.topics:
        return Refused(ALREADY), {}, None
    hub.public.add(client, INSTRUMENTS)
    follow = lambda: hub.delivery.send(client, CHANNEL, hub.instruments())  # noqa: E731
    return {"channel": CHANNEL, "snapshot": wanted.snapshot}, {}, follow if wanted.snapshot else None


def _subscribe_private(hub: Hub, client: Client, wanted: Subscription) -> Answer:
    refusal_names = {"channel": wanted.channel, "status": "error"}  # as recorded
    try:
        check_subscription_token(hub.faults, wanted.channel)
        account = hub.tokens.account_of(wanted.token)
    except Refused as refusal:
        return refusal, refusal_names, None
    if wanted.channel in client.private_subscriptions:
        return Refused(ALREADY), refusal_names, None
    subscription = PrivateSubscription(
        account, wanted.channel, wanted.token, wanted.order_status, wanted.rate_counter
    )
    hub.private.add(client, subscription)
    if wanted.channel == BALANCES:
        follow = (lambda: hub.private.send_balances(client, subscription)) if wanted.snapshot else None
        return {"channel": BALANCES, "snapshot": wanted.snapshot}, {}, follow
    return _executions_result(hub, wanted), {}, _executions_snapshot(hub, client, subscription, wanted)


def _executions_result(hub: Hub, wanted: Subscription) -> Result:
    return {
        "channel": EXECUTIONS,
        "maxratecount": hub.private.maximum_rate,
        "snap_orders": wanted.snap_orders,
        "snap_trades": wanted.snap_trades,
    }


def _executions_snapshot(
    hub: Hub, client: Client, subscription: PrivateSubscription, wanted: Subscription
) -> Follow | None:
    if not (wanted.snap_orders or wanted.snap_trades):
        return None
    return lambda: hub.private.send_orders(client, subscription, wanted.snap_orders, wanted.snap_trades)


def _end_answer(known: bool, result: Result, named: dict[str, str]) -> Answer:
    return (result, named, None) if known else (Refused(NOT_SUBSCRIBED), named, None)


def _listed_pair(hub: Hub, symbol: str) -> Pair | None:
    try:
        pair = Pair.parse(symbol)
    except InvalidValue:
        return None
    return pair if str(pair) == symbol and pair in hub.market.listings else None


def _topic(wanted: Subscription, pair: Pair) -> Topic:
    variants: dict[str, int | str] = {
        "book": wanted.depth or DEFAULT_DEPTH,
        "ohlc": wanted.interval,
        "ticker": wanted.trigger,
    }
    return Topic(wanted.channel, pair, variants.get(wanted.channel, 0))


def _topic_fields(wanted: Subscription, topic: Topic) -> Result:
    names = {"book": "depth", "ohlc": "interval", "ticker": "event_trigger"}
    described: Result = {"channel": topic.channel, "symbol": str(topic.pair)}
    return described | ({names[topic.channel]: topic.variant} if topic.channel in names else {})


def _is_subscribed(client: Client, topic: Topic) -> bool:
    """Return whether the client is subscribed; Kraken gives one book depth per pair and connection."""
    if topic.channel == "book":
        return any(known[:2] == topic[:2] for known in client.topics)
    return topic in client.topics
