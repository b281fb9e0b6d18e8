"""Frames of CryptoCompare's streamer, decoded strictly: a frame in, a typed message or InvalidMessage out.

Field names and their meaning: CryptoCompare's own WebSocket documentation (developers.coindesk.com, legacy-websockets).
"""

from decimal import Decimal
from typing import ClassVar

import msgspec

from trading.errors import InvalidMessage

CHANNEL_NAMES = {
    "0": "trade", "2": "ticker", "5": "index", "8": "book", "9": "book snapshot", "24": "candle",
    "30": "top of book", "3": "load complete", "16": "subscribe complete", "17": "unsubscribe complete",
    "18": "unsubscribe all complete", "20": "welcome", "999": "heartbeat", "401": "unauthorised",
    "429": "rate limit", "500": "server error",
}  # fmt: skip


class _ShortNames(msgspec.Struct):
    """The market and pair of trades and books: M, FSYM and TSYM."""

    M: str
    FSYM: str
    TSYM: str

    @property
    def market(self) -> str:
        return self.M

    @property
    def symbols(self) -> tuple[str, str]:
        return self.FSYM, self.TSYM


class _LongNames(msgspec.Struct):
    """The market and pair of tickers and candles: MARKET, FROMSYMBOL and TOSYMBOL."""

    MARKET: str
    FROMSYMBOL: str
    TOSYMBOL: str

    @property
    def market(self) -> str:
        return self.MARKET

    @property
    def symbols(self) -> tuple[str, str]:
        return self.FROMSYMBOL, self.TOSYMBOL


class TradeFrame(_ShortNames, tag_field="TYPE", tag="0"):
    F: str
    ID: str
    TS: int
    Q: float
    P: float
    CCSEQ: int | None = None
    TSNS: int = 0


class _QuoteFrame(_LongNames):
    """A ticker, of which every number may be left out when it has not changed."""

    PRICE: float | None = None
    BID: float | None = None
    ASK: float | None = None
    LASTUPDATE: int | None = None
    VOLUME24HOUR: float | None = None

    MERGED: ClassVar[tuple[str, ...]] = ("PRICE", "BID", "ASK", "LASTUPDATE", "VOLUME24HOUR")


class TickerFrame(_QuoteFrame, tag_field="TYPE", tag="2"):
    pass


class IndexFrame(_QuoteFrame, tag_field="TYPE", tag="5"):
    pass


class BookFrame(_ShortNames, tag_field="TYPE", tag="8"):
    SIDE: int
    ACTION: int
    CCSEQ: int
    P: Decimal
    Q: Decimal
    REPORTEDNS: int | str | None = None


class Offer(msgspec.Struct):
    P: Decimal
    Q: Decimal
    REPORTEDNS: int | str | None = None


class BookSnapshotFrame(_ShortNames, tag_field="TYPE", tag="9"):
    CCSEQ: int
    BID: list[Offer]
    ASK: list[Offer]


class TopFrame(_ShortNames, tag_field="TYPE", tag="30"):
    CCSEQ: int
    BID: list[Offer] | None = None
    ASK: list[Offer] | None = None


class CandleFrame(_LongNames, tag_field="TYPE", tag="24"):
    TS: int
    UNIT: str
    ACTION: str
    OPEN: float | None = None
    HIGH: float | None = None
    LOW: float | None = None
    CLOSE: float | None = None
    VOLUMEFROM: float | None = None
    TOTALTRADES: int | None = None
    FIRSTPRICE: float | None = None
    MAXPRICE: float | None = None
    MINPRICE: float | None = None
    LASTPRICE: float | None = None

    MERGED: ClassVar[tuple[str, ...]] = (
        *("OPEN", "HIGH", "LOW", "CLOSE", "VOLUMEFROM", "TOTALTRADES"),
        *("FIRSTPRICE", "MAXPRICE", "MINPRICE", "LASTPRICE"),
    )


class SubscribedFrame(msgspec.Struct, tag_field="TYPE", tag="16"):
    SUB: str


class UnsubscribedFrame(msgspec.Struct, tag_field="TYPE", tag="17"):
    SUB: str


class LoadedFrame(msgspec.Struct, tag_field="TYPE", tag="3"):
    INFO: str = ""


class AllUnsubscribedFrame(msgspec.Struct, tag_field="TYPE", tag="18"):
    INFO: str = ""


class WelcomeFrame(msgspec.Struct, tag_field="TYPE", tag="20"):
    SOCKET_ID: str = ""


class HeartbeatFrame(msgspec.Struct, tag_field="TYPE", tag="999"):
    TIMEMS: int | None = None


class _FailureFields(msgspec.Struct):
    MESSAGE: str
    PARAMETER: str = ""
    INFO: str = ""


class UnauthorisedFrame(_FailureFields, tag_field="TYPE", tag="401"):
    pass


class RateLimitFrame(_FailureFields, tag_field="TYPE", tag="429"):
    pass


class ServerErrorFrame(_FailureFields, tag_field="TYPE", tag="500"):
    pass


FailureFrame = UnauthorisedFrame | RateLimitFrame | ServerErrorFrame
PricedFrame = TradeFrame | TickerFrame | IndexFrame | BookFrame | BookSnapshotFrame | TopFrame | CandleFrame
ControlFrame = (
    SubscribedFrame
    | UnsubscribedFrame
    | LoadedFrame
    | AllUnsubscribedFrame
    | WelcomeFrame
    | HeartbeatFrame
    | FailureFrame
)
Frame = PricedFrame | ControlFrame
_DECODER = msgspec.json.Decoder(Frame)


class _TypeField(msgspec.Struct):
    TYPE: str = ""


def decode(frame: str | bytes) -> Frame:
    """Decode a frame. InvalidMessage for anything that is no frame of a known type with its fields."""
    try:
        message: Frame = _DECODER.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidMessage(_find_channel_name(frame), str(error)) from error
    return message


def channel_name(frame: Frame) -> str:
    """Return the name of the frame's type."""
    return CHANNEL_NAMES[str(frame.__struct_config__.tag)]


def _find_channel_name(frame: str | bytes) -> str:
    try:
        return CHANNEL_NAMES.get(msgspec.json.decode(frame, type=_TypeField).TYPE, "")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
