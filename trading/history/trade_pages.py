"""Kraken's trades, page by page, each with the proof of how far it is complete.

All trades since a pair's first can be asked for, a thousand at a time (docs.kraken.com, get-recent-trades). A page is
complete until its newest moment, of which more trades may follow on the next one.
"""

from datetime import datetime, timedelta

from trading.errors import InvalidMessage, NotStored, VenueUnreachable
from trading.market import EPOCH, Pair
from trading.venues.kraken import KrakenClient
from trading.venues.kraken.decoding import to_nanoseconds
from trading.venues.kraken.market_client import MAX_TRADES
from trading.venues.kraken.market_responses import TradeRow, TradesPage

MICROSECOND = timedelta(microseconds=1)


def fetch_page(client: KrakenClient, pair: Pair, reached: datetime) -> tuple[list[TradeRow], datetime | None]:
    """Trades from `reached` on and the time before which none is missing; None when these are the last."""
    page = client.trades(pair, cursor_before(reached))
    rows = page.rows
    while len(page.rows) >= MAX_TRADES and trade_time(rows[-1]) <= reached:
        page = client.trades(pair, page.last - 1)
        rows = [*rows, *_new_rows(pair, page, {row.trade_id for row in rows})]
    newest = trade_time(rows[-1]) if rows else reached
    return rows, newest if newest > reached else None


def check_no_later_trade(
    client: KrakenClient, origin: str, pair: Pair, rows: list[TradeRow], reached: datetime
) -> None:
    """Raise unless the venue's newest trades are among the rows of a response without a later trade."""
    newest, known = client.trades(pair, None).rows, {row.trade_id for row in rows}
    if not newest or any(trade_time(row) >= reached and row.trade_id not in known for row in newest):
        raise VenueUnreachable(
            f"{origin} gave no trade of {pair} after {reached:%Y-%m-%d %H:%M:%S}, yet it traded later: "
            "ask again in a moment"
        )


def first_trade(client: KrakenClient, origin: str, pair: Pair) -> TradeRow:
    """Return the oldest trade that is given out."""
    rows = client.trades(pair, 0, count=1).rows
    if not rows:
        raise NotStored(f"{origin} lists {pair}, which never traded: there is no candle of it")
    return rows[0]


def cursor_before(time: datetime) -> int:
    """Return the cursor for all trades from `time` on: Trades begins after its cursor."""
    return max((time - EPOCH) // MICROSECOND * 1000 - 1, 0)


def trade_time(row: TradeRow) -> datetime:
    """Return the row's time in microseconds; what is finer is cut off."""
    return EPOCH + timedelta(microseconds=to_nanoseconds("Trades", row.time) // 1000)


def _new_rows(pair: Pair, page: TradesPage, known: set[int]) -> list[TradeRow]:
    """Rows that are not known: trades can share a nanosecond, so the page repeats the last one of the page before."""
    new = [row for row in page.rows if row.trade_id not in known]
    if page.rows and len(page.rows) >= MAX_TRADES and not new:
        raise InvalidMessage("Kraken Trades", f"{pair}: the cursor {page.last} does not move")
    return new
