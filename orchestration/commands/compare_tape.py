"""Comparison of what was recorded with what the sandbox says that has happened: row by row, exact."""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import polars as pl
from rich.console import Console
from rich.table import Table

from orchestration.commands.sandbox_truth import CandleRow, FillRow, SandboxTruth, TradeRow
from streaming.messages import OHLCV_RAW, TRADES
from trading.closed_candles import ClosedCandle
from trading.market import Pair, Timeframe
from trading.ports import EventLog, Journal
from trading.ports.market_data import MarketData, Tape, TapeTable

PAGE = 5000  # records read at once
EXAMPLES = 3  # rows that are named of each kind of difference
FAR = datetime(2200, 1, 1, tzinfo=UTC)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The places that are compared; None leaves one out."""

    events: EventLog | None = None  # the bus: its outbox
    market_data: MarketData | None = None  # operational store
    tape: Tape | None = None  # analytical store
    journal: Journal | None = None  # fills and balances of `account`
    account: str = ""
    venue_account: str = "demo"  # the same account as the sandbox names it


@dataclass(frozen=True, slots=True)
class TablePart:
    """One pair in one table; of balances all assets, without a pair. Of `unknown` rows nothing has happened."""

    table: str
    pair: str
    expected: int
    stored: int  # rows, doubled ones once
    missing: int
    doubled: int
    different: int
    unknown: int
    examples: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return not (self.missing or self.doubled or self.different or self.unknown)


@dataclass(frozen=True, slots=True)
class TapeComparison:
    """The facts of a comparison, table by table."""

    since: datetime
    until: datetime
    parts: tuple[TablePart, ...]

    @property
    def complete(self) -> bool:
        """Return whether nothing is missing, doubled, different or unknown, and anything was compared at all."""
        return any(part.expected for part in self.parts) and all(part.complete for part in self.parts)

    def differences(self) -> list[str]:
        """Return a line for every table that differs, with the first rows of each difference."""
        return [
            f"{part.table} {part.pair}".rstrip()
            + f": {part.missing} missing, {part.doubled} doubled, {part.different} different, "
            f"{part.unknown} unknown: {'; '.join(part.examples)}"
            for part in self.parts
            if not part.complete
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the facts for a JSON document."""
        parts = [asdict(part) | {"complete": part.complete} for part in self.parts]
        return {"since": self.since, "until": self.until, "complete": self.complete, "tables": parts}


def compare_tape(
    truth: SandboxTruth,
    recorded: Recorded,
    origin: str,
    pairs: Sequence[Pair],
    timeframes: Sequence[Timeframe],
    since: datetime,
    until: datetime,
) -> TapeComparison:
    """Compare everything that is recorded with the sandbox's export; nothing is written.

    Required are the trades with since <= at < until and the candles that opened at `since` or later and closed by
    `until`, those without a trade too: choose them so that all of it can have been recorded. What is stored beyond is
    not required, but has to be right. Of fills and balances all are required, whenever they were.
    """
    window = _Window(truth, recorded, origin, since, until)
    published = _Published(recorded.events, origin) if recorded.events else None
    parts: list[TablePart] = []
    for pair in pairs:
        parts += _compare_trades(window, published, pair)
        for timeframe in timeframes:
            parts += _compare_candles(window, published, pair, timeframe)
    if recorded.journal is not None:
        parts += _compare_fills(truth, recorded.journal, recorded)
        parts.append(_compare_balances(truth, recorded.journal, recorded))
    return TapeComparison(since, until, tuple(parts))


def show(comparison: TapeComparison, out: Console) -> None:
    """Print the facts of each table, its pairs together, and each difference with its first rows."""
    names = ("expected", "stored", "missing", "doubled", "different", "unknown")
    table = Table("table", "pairs", *names)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in dict.fromkeys(part.table for part in comparison.parts):
        parts = [part for part in comparison.parts if part.table == name]
        numbers = [sum(getattr(part, each) for part in parts) for each in names]
        if any(numbers):
            style = None if all(part.complete for part in parts) else "red"
            table.add_row(name, str(len(parts)), *(f"{number:,}" for number in numbers), style=style)
    out.print(table)
    for line in comparison.differences():
        out.print(line, style="red", soft_wrap=True)


