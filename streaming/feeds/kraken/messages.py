"""Types of the messages of Kraken's WebSocket v2: msgspec refuses what does not fit and ignores what is new.

Fields are named as Kraken names them (docs.kraken.com, spot-websocket-v2). Numbers that have to stay exact are
untyped here: `float_hook` makes decimals of those that JSON writes with a point or an exponent, and
`exact_decimal` reads the rest, so that text that only looks like a number is refused.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from trading.orders import Side

# Far beyond any market, near enough that products of two stay finite and a decimal written out stays short.
Price = Annotated[float, Meta(ge=1e-15, le=1e15)]
Quantity = Annotated[float, Meta(ge=0, le=1e18)]
Traded = Annotated[float, Meta(gt=0, le=1e18)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Decimals = Annotated[int, Meta(ge=0, le=18)]
Checksum = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Time = Annotated[datetime, Meta(tz=True)]
Kind = Literal["snapshot", "update"]
Exact = Any


class ChannelFrame(Struct, tag_field="channel", gc=False):
    """A frame of a channel."""


class TickerData(Struct, gc=False):
    symbol: str
    bid: Price | None = None
    bid_qty: Quantity | None = None
    ask: Price | None = None
    ask_qty: Quantity | None = None
    last: Price | None = None
    volume: Quantity | None = None
    timestamp: Time | None = None


class TickerFrame(ChannelFrame, tag="ticker"):
    type: Kind
    data: list[TickerData]


class TradeData(Struct, gc=False):
    symbol: str
    side: Side
    price: Price
    qty: Traded
    trade_id: Count
    timestamp: Time


class TradeFrame(ChannelFrame, tag="trade"):
    type: Kind
    data: list[TradeData]


class CandleData(Struct, gc=False):
    symbol: str
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Quantity
    trades: Count
    interval: int  # minutes
    interval_begin: Time


class CandleFrame(ChannelFrame, tag="ohlc"):
    type: Kind
    data: list[CandleData]


class LevelData(Struct, gc=False):
    price: Exact
    qty: Exact


class BookData(Struct, gc=False):
    symbol: str
    bids: list[LevelData]
    asks: list[LevelData]
    checksum: Checksum
    timestamp: Time | None = None


class BookFrame(ChannelFrame, tag="book"):
    type: Kind
    data: Annotated[list[BookData], Meta(min_length=1)]


class PairData(Struct, gc=False):
    symbol: str
    status: str
    price_increment: Exact
    price_precision: Decimals
    qty_increment: Exact
    qty_precision: Decimals
    qty_min: Exact
    cost_min: Exact
    marginable: bool = False
    margin_initial: Exact = None


class PairName(Struct, gc=False):
    symbol: str


class InstrumentData(Struct, gc=False):
    pairs: list[Raw] = []  # each is a PairData, read alone: one odd pair must not cost the others


class InstrumentFrame(ChannelFrame, tag="instrument"):
    type: Kind
    data: InstrumentData


class FeeData(Struct, gc=False):
    asset: str
    qty: Exact


class ExecutionData(Struct, gc=False):
    order_id: Annotated[str, Meta(min_length=1)]
    exec_type: Annotated[str, Meta(min_length=1)]
    timestamp: Time
    cl_ord_id: str = ""
    symbol: str | None = None
    order_status: str = ""
    side: Side | None = None
    order_qty: Exact = None
    cum_qty: Exact = None
    avg_price: Exact = None
    exec_id: str = ""
    last_price: Exact = None
    last_qty: Exact = None
    fees: list[FeeData] = []
    reason: str = ""


class ExecutionFrame(ChannelFrame, tag="executions"):
    type: Kind
    sequence: Count
    data: list[ExecutionData]


class WalletData(Struct, gc=False):
    type: str
    id: str
    balance: Exact


class BalanceData(Struct, gc=False):
    asset: Annotated[str, Meta(min_length=1)]
    balance: Exact
    wallets: list[WalletData] = []
    wallet_type: str | None = None
    wallet_id: str | None = None
    timestamp: Time | None = None


class BalanceFrame(ChannelFrame, tag="balances"):
    type: Kind
    sequence: Count
    data: list[BalanceData]


class StatusData(Struct, gc=False):
    system: Annotated[str, Meta(min_length=1)]
    connection_id: int | None = None


class StatusFrame(ChannelFrame, tag="status"):
    data: list[StatusData]


class HeartbeatFrame(ChannelFrame, tag="heartbeat"):
    pass


class ResponseResult(Struct, gc=False):
    channel: str | None = None
    symbol: str | None = None
    warnings: list[str] = []


class Response(Struct, gc=False):
    """The response to a request, or an error that belongs to none. A refused private channel is named in `channel`."""

    channel: str | None = None
    method: str | None = None
    req_id: int | None = None
    success: bool | None = None
    error: str | None = None
    symbol: str | None = None
    result: ResponseResult | None = None
    warnings: list[str] = []


MESSAGES = Decoder(
    TradeFrame
    | BookFrame
    | TickerFrame
    | CandleFrame
    | InstrumentFrame
    | ExecutionFrame
    | BalanceFrame
    | StatusFrame
    | HeartbeatFrame,
    float_hook=Decimal,
)
PAIRS = Decoder(PairData, float_hook=Decimal)
PAIR_NAMES = Decoder(PairName)
RESPONSES = Decoder(Response)
