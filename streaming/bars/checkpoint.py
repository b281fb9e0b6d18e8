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
from trading.stream_checkpoint import Checkpoint

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


class Recent(Struct, frozen=True, kw_only=True):
    """What every trade changes."""

    began: datetime | None
    frontier: datetime | None
    last: Trade | None
    live: bool
    considered: datetime | None
    arrivals: int
    growing: Bar | None


class Settled(Struct, frozen=True, kw_only=True):
    """Everything else that PairCandles knows: it changes about once a minute."""

    version: int = VERSION
    origin: str
    pair: str
    gaps: list[FeedGap]
    dropped_until: datetime | None
    kept: list[datetime]
    pending: list[tuple[Timeframe, datetime, datetime]]
    bars: list[Bar]  # without the growing one
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


def candles_of(state: Settled) -> list[ClosedCandle]:
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
_RECENT, _SETTLED = msgspec.json.Decoder(Recent), msgspec.json.Decoder(Settled)


def encode(part: Recent | Settled) -> bytes:
    return _ENCODER.encode(part)


def decode_checkpoint(checkpoint: Checkpoint, origin: str, pair: Pair) -> tuple[Settled, Recent]:
    """Read a checkpoint. InvalidValue for one of another version, origin or pair, or one that is damaged."""
    try:
        settled, recent = _SETTLED.decode(checkpoint.settled), _RECENT.decode(checkpoint.recent)
    except msgspec.MsgspecError as error:
        raise InvalidValue(
            f"the checkpoint of {pair} at {origin} cannot be read ({error}): delete its row in stream_checkpoints, and "
            "the stream begins anew there"
        ) from error
    if (settled.version, settled.origin, settled.pair) != (VERSION, origin, str(pair)):
        raise InvalidValue(
            f"the checkpoint is of {settled.pair} at {settled.origin} in version {settled.version}, not of {pair} at "
            f"{origin} in version {VERSION}: delete its row in stream_checkpoints, and the stream begins anew there"
        )
    return settled, recent
