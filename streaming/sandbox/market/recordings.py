"""One file of recorded trades, read page by page: any time in it is found without reading what lies before."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from trading.errors import UnreadableFile
from trading.orders import Side

ACCEPTED = (
    "accepted are Kraken's time and sales (.csv: unix seconds, price, volume, no other column) and .parquet with "
    "timestamp, price and amount, and side and type if known; sorted by time, prices and amounts above zero"
)


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """A trade as its file has it; None for what the file does not know."""

    at: int  # microseconds since 1970
    price: Decimal
    quantity: Decimal
    side: Side | None = None
    order_type: str | None = None


class TradePages(Protocol):
    """A file in pieces that fit into memory; none is empty. UnreadableFile for a piece that is not trades."""

    def __len__(self) -> int: ...

    def begins(self, page: int) -> int:
        """Return the time of its first trade, quicker than reading it."""

    def rows(self, page: int) -> Sequence[RecordedTrade]: ...


class Recording:
    """Trades of one file in their order. UnreadableFile, naming the file, where they are not sorted by time."""

    def __init__(self, path: Path, pages: TradePages) -> None:
        if not len(pages):
            raise UnreadableFile(f"{path} holds no trade; {ACCEPTED}")
        self.path = path
        self._pages = pages

    @property
    def begins(self) -> int:
        """Return the time of its first trade, quicker than reading it."""
        return self._pages.begins(0)

    @property
    def ends(self) -> int:
        return self._pages.rows(len(self._pages) - 1)[-1].at

    def trades_after(self, after: int) -> Iterator[tuple[RecordedTrade | None, RecordedTrade]]:
        """Yield every trade above `after`, each with the trade before it in the file."""
        before: RecordedTrade | None = None
        for page in range(self._page_of(after), len(self._pages)):
            for row in self._pages.rows(page):
                if before is not None and row.at < before.at:
                    raise UnreadableFile(
                        f"{self.path} is not sorted by time: {row.at} follows {before.at} "
                        f"(microseconds since 1970); {ACCEPTED}"
                    )
                if row.at > after:
                    yield before, row
                before = row

    def start_of(self, count: int, until: int) -> int:
        """Return a time after which at least `count` trades happen up to `until`, if there are that many."""
        page, seen = self._page_of(until), 0
        while True:
            seen += sum(row.at <= until for row in self._pages.rows(page))
            if seen >= count or page == 0:
                return self._pages.begins(page) - 1
            page -= 1

    def _page_of(self, time: int) -> int:
        """Return the last page that begins at or before `time`; the first when none does."""
        return max(bisect_right(range(len(self._pages)), time, key=self._pages.begins) - 1, 0)