def compare_rows(
    table: str,
    pair: str,
    true: Mapping[Key, Any],
    required: Collection[Key],
    stored: Iterable[tuple[Key, Any]],
    *,
    revisions: bool = False,
) -> TablePart:
    """Compare rows by key. `revisions`: a key may come again with other numbers, the last one counts."""
    seen: dict[Key, Any] = {}
    doubled: list[Key] = []
    for key, row in stored:
        if key in seen and not (revisions and seen[key] != row):
            doubled.append(key)
        seen[key] = row
    missing = [key for key in required if key not in seen]
    unknown = [key for key in seen if key not in true]
    different = [key for key, row in seen.items() if key in true and true[key] != row]
    return TablePart(
        table=table,
        pair=pair,
        expected=len(required),
        stored=len(seen),
        missing=len(missing),
        doubled=len(doubled),
        different=len(different),
        unknown=len(unknown),
        examples=(
            *(f"missing {_name(key)}" for key in missing[:EXAMPLES]),
            *(f"doubled {_name(key)}" for key in doubled[:EXAMPLES]),
            *(f"{_name(key)} is {_text(seen[key])}, not {_text(true[key])}" for key in different[:EXAMPLES]),
            *(f"unknown {_name(key)}" for key in unknown[:EXAMPLES]),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Window:
    truth: SandboxTruth
    recorded: Recorded
    origin: str
    since: datetime
    until: datetime


def _compare_trades(window: _Window, published: "_Published | None", pair: Pair) -> Iterator[TablePart]:
    places: dict[str, list[tuple[int, TradeRow]]] = {}
    if published is not None:
        places["bus"] = published.trades[str(pair)]
    if tape := window.recorded.tape:
        places["tape"] = list(_tape_trades(tape, window.origin, pair, window.since))
    true = window.truth.trades(pair, window.since)
    required = [trade_id for trade_id, row in true.items() if row.at < window.until]
    if (oldest := min((key for rows in places.values() for key, _ in rows), default=None)) is not None:
        first = min(oldest, *required) if required else oldest
        true = window.truth.trades(pair, after=first - 1)  # what was recorded of before has to be right, too
    for place, rows in places.items():
        yield compare_rows(f"{place} trades", str(pair), true, required, rows)


def _compare_candles(
    window: _Window, published: "_Published | None", pair: Pair, timeframe: Timeframe
) -> Iterator[TablePart]:
    places: dict[str, list[tuple[datetime, CandleRow]]] = {}
    since, recorded = window.since, window.recorded
    if published is not None:
        places["bus"] = published.candles[str(pair), timeframe.value]
    if recorded.market_data:
        places["market_data"] = list(_market_data(recorded.market_data, pair, timeframe, since))
    if recorded.tape:
        places["tape"] = list(_tape_candles(recorded.tape, window.origin, pair, timeframe, since))
    oldest = min((key for rows in places.values() for key, _ in rows), default=since)
    true = window.truth.candles(pair, timeframe, min(oldest, since))
    ends = window.until - timeframe.duration
    required = [opened for opened in true if since <= opened <= ends]
    for place, rows in places.items():
        name, revisions = f"{place} candles {timeframe.value}", place != "market_data"
        yield compare_rows(name, str(pair), true, required, rows, revisions=revisions)


def _compare_fills(truth: SandboxTruth, journal: Journal, recorded: Recorded) -> Iterator[TablePart]:
    true = truth.fills(recorded.venue_account)
    booked = [
        (fill.fill_id, FillRow(fill.pair.key, fill.side.value, fill.price, fill.quantity, fill.fee))
        for fill in journal.fills(recorded.account)
    ]
    keys = sorted({row.pair for row in true.values()} | {row.pair for _, row in booked})
    for key in keys:
        own = {fill_id: row for fill_id, row in true.items() if row.pair == key}
        stored = [(fill_id, row) for fill_id, row in booked if row.pair == key]
        yield compare_rows("fills", str(Pair.parse(key)), own, own, stored)


def _compare_balances(truth: SandboxTruth, journal: Journal, recorded: Recorded) -> TablePart:
    """Compare every asset's balance: fills, fees and what was paid in and out, together."""
    true, booked = (
        {asset: amount for asset, amount in balances.items() if amount}
        for balances in (truth.balances(recorded.venue_account), journal.balances(recorded.account))
    )
    return compare_rows("balances", "", true, true, booked.items())


class _Published:
    """What is on the bus, in its order: trades by pair, candle revisions by pair and timeframe."""

    def __init__(self, log: EventLog, origin: str) -> None:
        self.trades: dict[str, list[tuple[int, TradeRow]]] = defaultdict(list)
        self.candles: dict[tuple[str, str], list[tuple[datetime, CandleRow]]] = defaultdict(list)
        for row in _payloads(log, TRADES, origin):
            at = datetime.fromisoformat(row["at"])
            trade = TradeRow(at, float(row["price"]), float(row["quantity"]), row["side"])
            self.trades[row["pair"]].append((row["trade_id"], trade))
        for row in _payloads(log, OHLCV_RAW, origin):
            candle = datetime.fromisoformat(row["open_time"]), CandleRow.of(row)
            self.candles[row["pair"], row["timeframe"]].append(candle)


def _payloads(log: EventLog, topic: str, origin: str) -> Iterator[Mapping[str, Any]]:
    after = 0
    while page := log.read(topic, after, PAGE):
        yield from (event.payload for event in page if event.payload["origin"] == origin)
        after = page[-1].offset


def _market_data(
    store: MarketData, pair: Pair, timeframe: Timeframe, since: datetime
) -> Iterator[tuple[datetime, CandleRow]]:
    """Yield the newest revision of each candle, and once more what a revision has not changed."""
    for row in store.between(pair, timeframe, since, FAR).iter_rows(named=True):
        yield row["open_time"], CandleRow.of(row)
    for change in store.restatements(pair, timeframe, since, FAR):
        before, after = change.before, change.after
        if _numbers(before) == _numbers(after) and before.basis == after.basis:
            yield after.open_time, _numbers(after)


def _numbers(candle: ClosedCandle) -> CandleRow:
    return CandleRow.of({name: getattr(candle, name) for name in CandleRow._fields})


def _tape_trades(tape: Tape, origin: str, pair: Pair, since: datetime) -> Iterator[tuple[int, TradeRow]]:
    for row in tape.read(TapeTable.TRADES, origin, pair, since, FAR).iter_rows(named=True):
        yield row["trade_id"], TradeRow(row["at"], row["price"], row["quantity"], row["side"])


def _tape_candles(
    tape: Tape, origin: str, pair: Pair, timeframe: Timeframe, since: datetime
) -> Iterator[tuple[datetime, CandleRow]]:
    """Yield revisions, oldest known first."""
    rows = tape.read(TapeTable.CANDLES, origin, pair, since, FAR)
    own = rows.filter(pl.col("timeframe") == timeframe.value).sort("open_time", "known_at")
    for row in own.iter_rows(named=True):
        yield row["open_time"], CandleRow.of(row)


def _name(key: Hashable) -> str:
    return f"{key:%Y-%m-%d %H:%M:%S}" if isinstance(key, datetime) else str(key)


def _text(row: Any) -> str:
    values = row._asdict() if hasattr(row, "_asdict") else {"row": row}
    return " ".join(f"{name} {_name(value)}" for name, value in values.items())
