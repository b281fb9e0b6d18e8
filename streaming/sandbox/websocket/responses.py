"""Answers to requests: acknowledgements and refusals, their keys in alphabetical order as Kraken sends them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from streaming.sandbox.formatting import format_server_time

_encode = msgspec.json.Encoder(order="deterministic").encode


def acceptance(
    method: str,
    request_id: int | None,
    result: Mapping[str, Any] | list[Any],
    time_in: float,
    time_out: float,
) -> bytes:
    return _encode_response(method, request_id, time_in, time_out, result=result, success=True)


def refusal(
    method: str, request_id: int | None, error: str, time_in: float, time_out: float, **where: str
) -> bytes:
    """Encode a refusal. `where`: the symbol or channel that it is about, as Kraken names it."""
    return _encode_response(method, request_id, time_in, time_out, error=error, success=False, **where)


def pong(request_id: int | None, time_in: float, time_out: float) -> bytes:
    return _encode_response("pong", request_id, time_in, time_out)


def _encode_response(
    method: str, request_id: int | None, time_in: float, time_out: float, **more: Any
) -> bytes:
    response = {"time_in": format_server_time(time_in), "time_out": format_server_time(time_out), **more}
    if method:
        response["method"] = method
    if request_id is not None:
        response["req_id"] = request_id
    return _encode(response)
