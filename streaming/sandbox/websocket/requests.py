"""What a client's frame asks for. Total: any bytes at all give a request or the words to refuse it with."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from streaming.sandbox.limits import INTERNAL_ERROR
from streaming.sandbox.market.tape import INTERVALS
from streaming.sandbox.model import Refused
from streaming.sandbox.websocket import fields
from streaming.sandbox.websocket.books import DEPTHS
from streaming.sandbox.websocket.order_readers import ORDER_METHODS
from streaming.sandbox.websocket.order_requests import OrderRequest

log = logging.getLogger(__name__)
PRIVATE_CHANNELS = ("executions", "balances")
PAIR_CHANNELS = ("ticker", "trade", "ohlc", "book")
TRIGGERS = ("trades", "bbo")
MOST_SYMBOLS = 1000  # of one request
SMALLEST_ID, LARGEST_ID = -(2**63), 2**63 - 1
DEFAULT_SNAPSHOT = {"trade": False}  # true for all others

_CHANNEL_FIELDS: dict[str, tuple[str, ...]] = {
    "ticker": ("symbol", "event_trigger", "snapshot"),
    "trade": ("symbol", "snapshot"),
    "ohlc": ("symbol", "interval", "snapshot"),
    "book": ("symbol", "depth", "snapshot"),
    "instrument": ("snapshot", "include_tokenized_assets"),
    "executions": (
        "snap_orders",
        "snap_trades",
        "order_status",
        "ratecounter",
        "snapshot",
        "snapshot_trades",
        "rebased",
    ),
    "balances": ("snapshot", "rebased"),
}


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Subscription:
    """One channel for some symbols, to be told or told no more. Symbols are as written: they may not exist."""

    channel: str
    symbols: tuple[str, ...] = ()
    snapshot: bool = True
    depth: int | None = None  # of a book; None where it is not said
    interval: int = 1
    trigger: str = "trades"
    token: str = ""
    snap_orders: bool = True
    snap_trades: bool = False
    order_status: bool = True
    rate_counter: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """`method` and `request_id` are what the answer has to repeat."""

    method: str
    request_id: int | None
    body: Ping | Subscription | OrderRequest


@dataclass(frozen=True, slots=True)
class Refusal:
    method: str
    request_id: int | None
    error: str


def parse(frame: str | bytes) -> Request | Refusal:
    """The request in a frame, or why it is none; never raises. An error of ours is logged and told as one."""
    message = _decoded(frame)
    if not isinstance(message, Mapping):
        return Refusal("", None, "Malformed request")
    request_id = message.get("req_id")
    if request_id is not None and not _is_id(request_id):
        return Refusal(_method(message), None, "Malformed request")
    method = _method(message)
    try:
        return Request(method, request_id, _body(method, message))
    except Refused as refusal:
        return Refusal(method, request_id, str(refusal))
    except Exception:
        log.exception("sandbox: %s cannot be read", method)
        return Refusal(method, request_id, INTERNAL_ERROR)


def _decoded(frame: str | bytes) -> Any:
    try:
        return _decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _real(digits: str) -> Decimal:
    """Not a number where no Decimal is wide enough: the field that holds it is refused, not the whole frame."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")


_decode = msgspec.json.Decoder(float_hook=_real).decode


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and SMALLEST_ID <= value <= LARGEST_ID


def _method(message: Mapping[str, Any]) -> str:
    """Empty where it is none of ours: nonsense is not repeated."""
    method = message.get("method")
    return method if isinstance(method, str) and (method in _READERS or method in ORDER_METHODS) else ""


def _body(method: str, message: Mapping[str, Any]) -> Ping | Subscription | OrderRequest:
    if not method:
        raise Refused("Method not supported" if "method" in message else "Malformed request")
    name = method.replace("_", " ")
    fields.known(message, ("method", "req_id") if method == "ping" else ("method", "req_id", "params"), name)
    params = message.get("params", {})
    if not isinstance(params, Mapping):
        raise Refused("Malformed request")
    return _READERS[method](params, name) if method in _READERS else ORDER_METHODS[method](params)


def _subscription(params: fields.Params, message_type: str) -> Subscription:
    channel = params.get("channel")
    if not isinstance(channel, str) or channel not in _CHANNEL_FIELDS:
        raise Refused("Subscription name invalid")
    private = channel in PRIVATE_CHANNELS
    allowed = {"channel", *_CHANNEL_FIELDS[channel]} | ({"token"} if private else set())
    fields.known({name: 0 for name in params if name != "token"}, allowed, message_type)
    snapshot = fields.flag(params, "snapshot", DEFAULT_SNAPSHOT.get(channel, True))
    return Subscription(
        channel=channel,
        symbols=_symbols(params) if channel in PAIR_CHANNELS else (),
        snapshot=snapshot,
        depth=_depth(params),
        interval=_interval(params),
        trigger=fields.choice(params, "event_trigger", TRIGGERS, "trades"),
        token=fields.text(params, "token") if private else "",
        # `snapshot` and `snapshot_trades` are the deprecated names of the two
        snap_orders=fields.flag(params, "snap_orders", snapshot),
        snap_trades=fields.flag(params, "snap_trades", fields.flag(params, "snapshot_trades")),
        order_status=fields.flag(params, "order_status", True),
        rate_counter=fields.flag(params, "ratecounter"),
    )


def _symbols(params: fields.Params) -> tuple[str, ...]:
    symbols = params.get("symbol")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise Refused("Symbol field must be an array")
    if not symbols or len(symbols) > MOST_SYMBOLS:
        raise Refused("Symbol(s) not found")
    return tuple(dict.fromkeys(symbols))


def _depth(params: fields.Params) -> int | None:
    depth = params.get("depth")
    if depth is None:
        return None
    if not isinstance(depth, int) or isinstance(depth, bool):
        raise Refused("Subscription book depth must be an integer")
    if depth not in DEPTHS:
        raise Refused("Subscription depth not supported")
    return depth


def _interval(params: fields.Params) -> int:
    interval = params.get("interval", 1)
    if not isinstance(interval, int) or isinstance(interval, bool):
        raise Refused("Subscription ohlc interval must be an integer")
    if interval not in INTERVALS:
        raise Refused("Subscription ohlc interval not supported")
    return interval


_READERS: dict[str, Callable[[fields.Params, str], Ping | Subscription]] = {
    "ping": lambda params, message_type: Ping(),
    "subscribe": _subscription,
    "unsubscribe": _subscription,
}
