"""CryptoCompare's streamer as a Feed: `SubAdd` and `SubRemove` out, merged and checked frames in.

How failures are reported:
* 401, and any failure that names a subscription: `Acknowledgement` without success. A 401 that names none has the
  method `connect`: the key is missing, wrong, or does not pay for this.
* 429 and 500 about the connection (`TOO_MANY_SOCKETS...`, `RATE_LIMIT_OPENING_SOCKETS_TOO_FAST`, `FORCE_DISCONNECT`):
  `VenueStatus` with the venue's word in lower case.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import quote

from streaming.events import Acknowledgement, Channel, Event, Heartbeat, Subscription, VenueStatus
from streaming.feeds import ConnectionRules
from streaming.feeds.cryptocompare import frames
from streaming.feeds.cryptocompare.checks import FieldChecks, pair_of
from streaming.feeds.cryptocompare.market import (
    TIMEFRAMES,
    CandleReader,
    TickerReader,
    TopReader,
    TradeReader,
    book_change,
    book_snapshot,
)
from trading.errors import InvalidValue, NotAuthorised
from trading.market import Pair, Timeframe

URL = "wss://streamer.cryptocompare.com/v2"
INDEX = "CCCAGG"
CONNECTION_FAILURES = ("RATE_LIMIT", "TOO_MANY_SOCKETS", "FORCE_DISCONNECT")
CHANNELS = {
    "0": Channel.TRADE, "2": Channel.TICKER, "5": Channel.TICKER, "8": Channel.BOOK, "24": Channel.CANDLE,
    "30": Channel.TICKER,
}  # fmt: skip
UNITS = {timeframe: unit for unit, timeframe in TIMEFRAMES.items()}

# A heartbeat comes every 30 to 60 s, and two that are missing mean a dead connection; at most 60 connections are
# opened in a minute (half of them ours), each at least 5 s after the last one (the streamer's "How to connect").
RULES = ConnectionRules(
    max_attempts=30,
    window=timedelta(minutes=1),
    silence_timeout=timedelta(seconds=125),
    first_pause=timedelta(seconds=5),
    max_pause=timedelta(minutes=2),
    maintenance_pause=timedelta(seconds=30),
)


class CryptoCompareFeed:
    """One market: a venue's name, or CCCAGG. `top_of_book` makes tickers of the best offers instead of the trades.

    The key is part of `url`, where the streamer wants it: that must not be logged.
    """

    def __init__(self, market: str, key: str, top_of_book: bool = False, url: str = URL) -> None:
        if not (market.isascii() and market.isalnum()):
            raise InvalidValue(f"{market!r} is no market of CryptoCompare: write it like Kraken or {INDEX}")
        if top_of_book and market.upper() == INDEX:
            raise InvalidValue(f"{INDEX} is an index: it has no order book to take the top of")
        self._market = market
        self._key = key
        self._top_of_book = top_of_book
        self._url = url
        self._trades = TradeReader()
        self.reset()

    @property
    def venue(self) -> str:
        return "cryptocompare"

    @property
    def url(self) -> str:
        return f"{self._url}?api_key={quote(self._key, safe='')}"

    @property
    def rules(self) -> ConnectionRules:
        return RULES

    def prepare(self) -> None:
        if not self._key:
            raise NotAuthorised(
                "CryptoCompare's streamer needs a key: get one at https://developers.coindesk.com/settings/api-keys "
                "and put it into the environment variable CRYPTOCOMPARE_API_KEY"
            )

    def reset(self) -> None:
        """Forget merged fields and open requests; trades stay known, because the last 20 are sent again."""
        self._requested: dict[tuple[str, str], int] = {}
        self._tickers, self._tops, self._candles = TickerReader(), TopReader(), CandleReader()

    def subscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        """Return the frame to send. A book comes with all levels, whatever its depth."""
        return self._request("SubAdd", subscription, request_id)

    def unsubscribe(self, subscription: Subscription, request_id: int) -> Sequence[str]:
        return self._request("SubRemove", subscription, request_id)

    def decode(self, frame: str | bytes) -> Sequence[Event]:
        message = frames.decode(frame)
        if isinstance(message, frames.PricedFrame):
            check = FieldChecks(frames.channel_name(message))
            event = self._market_event(message, pair_of(message, self._market, check), check)
        else:
            event = self._control_event(message)
        return [] if event is None else [event]

    def _market_event(self, frame: frames.PricedFrame, pair: Pair, check: FieldChecks) -> Event | None:
        match frame:
            case frames.TradeFrame():
                return self._trades.read(frame, pair, check)
            case frames.TickerFrame() | frames.IndexFrame():
                return self._tickers.read(frame, pair, check)
            case frames.TopFrame():
                return self._tops.read(frame, pair, check)
            case frames.BookFrame():
                return book_change(frame, pair, check)
            case frames.BookSnapshotFrame():
                return book_snapshot(frame, pair, check)
            case frames.CandleFrame():
                return self._candles.read(frame, pair, check)

    def _control_event(self, frame: frames.ControlFrame) -> Event:
        match frame:
            case frames.SubscribedFrame():
                return self._acknowledgement("SubAdd", frame.SUB)
            case frames.UnsubscribedFrame():
                return self._acknowledgement("SubRemove", frame.SUB)
            case frames.LoadedFrame():
                return Acknowledgement(None, "subscribe", None, None, True, "")
            case frames.AllUnsubscribedFrame():
                return Acknowledgement(None, "unsubscribe", None, None, True, "")
            case frames.WelcomeFrame():
                return VenueStatus("online", frame.SOCKET_ID)
            case frames.HeartbeatFrame():
                return Heartbeat()
        return self._failure(frame)

    def _failure(self, frame: frames.FailureFrame) -> Event:
        error = f"{frame.MESSAGE[:200]}: {frame.INFO[:300]} {frame.PARAMETER[:100]}".strip(": ")
        if _parse_name(frame.PARAMETER)[0] is not None:
            action = "SubRemove" if frame.MESSAGE == "SUBSCRIPTION_UNRECOGNIZED" else "SubAdd"
            return self._acknowledgement(action, frame.PARAMETER, error)
        if frame.MESSAGE.startswith(CONNECTION_FAILURES):
            return VenueStatus(frame.MESSAGE[:200].lower(), "")
        method = "connect" if isinstance(frame, frames.UnauthorisedFrame) else "subscribe"
        return Acknowledgement(None, method, None, None, False, error)

    def _acknowledgement(self, action: str, name: str, error: str = "") -> Acknowledgement:
        channel, pair = _parse_name(name)
        request_id = self._requested.pop((action, name.lower()), None)
        method = {"SubAdd": "subscribe", "SubRemove": "unsubscribe"}[action]
        return Acknowledgement(request_id, method, channel, pair, not error, error)

    def _request(self, action: str, subscription: Subscription, request_id: int) -> Sequence[str]:
        if not subscription.pairs:
            raise InvalidValue(f"cryptocompare: {subscription.channel.value} needs at least one pair")
        number = self._number(subscription.channel)
        suffix = f"~{_unit(subscription.timeframe)}" if subscription.channel is Channel.CANDLE else ""
        names = [f"{number}~{self._market}~{pair.base}~{pair.quote}{suffix}" for pair in subscription.pairs]
        self._requested.update({(action, name.lower()): request_id for name in names})
        return [json.dumps({"action": action, "subs": names})]

    def _number(self, channel: Channel) -> str:
        index = self._market.upper() == INDEX
        if index:
            offered = {Channel.TICKER: "5", Channel.CANDLE: "24"}
        else:
            ticker = "30" if self._top_of_book else "2"
            offered = {Channel.TRADE: "0", Channel.TICKER: ticker, Channel.BOOK: "8", Channel.CANDLE: "24"}
        if channel not in offered:
            names = ", ".join(each.value for each in offered)
            raise InvalidValue(f"cryptocompare {self._market} has no channel {channel.value}: it has {names}")
        return offered[channel]


def _parse_name(name: str) -> tuple[Channel | None, Pair | None]:
    """Return channel and pair of a subscription such as `0~Coinbase~BTC~USD`; None where the text is none."""
    number, *rest = name.split("~")
    if number not in CHANNELS or len(rest) < 3:
        return None, None
    try:
        return CHANNELS[number], Pair.parse(f"{rest[1]}/{rest[2]}")
    except InvalidValue:
        return None, None


def _unit(timeframe: Timeframe) -> str:
    if timeframe not in UNITS:
        offered = ", ".join(each.value for each in UNITS)
        raise InvalidValue(f"cryptocompare streams candles of {offered}, not of {timeframe.value}")
    return UNITS[timeframe]
