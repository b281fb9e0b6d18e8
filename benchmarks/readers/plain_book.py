"""The plainest order book: a dictionary per side, sorted after every change, all numbers formatted for the checksum."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from zlib import crc32

from streaming.events import BookChange, Level


class PlainBook:
    def __init__(self, depth: int, price_decimals: int, quantity_decimals: int) -> None:
        self._depth = depth
        self._decimals = (price_decimals, quantity_decimals)
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}

    def apply(self, change: BookChange) -> None:
        if change.snapshot:
            self.bids, self.asks = {}, {}
        self.bids = dict(sorted(_merge(self.bids, change.bids), reverse=True)[: self._depth])
        self.asks = dict(sorted(_merge(self.asks, change.asks))[: self._depth])

    def checksum(self) -> int:
        best = [*list(self.asks.items())[:10], *list(self.bids.items())[:10]]
        return crc32("".join(self._digits(best)).encode())

    def _digits(self, levels: Iterable[Level]) -> Iterable[str]:
        for level in levels:
            for number, places in zip(level, self._decimals, strict=True):
                yield f"{number:.{places}f}".replace(".", "").lstrip("0")


def _merge(side: dict[Decimal, Decimal], changes: Sequence[Level]) -> list[Level]:
    return [level for level in (side | dict(changes)).items() if level[1]]
