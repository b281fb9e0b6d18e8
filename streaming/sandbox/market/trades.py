"""Replay of recorded trades: Parquet, and Kraken's downloadable time and sales (CSV)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import chain, pairwise, takewhile
from pathlib import Path
from zlib import crc32

from streaming.sandbox.market.csv_pages import CsvPages
from streaming.sandbox.market.increments import Increments
from streaming.sandbox.market.parquet_pages import ParquetPages
from streaming.sandbox.market.recordings import ACCEPTED, RecordedTrade, Recording, TradePages
from streaming.sandbox.market.source import Tick
from trading.errors import InvalidValue, UnreadableFile
from trading.importers.file_names import identity_from_name
from trading.market import Instrument, Pair
from trading.orders import Side

READERS: dict[str, Callable[[Path], TradePages]] = {".csv": CsvPages, ".parquet": ParquetPages}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class TradeReplay:
    """A TickSource over files of one or several pairs. UnreadableFile names a file that cannot be played, and why.

    Prices are rounded to the nearest increment, as increments have grown over the years and old recordings have
    finer ones, and quantities likewise, to at least one. Where the file does not know who took, a price above the
    one before was bought, one below was sold, and a coin decides for the same price.
    """

    def __init__(self, files: Mapping[Pair, Sequence[Path]], instruments: Mapping[Pair, Instrument]) -> None:
        """Several files of one pair are played one after the other; they may not overlap."""
        for pair in files:
            if pair not in instruments:
                raise InvalidValue(
                    f"{files[pair][0]} holds {pair}, which has no instrument: add it to the market"
                )
        self._tracks = {
            pair: _Track(instruments[pair], _in_order([_open(path) for path in files[pair]]))
            for pair in sorted(files)
        }
        if not self._tracks:
            raise InvalidValue("a replay needs at least one file of trades")

    @classmethod
    def of_path(cls, path: Path, instruments: Mapping[Pair, Instrument]) -> "TradeReplay":
        """Read a file, or a folder of files, named for their pair: XBTUSD.csv, kraken_BTC-USDT_trades.parquet.

        In a folder, files of pairs without an instrument are left alone; a single file must be one of them.
        """
        found: dict[Pair, list[Path]] = {}
        for file in _files(path):
            pair = identity_from_name(file).pair
            if pair is not None and pair in instruments:
                found.setdefault(pair, []).append(file)
        if not found:
            known = ", ".join(map(str, instruments))
            raise UnreadableFile(
                f"{path}: no file name says one of {known}; name it like XBTUSD.csv; {ACCEPTED}"
            )
        return cls(found, instruments)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(self._tracks)

    def ticks(self, after: datetime) -> Iterator[Tick]:
        """Yield trades. UnreadableFile when what is read next turns out to be wrong or out of order."""
        return merge(
            *(track.ticks(_microseconds(after)) for track in self._tracks.values()), key=lambda tick: tick.at
        )

    def history(self, pair: Pair, until: datetime, count: int) -> list[Tick]:
        track = self._tracks.get(pair)
        return track.history(until, count) if track else []

    def first(self) -> datetime:
        return min(track.first() for track in self._tracks.values())


class _Track:
    """The recordings of one pair, in order of time."""

    def __init__(self, instrument: Instrument, recordings: Sequence[Recording]) -> None:
        self._pair = instrument.pair
        self._prices = Increments(instrument.price_increment, f"{instrument.pair} price")
        self._quantities = Increments(instrument.quantity_increment, f"{instrument.pair} quantity")
        self._recordings = recordings

    def first(self) -> datetime:
        return EPOCH + self._recordings[0].begins * MICROSECOND

    def ticks(self, after: int) -> Iterator[Tick]:
        first = max(sum(recording.begins <= after for recording in self._recordings) - 1, 0)
        return chain.from_iterable(self._ticks(recording, after) for recording in self._recordings[first:])

    def history(self, until: datetime, count: int) -> list[Tick]:
        found: list[Tick] = []
        for recording in reversed(self._recordings):
            if len(found) >= count:
                break
            start = recording.start_of(count - len(found), _microseconds(until))
            found = [*takewhile(lambda tick: tick.at <= until, self._ticks(recording, start)), *found]
        return found[max(len(found) - count, 0) :]

    def _ticks(self, recording: Recording, after: int) -> Iterator[Tick]:
        for before, row in recording.trades_after(after):
            try:
                price, quantity = self._prices.nearest(row.price), self._quantities.nearest(row.quantity)
            except InvalidValue as error:
                raise UnreadableFile(f"{recording.path}: {error}") from error
            if not price:
                raise UnreadableFile(
                    f"{recording.path}: price {row.price} is zero increments of {self._prices.step} {self._pair}: "
                    "a smaller price_increment is needed"
                )
            noise = crc32(b"%d %d" % (row.at, price))
            yield Tick(
                pair=self._pair,
                at=EPOCH + timedelta(microseconds=row.at),
                price=self._prices.amount(price),
                quantity=self._quantities.amount(max(quantity, 1)),
                side=row.side or _side(before, row, noise),
                order_type=row.order_type or ("limit" if noise & 2 else "market"),
            )


def _side(before: RecordedTrade | None, row: RecordedTrade, noise: int) -> Side:
    if before is None or before.price == row.price:
        return Side.BUY if noise & 1 else Side.SELL
    return Side.BUY if row.price > before.price else Side.SELL


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in READERS)
    return [path]


def _open(path: Path) -> Recording:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(f"{path}: {path.suffix or 'no suffix'} is not a file of trades; {ACCEPTED}")
    if not path.is_file():
        raise UnreadableFile(f"{path} does not exist; {ACCEPTED}")
    try:
        return Recording(path, reader(path))
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error}") from error


def _in_order(recordings: list[Recording]) -> list[Recording]:
    recordings.sort(key=lambda recording: recording.begins)
    for one, other in pairwise(recordings):
        if one.ends > other.begins:
            raise UnreadableFile(f"{one.path} and {other.path} overlap in time: remove one of them")
    return recordings


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // MICROSECOND
