"""The state of a pair's candles as JSON, for a restart that goes on exactly where the process ended."""

from datetime import datetime

import msgspec
from msgspec import Struct

from streaming.bars.bar import Bar
from streaming.events import Trade
from trading.closed_candles import Basis, ClosedCandle
from trading.errors import InvalidValue
from trading.feed_gaps import FeedGap
from trading.market import Pair, Timeframe

VERSION = 1


class Revision(Struct, frozen=True, array_like=True):
    """A published candle without what the whole state has in common."""

    timeframe: Timeframe
    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int | None
    first_trade_id: int | None
    last_trade_id: int | None
    basis: Basis
    known_at: datetime


class State(Struct, frozen=True, kw_only=True):
    """Everything that PairCandles knows."""

    version: int = VERSION
    origin: str
    pair: str
    began: datetime | None
    frontier: datetime | None
    last: Trade | None
    live: bool
    gaps: list[FeedGap]
    considered: datetime | None
    dropped_until: datetime | None
    kept: list[datetime]
    pending: list[tuple[Timeframe, datetime, datetime]]
    arrivals: int
    bars: list[Bar]
    confirmed: list[Bar]
    published: list[Revision]


def revisions(candles: list[ClosedCandle]) -> list[Revision]:
    """Return the candles as they are kept in the state."""
    return [
        Revision(
            timeframe=each.timeframe,
            open_time=each.open_time,
            open=each.open,
            high=each.high,
            low=each.low,
            close=each.close,
            volume=each.volume,
            trades=each.trades,
            first_trade_id=each.first_trade_id,
            last_trade_id=each.last_trade_id,
            basis=each.basis,
            known_at=each.known_at,
        )
        for each in candles
    ]


def candles_of(state: State) -> list[ClosedCandle]:
    """Return the published candles of the state."""
    pair = Pair.parse(state.pair)
    return [
        ClosedCandle(
            origin=state.origin,
            pair=pair,
            **{name: getattr(each, name) for name in Revision.__struct_fields__},
        )
        for each in state.published
    ]


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(State)


def encode_state(state: State) -> bytes:
    return _ENCODER.encode(state)


def decode_state(checkpoint: bytes, origin: str, pair: Pair) -> State:
    """Read a checkpoint. InvalidValue for one of another version, origin or pair, or one that is damaged."""
    try:
        state = _DECODER.decode(checkpoint)
    except msgspec.MsgspecError as error:
        raise InvalidValue(
            f"the checkpoint of {pair} at {origin} cannot be read ({error}): delete its row in stream_checkpoints, and "
            "the stream begins anew there"
        ) from error
    if (state.version, state.origin, state.pair) != (VERSION, origin, str(pair)):
        raise InvalidValue(
            f"the checkpoint is of {state.pair} at {state.origin} in version {state.version}, not of {pair} at "
            f"{origin} in version {VERSION}: delete its row in stream_checkpoints, and the stream begins anew there"
        )
    return state
