"""The account in Kraken's own books: balances, open orders, and what changed a balance."""

from collections.abc import Iterable
from datetime import datetime

from trading.errors import InvalidMessage
from trading.ports import BookEntry, VenueBooks
from trading.venues.kraken.account_responses import LedgerEntry
from trading.venues.kraken.client import MAX_FILLS, KrakenClient
from trading.venues.kraken.decoding import to_datetime
from trading.venues.kraken.order_reports import venue_order

PAGE_SIZE = 50  # entries of one Ledgers response
MAX_PAGES = 100
TRADE = "trade"


class AccountBooks:
    """Reads them in three calls; one more for every 50 entries, and for every 20 fills that it has not seen yet."""

    def __init__(self, client: KrakenClient) -> None:
        self._client = client
        self._orders: dict[str, str] = {}  # ids of fills and of their orders

    def read(self, since: datetime, at: datetime) -> VenueBooks:
        """Read balances first: whatever is in them is among the entries."""
        balances = self._client.balance()
        entries = self._entries(since)
        listings = self._client.listings()
        open_orders = [venue_order(key, info, listings) for key, info in self._client.open_orders().items()]
        return VenueBooks(balances, tuple(open_orders), entries, at)

    def _entries(self, since: datetime) -> tuple[BookEntry, ...]:
        found: dict[str, LedgerEntry] = {}
        for page in range(MAX_PAGES):
            ledger = self._client.ledgers(start=int(since.timestamp()) - 1, offset=page * PAGE_SIZE).ledger
            found |= ledger
            if len(ledger) < PAGE_SIZE:
                break
        else:
            raise InvalidMessage("Kraken Ledgers", f"more than {MAX_PAGES * PAGE_SIZE} entries since {since}")
        self._learn_orders(each.refid for each in found.values() if each.type == TRADE)
        entries = (self._entry(entry_id, each) for entry_id, each in found.items())
        return tuple(sorted((each for each in entries if each.at >= since), key=lambda each: each.at))

    def _learn_orders(self, fill_ids: Iterable[str]) -> None:
        new = [fill_id for fill_id in dict.fromkeys(fill_ids) if fill_id not in self._orders]
        for first in range(0, len(new), MAX_FILLS):
            trades = self._client.query_trades(new[first : first + MAX_FILLS])
            self._orders |= {fill_id: each.ordertxid for fill_id, each in trades.items()}

    def _entry(self, entry_id: str, entry: LedgerEntry) -> BookEntry:
        fill_id = entry.refid if entry.type == TRADE else ""
        return BookEntry(
            reference=entry_id,
            asset=entry.asset,
            amount=entry.amount - entry.fee,
            kind=entry.type,
            at=to_datetime("Ledgers", entry.time),
            fill_id=fill_id,
            venue_order_id=self._orders.get(fill_id, ""),
        )
