"""Requests of clients: any bytes at all give a request, or the words to refuse it with."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from streaming.sandbox.limits import INTERNAL_ERROR
from streaming.sandbox.model import Refused
from streaming.sandbox.websocket.decoding import check_known
from streaming.sandbox.websocket.order_requests import ORDER_METHODS, OrderRequest
from streaming.sandbox.websocket.subscription_requests import Subscription, decode_subscription

log = logging.getLogger(__name__)
MIN_ID, MAX_ID = -(2**63), 2**63 - 1
METHODS = frozenset({"ping", "subscribe", "unsubscribe", *ORDER_METHODS})


@dataclass(frozen=True, slots=True)
class Ping:
    """A request for a pong."""


@dataclass(frozen=True, slots=True)
class Request:
    """`method` and `request_id` are what the answer has to repeat."""

    method: str
    request_id: int | None
    body: Ping | Subscription | OrderRequest


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A frame that is no request, with the words to refuse it with."""

    method: str
    request_id: int | None
    error: str


def parse(frame: str | bytes) -> Request | RefusedRequest:
    """Parse any frame; never raise. An error of the sandbox itself is logged and answered as one."""
    try:
        message = _decode(frame)
    except (msgspec.DecodeError, ValueError, RecursionError):
        message = None
    if not isinstance(message, Mapping):
        return RefusedRequest("", None, "Malformed request")
    method, request_id = message.get("method"), message.get("req_id")
    if not isinstance(method, str) or method not in METHODS:
        method = ""  # nonsense is not repeated
    if request_id is not None and not _is_id(request_id):
        return RefusedRequest(method, None, "Malformed request")
    try:
        return Request(method, request_id, _body(method, message))
    except Refused as refusal:
        return RefusedRequest(method, request_id, str(refusal))
    except Exception:
        log.exception("sandbox: %s cannot be read", method)
        return RefusedRequest(method, request_id, INTERNAL_ERROR)


def _body(method: str, message: Mapping[str, Any]) -> Ping | Subscription | OrderRequest:
    if not method:
        raise Refused("Method not supported" if "method" in message else "Malformed request")
    message_type = method.replace("_", " ")
    check_known(
        message, ("method", "req_id") if method == "ping" else ("method", "req_id", "params"), message_type
    )
    params = message.get("params", {})
    if not isinstance(params, Mapping):
        raise Refused("Malformed request")
    if method == "ping":
        return Ping()
    return (
        ORDER_METHODS[method](params)
        if method in ORDER_METHODS
        else decode_subscription(params, message_type)
    )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and MIN_ID <= value <= MAX_ID


def _decimal(digits: str) -> Decimal:
    """Return NaN where no Decimal is wide enough: the field that holds it is refused, not the whole frame."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")


_decode = msgspec.json.Decoder(float_hook=_decimal).decode
