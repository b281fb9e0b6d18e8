"""The trades of an interval that a stream missed, from Kraken's history, in pages that prove themselves complete."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.errors import InvalidMessage, NotStored, VenueUnreachable
from trading.history.trade_pages import MICROSECOND, check_no_later_trade, fetch_page, first_trade, trade_time
from trading.market import Pair
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.market_responses import TradeRow

SETTLING = timedelta(seconds=1)  # after which a trade is in the history; the venue's clock has whole seconds


@dataclass(frozen=True, slots=True)
class ProvenTrades:
    """Every trade of the history with since <= time <= until, oldest first."""

    since: datetime
    until: datetime
    rows: list[TradeRow]


class NotYet(VenueUnreachable):
    """The history does not reach so far: the same call succeeds in a moment."""


class MissedTrades:
    """Reads what a stream missed; one page is in memory at a time."""

    def __init__(self, client: KrakenClient, origin: str, clock: Callable[[], datetime]) -> None:
        """`clock` reads the time by which trades are dated, or an earlier one.

        A later time would prove that nothing traded in a future which is still to come.
        """
        self._client = client
        self._origin = origin
        self._clock = clock

    def pages(self, pair: Pair, since: datetime, until: datetime | None) -> Iterator[ProvenTrades]:
        """Yield everything from `since` to `until`, which has to have passed; None: to now.

        NotStored, after what there is, when the venue gives out nothing so old any more.
        """
        now = self._clock() - SETTLING
        end = now if until is None else until
        if end > now:
            raise NotYet(
                f"{self._origin} has the trades of {pair} until {now:%H:%M:%S}, not until {end:%H:%M:%S} yet"
            )
        first = self._first_given_out(pair, since)
        reached = max(since, first)
        while reached <= end:
            page = self._page(pair, reached, end)
            yield page
            reached = page.until + MICROSECOND
        if first > since:
            raise NotStored(
                f"{self._origin} gives out no trades of {pair} before {first:%Y-%m-%d %H:%M:%S} any more: what traded "
                f"from {since:%Y-%m-%d %H:%M:%S} until then cannot be known"
            )

    def _first_given_out(self, pair: Pair, since: datetime) -> datetime:
        """Return the time from which on the history is complete: nothing traded before a pair's first trade."""
        first = first_trade(self._client, self._origin, pair)
        return since if first.trade_id <= 1 else max(since, trade_time(first))

    def _page(self, pair: Pair, reached: datetime, end: datetime) -> ProvenTrades:
        rows, complete_until = fetch_page(self._client, pair, reached)
        _check_order(rows)
        if complete_until is None:
            check_no_later_trade(self._client, self._origin, pair, rows, reached)
        until = end if complete_until is None or complete_until > end else complete_until - MICROSECOND
        return ProvenTrades(reached, until, [row for row in rows if reached <= trade_time(row) <= until])


def _check_order(rows: list[TradeRow]) -> None:
    times = [trade_time(row) for row in rows]
    if times != sorted(times) or any(row.price <= 0 or row.quantity < 0 for row in rows):
        raise InvalidMessage("Kraken Trades", "trades out of the order of time, or with impossible numbers")
