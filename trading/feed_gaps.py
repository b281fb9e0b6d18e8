"""What a stream did not see, and what became of it. Times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trading.market import Pair


class MissingKind(StrEnum):
    """Why a candle of the grid is not in a table."""

    NO_TRADE = "no_trade"  # proven: nothing traded
    FEED_GAP = "feed_gap"  # we did not listen, or something was lost
    MAINTENANCE = "maintenance"  # the venue was not open


class GapState(StrEnum):
    """How far the repair of a feed gap is."""

    OPEN = "open"  # trades of this time may be missing
    REPAIRED = "repaired"  # the venue's history proved that none is missing any more


@dataclass(frozen=True, slots=True)
class FeedGap:
    """An interval whose trades may be missing. `gap_id` 0 before it is stored; the ledger keeps every gap for ever.

    Where the venue counts its trades, those with after_id < id < before_id are what is missing; None: not known.
    """

    origin: str
    pair: Pair
    since: datetime  # the last trade, or moment, that is certain
    until: datetime | None  # the first one that is certain again; None while the gap still lasts
    after_id: int | None
    before_id: int | None
    kind: MissingKind  # FEED_GAP or MAINTENANCE
    reason: str
    found_at: datetime
    state: GapState = GapState.OPEN
    attempts: int = 0
    next_attempt_at: datetime | None = None
    last_error: str = ""
    repaired_at: datetime | None = None
    gap_id: int = 0


@dataclass(frozen=True, slots=True)
class MissingInterval:
    """A stretch of the grid without a candle: [since, until)."""

    pair: Pair
    since: datetime
    until: datetime
    kind: MissingKind
    repaired: bool  # True for NO_TRADE and for what was proven since
