"""What armed faults do to requests and to the responses to them, over REST and over WebSocket."""

import asyncio
from dataclasses import dataclass

from streaming.sandbox.faults.kinds import FaultKind
from streaming.sandbox.faults.schedule import Faults
from streaming.sandbox.limits import EXCEEDED_RATE, INVALID_SESSION
from streaming.sandbox.model import Refused

ORDER_RATE = "EOrder:Rate limit exceeded"
GARBAGE = (  # instead of a response, in turn
    b'{"error":[],"result":{"nonsense":[null,{"c":"NaN"}],"descr":7,"txid":null}}',
    b'{"error":[],"result":{"XXBT":"12.',
    b"\xff\xfe\xc3\x28",
    b"[]",
)


@dataclass(frozen=True, slots=True)
class ResponseFault:
    """What happens to the response to a request that has taken effect."""

    lost: bool = False  # the connection is closed instead
    error_page: bool = False
    body: bytes | None = None  # sent instead of the response
    seconds_per_byte: float = 0.0


def disconnects(faults: Faults, method: str) -> bool:
    """Return whether the connection is closed at this request, which has no effect then."""
    return faults.trigger(FaultKind.DISCONNECT, method=method) is not None


def check_rest_request(faults: Faults, method: str, *, signed: bool, counts_as_order: bool) -> None:
    """Raise Refused for a request over REST that a fault refuses."""
    if faults.trigger(FaultKind.RATE_LIMIT, method=method):
        raise Refused(ORDER_RATE if counts_as_order else "EAPI:Rate limit exceeded")
    if signed and faults.trigger(FaultKind.NONCE_ERROR, method=method):
        raise Refused("EAPI:Invalid nonce")


async def rest_response(faults: Faults, method: str) -> ResponseFault:
    """Wait as long as the response is late, and return what else happens to it."""
    if fault := faults.trigger(FaultKind.SLOW_ACK, method=method):
        await asyncio.sleep(fault.seconds)
    if faults.trigger(FaultKind.LOST_ACK, method=method):
        return ResponseFault(lost=True)
    if faults.trigger(FaultKind.ACCEPTED_THEN_5XX, method=method):
        return ResponseFault(error_page=True)
    if fault := faults.trigger(FaultKind.GARBAGE_ANSWER, method=method):
        return ResponseFault(body=GARBAGE[(faults.times_triggered(fault) - 1) % len(GARBAGE)])
    slow = faults.trigger(FaultKind.SLOW_LORIS, method=method)
    return ResponseFault(seconds_per_byte=slow.seconds if slow else 0.0)


def check_websocket_order(faults: Faults, method: str, symbol: str) -> None:
    """Raise Refused for an order request over WebSocket that a fault refuses."""
    if faults.trigger(FaultKind.RATE_LIMIT, method=method, symbol=symbol):
        raise Refused(ORDER_RATE)
    if faults.trigger(FaultKind.TOKEN_EXPIRY, method=method):
        raise Refused(INVALID_SESSION)


def acknowledgement_delay(faults: Faults, method: str, symbol: str) -> float | None:
    """Return after how many seconds the response to a WebSocket request is sent; None when it is lost."""
    if faults.trigger(FaultKind.LOST_ACK, method=method, symbol=symbol):
        return None
    slow = faults.trigger(FaultKind.SLOW_ACK, method=method, symbol=symbol)
    return slow.seconds if slow else 0.0


def check_subscription(faults: Faults, channel: str) -> None:
    """Raise Refused for a subscription that a fault refuses for its rate."""
    if faults.trigger(FaultKind.RATE_LIMIT, channel=channel, method="subscribe"):
        raise Refused(EXCEEDED_RATE)


def check_subscription_token(faults: Faults, channel: str) -> None:
    """Raise Refused when a fault makes the token of a private subscription invalid."""
    if faults.trigger(FaultKind.TOKEN_EXPIRY, channel=channel, method="subscribe"):
        raise Refused(INVALID_SESSION)


def skips_number(faults: Faults, channel: str, symbol: str) -> bool:
    """Return whether a number is left out of the sequence of a private channel."""
    return faults.trigger(FaultKind.SEQUENCE_GAP, channel=channel, symbol=symbol) is not None
