"""Messages of Kraken's WebSocket v2: requests with exact numbers, answers, and reports of an account's orders.

docs.kraken.com/exchange/api-reference/spot-websocket-v2
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from trading.venues.kraken.decoding import decode_result

EXECUTIONS = "executions"
ENDED = frozenset({"filled", "canceled", "expired"})
Params = dict[str, object]
_encode = msgspec.json.Encoder().encode


class WebSocketMessage(msgspec.Struct, frozen=True):
    """Anything that Kraken sends: an answer has a `method`, everything else a `channel`."""

    channel: str = ""
    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    sequence: int | None = None  # of the private channels, one more with each message of a subscription
    method: str = ""
    req_id: int | None = None
    success: bool | None = None
    error: str | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class OrderResult(msgspec.Struct, frozen=True):
    """The result of add_order and cancel_order."""

    order_id: str = ""  # empty when the order was only validated


class AmendResult(msgspec.Struct, frozen=True):
    """The result of amend_order."""

    amend_id: str


class ExecutionReport(msgspec.Struct, frozen=True):
    """Something that happened to an order of the account, whoever placed it. What a report leaves out is None or empty.

    It says when to ask, not what to book: a report can be missed, an answer of REST is whole.
    """

    order_id: str
    exec_type: str  # pending_new, new, trade, filled, canceled, expired, amended, restated, status ...
    order_status: str  # pending_new, new, partially_filled, filled, canceled, expired
    client_order_id: str = msgspec.field(name="cl_ord_id", default="")
    symbol: str = ""
    filled: Decimal | None = msgspec.field(name="cum_qty", default=None)  # base currency, all fills together
    average_price: Decimal | None = msgspec.field(name="avg_price", default=None)
    fill_id: str = msgspec.field(name="exec_id", default="")  # as in QueryTrades
    fill_quantity: Decimal | None = msgspec.field(name="last_qty", default=None)
    fill_price: Decimal | None = msgspec.field(name="last_price", default=None)
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Nothing more happens to the order. A `trade` is never the end, even the last one: `filled` follows it."""
        return self.order_status in ENDED


def encode_request(method: str, params: Mapping[str, object], number: int) -> str:
    """Encode a request; its answer repeats the number."""
    request = {"method": method, "req_id": number} | ({"params": params} if params else {})
    return _encode(request).decode()


def exact_number(value: Decimal) -> msgspec.Raw:
    """Return a JSON number with all the digits of `value`."""
    return msgspec.Raw(format(value, "f").encode())


def decode_message(frame: bytes) -> WebSocketMessage:
    """Decode any frame. InvalidMessage for one that is none of Kraken's."""
    return decode_result("WebSocket", frame, WebSocketMessage)


def decode_executions(message: WebSocketMessage) -> list[ExecutionReport]:
    """Decode the reports of a message of the channel `executions`. InvalidMessage for what cannot be read."""
    return decode_result(EXECUTIONS, message.data, list[ExecutionReport])
