"""Repair of feed gaps: what the ledger wants is read from the venue's history and handed to the recorder.

Gaps take turns, oldest first, one page of trades in memory: a gap of a month holds up no other one. What cannot be
read is tried again, ever more rarely; what the venue does not give out any more stays open in the ledger, which says
so.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from streaming.events import Trade
from trading.errors import MarketloomError, NotStored
from trading.feed_gaps import FeedGap
from trading.history.missed_trades import NotYet, ProvenTrades
from trading.history.trade_pages import trade_time
from trading.market import Pair
from trading.orders import Side
from trading.ports import GapLedger
from trading.venues.kraken.market_responses import TradeRow

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(minutes=10)
HOPELESS_PAUSE = timedelta(days=1)  # for what is not given out: a person may have done something about it
LASTING_AGE = timedelta(minutes=1)  # of a gap that lasts: its history is read once a minute, not all the time
TURN_SECONDS = 20.0  # that one gap may take before the next has its turn
MAX_GAPS = 100  # that take turns
DELIVERY_SECONDS = 30.0  # within which a gap that was handed over is closed in the ledger
SIDES = {"b": Side.BUY, "s": Side.SELL}

Deliver = Callable[[FeedGap, Sequence[Trade], datetime], None]


class TradeHistory(Protocol):
    """Gives out the trades of an interval in pages that are complete; see MissedTrades."""

    def pages(self, pair: Pair, since: datetime, until: datetime | None) -> Iterator[ProvenTrades]:
        """Yield every trade of the interval; NotStored after those that there are, where older ones are gone."""


class RepairWorker:
    """Works off the ledger; safe to run in a thread of its own."""

    def __init__(
        self,
        origin: str,
        ledger: GapLedger,
        history: TradeHistory | None,
        deliver: Deliver,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deliver` takes a part of a gap, all its trades and until when they are complete; it may block.

        `history` is None where the venue gives out no trades of the past.
        """
        self._origin = origin
        self._ledger = ledger
        self._history = history
        self._deliver = deliver
        self._clock = clock
        self._monotonic = monotonic
        self._delivered: dict[tuple[Pair, datetime, int | None], float] = {}

    def run_once(self) -> int:
        """Try every gap that is due once; returns how many were read. StoreUnreachable without the ledger."""
        now = self._monotonic()
        self._delivered = {key: at for key, at in self._delivered.items() if at + DELIVERY_SECONDS > now}
        gaps = self._ledger.wanting_repair(self._origin, self._clock(), MAX_GAPS)
        return sum(self._repair(gap) for gap in gaps if self._is_due(gap))

    def _is_due(self, gap: FeedGap) -> bool:
        lasts = gap.until is None and self._clock() < gap.since + LASTING_AGE
        return not lasts and _key(gap) not in self._delivered

    def _repair(self, gap: FeedGap) -> bool:
        if self._history is None:
            self._fail(
                gap,
                f"{self._origin} gives out no trades of the past: its own candles of this time come with `ohlcv`",
                HOPELESS_PAUSE,
            )
            return False
        try:
            self._read(gap, self._history)
        except NotYet as error:
            self._fail(gap, str(error), FIRST_PAUSE)
        except NotStored as error:
            self._fail(gap, str(error), HOPELESS_PAUSE)
        except MarketloomError as error:
            self._fail(gap, str(error), min(FIRST_PAUSE * 2 ** min(gap.attempts, 20), LONGEST_PAUSE))
        else:
            self._delivered[_key(gap)] = self._monotonic()
            return True
        return False

    def _read(self, gap: FeedGap, history: TradeHistory) -> None:
        """Hand over page by page. Each part closes what it proves, so that a later failure loses nothing.

        What is left when the turn is over is a gap of its own then, with a turn of its own.
        """
        ends = self._monotonic() + TURN_SECONDS
        for page in history.pages(gap.pair, gap.since, gap.until):
            trades = [_trade(gap.pair, row) for row in page.rows]
            self._deliver(replace(gap, since=page.since), trades, page.until)
            if self._monotonic() >= ends:
                return

    def _fail(self, gap: FeedGap, error: str, pause: timedelta) -> None:
        self._ledger.failed(gap, error, self._clock() + pause)


def _key(gap: FeedGap) -> tuple[Pair, datetime, int | None]:
    return gap.pair, gap.since, gap.after_id


def _trade(pair: Pair, row: TradeRow) -> Trade:
    return Trade(pair, row.trade_id, SIDES[row.side], float(row.price), float(row.quantity), trade_time(row))
