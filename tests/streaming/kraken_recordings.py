"""Recorded and published frames of Kraken, and a small reader of its older protocol (tests only)."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from streaming.events import BookChange, Level
from trading.market import Pair

RECORDINGS = Path(__file__).parents[2] / "../shared/data/ws"
recorded = pytest.mark.skipif(not RECORDINGS.exists(), reason="the recordings are not here")

# The worked example of the checksum page (docs.kraken.com, guides/websockets/book-checksum-v2).
PUBLISHED_CHECKSUM = 3310070434
PUBLISHED_BIDS = (
    "45283.5 0.10000000, 45283.4 1.54582015, 45282.1 0.10000000, 45281.0 0.10000000, 45280.3 1.54592586, "
    "45279.0 0.07990000, 45277.6 0.03310103, 45277.5 0.30000000, 45277.3 1.54602737, 45276.6 0.15445238"
)
PUBLISHED_ASKS = (
    "45285.2 0.00100000, 45286.4 1.54571953, 45286.6 1.54571109, 45289.6 1.54560911, 45290.2 0.15890660, "
    "45291.8 1.54553491, 45294.7 0.04454749, 45296.1 0.35380000, 45297.5 0.09945542, 45299.5 0.18772827"
)


def levels(text: str) -> tuple[Level, ...]:
    """`45283.5 0.1, 45283.4 1.5` as levels."""
    pairs = (each.split() for each in text.split(",") if each.strip())
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in pairs)


def on_the_wire(text: str) -> str:
    rows = (each.split() for each in text.split(",") if each.strip())
    return ",".join(f'{{"price":{price},"qty":{quantity}}}' for price, quantity in rows)


def book_frame(bids: str, asks: str, checksum: int, kind: str = "snapshot", symbol: str = "BTC/USD") -> str:
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{on_the_wire(bids)}],'
        f'"asks":[{on_the_wire(asks)}],"checksum":{checksum},"timestamp":"2026-08-02T03:35:51.660084Z"}}]}}'
    )


def frames(name: str) -> Iterator[str]:
    """The frames of a recording, letter by letter as they were received."""
    for line in (RECORDINGS / name).read_text().splitlines():
        yield line.split('"frame": ', 1)[1][:-1] if '"frame": ' in line else line


def older_changes(name: str) -> Iterator[BookChange]:
    """Book changes of the older protocol (v1): lists instead of objects, and every number a string."""
    for line in (RECORDINGS / name).read_text().splitlines():
        frame = json.loads(line).get("frame")
        if isinstance(frame, list) and frame[-2].startswith("book-"):
            yield _older_change(frame)


def _older_change(frame: list[Any]) -> BookChange:
    parts: dict[str, Any] = {key: value for part in frame[1:-2] for key, value in part.items()}
    base, _, quote = frame[-1].partition("/")
    return BookChange(
        pair=Pair(base, quote),
        snapshot="as" in parts,
        bids=_older_levels(parts.get("bs", parts.get("b", []))),
        asks=_older_levels(parts.get("as", parts.get("a", []))),
        checksum=int(parts["c"]) if "c" in parts else None,
        sequence=None,
        at=None,
    )


def _older_levels(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple((Decimal(row[0]), Decimal(row[1])) for row in rows)


def decimals(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent
